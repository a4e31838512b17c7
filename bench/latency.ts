import { Floor, type Timed } from "./floor.ts";
import { type BenchSite, drained, makePair, seqOf, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText } from "./support/sample-entry.ts";
import { median, quantile } from "./support/statistics.ts";
import { printTable, showMs, showRatio } from "./support/table.ts";

const warmUpWrites = 1_000;
const writesPerRun = 1_000;
/** Ours and the floor's take turns in blocks so short that what else the machine does meets both alike. */
const writesPerBlock = 50;

/**
 * How long the next write waits once the one before is visible: not at all, as a client that writes without pause, or until
 * everything sleeps, as in a vault that changes a few times a day.
 */
const paces = { "without pause": 0, "at rest": 4 } as const;
type Pace = keyof typeof paces;

/** Samples of one run, in ms. */
type Run = { readonly [Name in Series]: number[] };
const series = ["acknowledged", "visible", "inside"] as const;
type Series = (typeof series)[number];

const titles: Readonly<Record<Series, string>> = {
  acknowledged: "acknowledged: client's POST to its 2xx",
  visible: "visible: client's POST to backup's commit",
  inside: "visible: primary's store.write to backup's commit",
};

/** 1,000 serial writes: acknowledged and visible latency against the floor. */
export async function latency({ folder, runs }: Plan): Promise<void> {
  const { calgary, zurich } = await makePair(folder, "latency");
  await using backup = zurich;
  await using primary = calgary;
  await zurich.start();
  await calgary.start();
  await using floor = await Floor.start(folder);
  const vault = await calgary.createVault();
  await using client = new Client(calgary.files.url, vault.token);
  const pair = { primary, backup, vault, client };
  for (let i = 0; i < warmUpWrites; i += 1) await Promise.all([writeToPair(pair), floor.write()]);
  await floor.writeInside(warmUpWrites, 0);
  await drained(primary);
  await primary.child.call("takeWritesBegun");
  for (const pace of ["without pause", "at rest"] as const) {
    const results: Result[] = [];
    for (let run = 0; run < runs; run += 1) results.push(await measureRun(pair, floor, paces[pace]));
    print(pace, results);
  }
}

type Result = { readonly ours: Run; readonly floors: Run };

type Pair = {
  readonly primary: BenchSite;
  readonly backup: BenchSite;
  readonly vault: Vault;
  readonly client: Client;
};

async function writeToPair({
  backup,
  vault,
  client,
}: Pair): Promise<Timed & { readonly committedMs: number }> {
  const beganMs = instantMs();
  const { etag } = await client.call<{ etag: string }>("POST", vault.path, entryText);
  const acknowledgedMs = instantMs() - beganMs;
  const committedMs = await backup.child.visible(seqOf(etag));
  return { acknowledgedMs, visibleMs: committedMs - beganMs, committedMs };
}

async function measureRun(pair: Pair, floor: Floor, restMs: number): Promise<Result> {
  const ours: Run = { acknowledged: [], visible: [], inside: [] };
  const floors: Run = { acknowledged: [], visible: [], inside: [] };
  for (let written = 0; written < writesPerRun; written += writesPerBlock) {
    for (let i = 0; i < writesPerBlock; i += 1) {
      const { acknowledgedMs, visibleMs } = await floor.write();
      floors.acknowledged.push(acknowledgedMs);
      floors.visible.push(visibleMs);
      await rest(restMs);
    }
    floors.inside.push(...(await floor.writeInside(writesPerBlock, restMs)));
    await measureBlock(pair, ours, restMs);
  }
  return { ours, floors };
}

async function measureBlock(pair: Pair, ours: Run, restMs: number): Promise<void> {
  const committed: number[] = [];
  for (let i = 0; i < writesPerBlock; i += 1) {
    const { acknowledgedMs, visibleMs, committedMs } = await writeToPair(pair);
    ours.acknowledged.push(acknowledgedMs);
    ours.visible.push(visibleMs);
    committed.push(committedMs);
    await rest(restMs);
  }
  // What the last write has set off must not meet the floor's next one.
  await drained(pair.primary);
  const begun = await pair.primary.child.call<number[]>("takeWritesBegun");
  ours.inside.push(...committed.map((committedMs, index) => committedMs - (begun[index] ?? Number.NaN)));
}

async function rest(ms: number): Promise<void> {
  if (ms > 0) await pause(ms);
}

function print(pace: Pace, results: readonly Result[]): void {
  const rows = series.flatMap((name) =>
    [0.5, 0.99].map((share) => {
      const of = (run: Run): number => quantile(run[name], share);
      const ratios = results.map(({ ours, floors }) => of(ours) / of(floors));
      return [
        titles[name],
        share === 0.5 ? "p50" : "p99",
        showMs(median(results.map(({ ours }) => of(ours)))),
        showMs(median(results.map(({ floors }) => of(floors)))),
        showRatio(median(ratios)),
        `${showRatio(Math.min(...ratios))} to ${showRatio(Math.max(...ratios))}`,
        share === 0.5 ? "<= 1.30" : "",
      ];
    }),
  );
  const heading = `Latency of ${writesPerRun} serial writes ${pace}, medians of ${results.length} runs`;
  printTable(heading, ["", "", "ours", "floor", "ratio", "of runs", "aim"], rows);
}
