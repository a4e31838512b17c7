import {
  type BenchPair,
  type BenchSite,
  drained,
  makePair,
  seqOf,
  type Vault,
} from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { recordDelay, type Watched, watchDelay } from "./support/delays.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showBytes, showCount } from "./support/table.ts";

const drainedRows = 100_000;
const importedEntries = 10_000;

type Live = { readonly primary: number; readonly backup: number };
type Drain = {
  readonly primary: Watched;
  readonly backup: Watched;
  readonly live: Live;
};

/** A backup that was away finds 100,000 rows waiting: how long others wait meanwhile on either side, and what memory it leaves in use. */
export async function drain({ folder, runs }: Plan): Promise<void> {
  const { calgary, zurich } = await makePair(folder, "drain");
  await using backup = zurich;
  await using primary = calgary;
  await backup.start();
  await primary.start();
  const vault = await primary.createVault();
  await drained(primary);
  const before = await liveBytes({ calgary, zurich });
  const drains: Drain[] = [];
  for (let run = 0; run < runs; run += 1) drains.push(await drainOnce({ calgary, zurich }, vault));
  const live = (side: keyof Live): string => showBytes(median(drains.map((one) => one.live[side])));
  printTable(
    `Live memory after a drain of ${showCount(drainedRows)} rows, medians of ${runs} runs (aim: as before)`,
    ["", "before the first", "after"],
    [
      ["primary", showBytes(before.primary), live("primary")],
      ["backup", showBytes(before.backup), live("backup")],
    ],
  );
  for (const side of ["primary", "backup"] as const) {
    recordDelay(
      `a drain of ${showCount(drainedRows)}, ${side}`,
      drains.map((one) => one[side]),
    );
  }
}

async function drainOnce({ calgary, zurich }: BenchPair, vault: Vault): Promise<Drain> {
  await zurich.stop();
  await using client = new Client(calgary.files.url, vault.token);
  const text = importText(importedEntries);
  for (let rows = 0; rows < drainedRows; rows += importedEntries) {
    await client.call("POST", `${vault.path}/import`, text);
  }
  const head = seqOf(`"${(await calgary.status()).head}"`);
  await zurich.start();
  let backup: Watched | undefined;
  const primary = await watchDelay(calgary.child, async () => {
    backup = await watchDelay(zurich.child, () => zurich.child.visible(head));
  });
  if (backup === undefined) throw new Error("the backup was not watched");
  await drained(calgary);
  return { primary, backup, live: await liveBytes({ calgary, zurich }) };
}

async function liveBytes({ calgary, zurich }: BenchPair): Promise<Live> {
  const of = ({ child }: BenchSite): Promise<number> => child.call<number>("liveBytes");
  return { primary: await of(calgary), backup: await of(zurich) };
}
