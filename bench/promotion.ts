import { AdminClient } from "../src/cli/admin-client.ts";
import { type BenchSite, drained, makePair, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText, importText } from "./support/sample-entry.ts";
import { median, quantile } from "./support/statistics.ts";
import { printTable, showCount, showMs } from "./support/table.ts";

const entries = 10_000;
const promotionsPerRun = 4;

/** Planned promotions there and back under load: for how long no site takes a write. */
export async function promotion({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "promotion");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  await zurich.start();
  await calgary.start();
  const vault = await calgary.createVault();
  await using client = new Client(calgary.files.url, vault.token);
  await client.call("POST", `${vault.path}/import`, importText(entries));
  await drained(calgary);
  const gaps: number[] = [];
  let [from, to] = [calgary, zurich];
  for (let i = 0; i < runs * promotionsPerRun; i += 1) {
    gaps.push(await handOver(from, to, vault));
    await drained(to);
    [from, to] = [to, from];
  }
  printTable(
    `Planned promotion of a pair with ${showCount(entries)} entries under load, ${gaps.length} times`,
    ["", ""],
    [
      ["without a writable site, median", showMs(median(gaps))],
      ["the longest", showMs(quantile(gaps, 1))],
    ],
  );
}

/** From the last write that the old primary took to the first that the new one did, with one client writing to each. */
async function handOver(from: BenchSite, to: BenchSite, vault: Vault): Promise<number> {
  await using old = new Client(from.files.url, vault.token);
  await using next = new Client(to.files.url, vault.token);
  const last = writeUntilRefused(old, vault);
  const first = writeUntilTaken(next, vault);
  const admin = await AdminClient.of({ config: to.files.configPath });
  await admin.call({ command: "promote", body: {} });
  return (await first) - (await last);
}

async function writeUntilRefused(client: Client, vault: Vault): Promise<number> {
  for (let takenMs = instantMs(); ; takenMs = instantMs()) {
    const isTaken = await isWritten(client, vault);
    if (!isTaken) return takenMs;
  }
}

async function writeUntilTaken(client: Client, vault: Vault): Promise<number> {
  while (!(await isWritten(client, vault)));
  return instantMs();
}

async function isWritten(client: Client, vault: Vault): Promise<boolean> {
  return await client.call("POST", vault.path, entryText).then(
    () => true,
    () => false,
  );
}
