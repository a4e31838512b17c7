import { type BenchSite, makeCommunitySite, makePair, seqOf, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showMs, showRatio } from "./support/table.ts";

const warmUpWrites = 500;
const writesPerRun = 250;
const writesPerBlock = 25;
/** Between two paced writes: enough for everything that the one before has set off. */
const restMs = 4;

/** What a write costs its client: where it is replicated, where there is no replication, and where the backup is down. */
export async function overhead({ folder, runs }: Plan): Promise<void> {
  const { calgary, zurich } = await makePair(folder, "overhead-on");
  await using backup = zurich;
  await using on = calgary;
  await using off = await makeCommunitySite(folder, "overhead-off");
  const { calgary: down } = await makePair(folder, "overhead-down");
  await using alone = down;
  await backup.start();
  for (const site of [on, off, alone]) await site.start();
  const writers = { off: await writerTo(off), on: await writerTo(on, backup), down: await writerTo(alone) };
  for (let i = 0; i < warmUpWrites; i += 1) for (const writer of Object.values(writers)) await writer.write();
  const rows: string[][] = [];
  for (const pace of ["paced", "back to back"] as const) {
    const measured: Medians[] = [];
    for (let run = 0; run < runs; run += 1) measured.push(await measureRun(writers, pace));
    rows.push(...describe(pace, measured));
  }
  for (const { client } of Object.values(writers)) await client[Symbol.asyncDispose]();
  printTable(
    `A client's own latency, p50 of ${writesPerRun} writes, medians of ${runs} runs`,
    ["", "", "p50", "ratio to off", "of runs", "aim"],
    rows,
  );
}

type Writer = {
  readonly client: Client;
  /** Resolves with the ms until the 2xx and the seq of the write. */
  readonly write: () => Promise<{ readonly ms: number; readonly seq: number }>;
  /** Resolves when the pair has nothing left to do for a write. */
  readonly rest: (seq: number) => Promise<void>;
};
type Writers = Readonly<Record<"off" | "on" | "down", Writer>>;
type Medians = Readonly<Record<keyof Writers, number>>;

async function writerTo(site: BenchSite, backup?: BenchSite): Promise<Writer> {
  const vault: Vault = await site.createVault();
  const client = new Client(site.files.url, vault.token);
  return {
    client,
    write: async () => {
      const beganMs = instantMs();
      const { etag } = await client.call<{ etag: string }>("POST", vault.path, entryText);
      return { ms: instantMs() - beganMs, seq: seqOf(etag) };
    },
    rest: async (seq) => {
      await backup?.child.visible(seq);
      await pause(restMs);
    },
  };
}

/** The three take turns: write by write where each rests, in blocks where none does. */
async function measureRun(writers: Writers, pace: "paced" | "back to back"): Promise<Medians> {
  const samples: Record<keyof Writers, number[]> = { off: [], on: [], down: [] };
  const perTurn = pace === "paced" ? 1 : writesPerBlock;
  for (let written = 0; written < writesPerRun; written += perTurn) {
    for (const name of ["off", "on", "down"] as const) {
      let last = 0;
      for (let i = 0; i < perTurn; i += 1) {
        const { ms, seq } = await writers[name].write();
        samples[name].push(ms);
        last = seq;
      }
      await writers[name].rest(last);
    }
  }
  return { off: median(samples.off), on: median(samples.on), down: median(samples.down) };
}

function describe(pace: string, measured: readonly Medians[]): string[][] {
  const titles = { off: "replication off (community)", on: "replication on", down: "backup down" } as const;
  return (["off", "on", "down"] as const).map((name) => {
    const ratios = measured.map((run) => run[name] / run.off);
    const range = `${showRatio(Math.min(...ratios))} to ${showRatio(Math.max(...ratios))}`;
    const p50 = showMs(median(measured.map((run) => run[name])));
    if (name === "off") return [pace, titles[name], p50, "", "", ""];
    return [pace, titles[name], p50, showRatio(median(ratios)), range, "<= 1.10"];
  });
}
