import { dirname, join } from "node:path";
import Sqlite from "better-sqlite3";
import { databasePath } from "../src/app/data-folder.ts";
import { type BenchPair, drained, makePair, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { FarLink } from "./support/far-link.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText, importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showBytes, showCount, showMs } from "./support/table.ts";

const storedEntries = 100_000;
const importedEntries = 10_000;
const damagedRows = 10;
/** Longer than the worker keeps any attempt apart from the one before. */
const quietMs = 1_500;

type Repair = {
  readonly ms: number;
  readonly sentBytes: number;
  /** Both ways, headers and all. */
  readonly carriedBytes: number;
};

type LinkedPair = BenchPair & { readonly link: FarLink; readonly vault: Vault };

/** A few rows of a backup are lost or damaged: what it costs to find them among many, and to put them right. */
export async function repair({ folder, runs }: Plan): Promise<void> {
  let opened: FarLink | undefined;
  const pair = await makePair(folder, "repair", async (port) => {
    opened = await FarLink.open(0, port);
    return opened.port;
  });
  if (!opened) throw new Error("nothing lies between the sites");
  await using link = opened;
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  await zurich.start();
  await calgary.start();
  const vault = await calgary.createVault();
  await using client = new Client(calgary.files.url, vault.token);
  for (let stored = 0; stored < storedEntries; stored += importedEntries) {
    await client.call("POST", `${vault.path}/import`, importText(importedEntries));
  }
  await drained(calgary);
  const repairs: Repair[] = [];
  for (let run = 0; run < runs; run += 1) repairs.push(await measureRepair({ calgary, zurich, link, vault }));
  const of = (name: keyof Repair): number => median(repairs.map((one) => one[name]));
  printTable(
    `Repair of ${damagedRows} rows among ${showCount(storedEntries)}, medians of ${runs} runs`,
    ["", ""],
    [
      ["from the push that finds the difference to the one that proves equality", showMs(of("ms"))],
      ["bytes sent by the primary", showBytes(of("sentBytes"))],
      ["bytes both ways", showBytes(of("carriedBytes"))],
    ],
  );
}

async function measureRepair({ calgary, zurich, link, vault }: LinkedPair): Promise<Repair> {
  await zurich.stop();
  damage(databasePath(join(dirname(zurich.files.configPath), "zurich")));
  link.cut();
  await zurich.start();
  await using client = new Client(calgary.files.url, vault.token);
  await client.call("POST", vault.path, entryText);
  await pause(quietMs);
  const before = await calgary.status();
  const bytesBefore = link.bytes;
  link.heal();
  await using operator = calgary.operator();
  const beganMs = instantMs();
  await operator.call("POST", "/api/replication/signal", "{}");
  for (;;) {
    const { peers, head } = await calgary.status();
    const ms = instantMs() - beganMs;
    if (peers?.[0]?.verified?.position === head) {
      const sentBytes = peers[0].counters.bytes - (before.peers?.[0]?.counters.bytes ?? 0);
      return { ms, sentBytes, carriedBytes: link.bytes - bytesBefore };
    }
    await pause(10);
  }
}

/** Loses half of the rows and flips a bit in the others; the digest that was kept of them goes too, or nothing would show. */
function damage(path: string): void {
  const database = new Sqlite(path);
  const rows = database
    .prepare("SELECT id, body FROM rows WHERE kind = 'entry' AND deleted = 0 ORDER BY random() LIMIT ?")
    .all(damagedRows) as { id: number; body: Buffer }[];
  for (const [index, { id, body }] of rows.entries()) {
    if (index % 2 === 0) database.prepare("DELETE FROM rows WHERE id = ?").run(id);
    else {
      body[0] = (body[0] ?? 0) ^ 1;
      database.prepare("UPDATE rows SET body = ? WHERE id = ?").run(body, id);
    }
  }
  database.exec("UPDATE digest SET buckets = zeroblob(2048)");
  database.close();
}
