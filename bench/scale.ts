import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { databasePath } from "../src/app/data-folder.ts";
import { systemClock, systemHash, systemRandom } from "../src/app/system-ports.ts";
import type { SiteName } from "../src/core/ids.ts";
import { openSqliteStore } from "../src/store/sqlite/open.ts";
import { type BenchSite, makePair } from "./support/bench-pair.ts";
import { instantMs } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { rowBody } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./support/table.ts";

const sizes = [1_000, 1_000_000] as const;
const dirtyRows = 10;
const listings = 1_000;
const zurich = "zurich" as SiteName;

type Figures = {
  readonly listMs: number;
  readonly backlogMs: number;
  readonly openMs: number;
  readonly startMs: number;
};

/** Whether what a site does for a few dirty rows depends on how many it stores. */
export async function scale({ folder, runs }: Plan): Promise<void> {
  const figures: Figures[] = [];
  for (const stored of sizes) {
    const { calgary } = await makePair(folder, `scale-${stored}`);
    await using site = calgary;
    const path = databasePath(join(folder, `scale-${stored}`, "calgary"));
    fill(path, stored);
    figures.push({ ...(await measureStore(path, runs)), startMs: await measureStart(site, runs) });
  }
  const titles: Readonly<Record<keyof Figures, string>> = {
    listMs: `listing ${dirtyRows} dirty rows`,
    backlogMs: "counting what is dirty",
    openMs: "opening the store",
    startMs: "dormouse serve: from its start until it listens",
  };
  const [small, large] = figures;
  if (!small || !large) throw new Error("two sizes are measured");
  printTable(
    `${dirtyRows} dirty rows among ${showCount(sizes[0])} and among ${showCount(sizes[1])} stored, medians`,
    ["", showCount(sizes[0]), showCount(sizes[1]), "ratio", "aim"],
    (["listMs", "backlogMs", "openMs", "startMs"] as const).map((name) => [
      titles[name],
      showMs(small[name]),
      showMs(large[name]),
      showRatio(large[name] / small[name]),
      "about 1",
    ]),
  );
}

/**
 * Stores so many rows, each with its point of the history; all but the last few are acknowledged. Written as SQL, which
 * is fast; the buckets are any, since nothing here compares them.
 */
function fill(path: string, stored: number): void {
  const database = new Sqlite(path);
  database.pragma("synchronous = OFF");
  const acked = stored - dirtyRows;
  database.exec("BEGIN");
  database
    .prepare(
      `WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
       INSERT INTO rows (kind, vault_id, item_id, epoch, seq, bucket, deleted, hash, body, replication_dirty, dirty_since)
       SELECT 'entry', '00000000-0000-4000-8000-000000000000', printf('%08x-0000-7000-8000-%012x', seq, seq), 1, seq, seq % 256, 0, ?, ?,
         seq > ?, iif(seq > ?, 1, NULL) FROM n`,
    )
    .run(stored, systemHash.sha256(rowBody), rowBody, acked, acked);
  database.exec("INSERT INTO history (epoch, seq, chain) SELECT epoch, seq, randomblob(32) FROM rows");
  const chain = "(SELECT chain FROM history WHERE epoch = 1 AND seq = ?)";
  database.prepare(`UPDATE site SET head_epoch = 1, head_seq = ?, head_chain = ${chain}`).run(stored, stored);
  database
    .prepare(`INSERT INTO peers (site, acked_epoch, acked_seq, acked_chain) VALUES (?, 1, ?, ${chain})`)
    .run(zurich, acked, acked);
  database.exec("COMMIT");
  database.close();
}

async function measureStore(path: string, runs: number): Promise<Omit<Figures, "startMs">> {
  const ports = { clock: systemClock, random: systemRandom, hash: systemHash };
  const opened: number[] = [];
  const listed: number[] = [];
  const counted: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const beganMs = instantMs();
    const { store } = openSqliteStore({ path, ...ports });
    opened.push(instantMs() - beganMs);
    const [peer] = await store.read((r) => r.replication.peers());
    const after = peer?.acked?.position;
    if (!after) throw new Error("the peer has acknowledged nothing");
    for (let i = 0; i < listings; i += 1) {
      listed.push(
        await timed(() =>
          store.read((r) => r.replication.listAbove(after, { rows: 100, bytes: 1024 * 1024 })),
        ),
      );
      counted.push(await timed(() => store.read((r) => r.replication.backlog(zurich))));
    }
    await store.close();
  }
  return { listMs: median(listed), backlogMs: median(counted), openMs: median(opened) };
}

async function measureStart(site: BenchSite, runs: number): Promise<number> {
  const started: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    started.push(await timed(() => site.start()));
    await site.stop();
  }
  return median(started);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = instantMs();
  await work();
  return instantMs() - beganMs;
}
