import { monitorEventLoopDelay } from "node:perf_hooks";
import { Floor } from "./floor.ts";
import {
  type BenchPair,
  type BenchSite,
  drained,
  makePair,
  seqOf,
  type Vault,
} from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText, importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showBytes, showCount, showMs, showRatio } from "./support/table.ts";

/** This process only waits while an import runs: what delays it is the machine. */
const ownDelay = monitorEventLoopDelay({ resolution: 1 });
const burstWrites = 50;
const burstsPerRun = 5;
const importedEntries = 10_000;
const backlogRows = 100_000;

/** Many writes at once, one large import, and a long outage. */
export async function burst(plan: Plan): Promise<void> {
  await measureBursts(plan);
  await measureImports(plan);
  await measureBacklog(plan);
}

type Running = BenchPair & { readonly vault: Vault };

async function start(pair: BenchPair): Promise<Running> {
  await pair.zurich.start();
  await pair.calgary.start();
  return { ...pair, vault: await pair.calgary.createVault() };
}

async function pushesOf({ calgary }: BenchPair): Promise<number> {
  const { peers } = await drained(calgary);
  return peers?.[0]?.counters.pushes ?? Number.NaN;
}

type Burst = { readonly visibleMs: number; readonly floorMs: number; readonly pushes: number };

async function measureBursts({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "burst");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  const { vault } = await start({ calgary, zurich });
  await using floor = await Floor.start(folder, burstWrites);
  await using client = new Client(calgary.files.url, vault.token, burstWrites);
  const ours = async (): Promise<number> => {
    const beganMs = instantMs();
    const writes = Array.from({ length: burstWrites }, () =>
      client.call<{ etag: string }>("POST", vault.path, entryText),
    );
    const seqs = (await Promise.all(writes)).map(({ etag }) => seqOf(etag));
    return (await zurich.child.visible(Math.max(...seqs))) - beganMs;
  };
  const theirs = async (): Promise<number> => {
    const beganMs = instantMs();
    const seqs = await Promise.all(Array.from({ length: burstWrites }, () => floor.post()));
    return (await floor.visible(Math.max(...seqs))) - beganMs;
  };
  for (let i = 0; i < 1_000 / burstWrites; i += 1) {
    await ours();
    await theirs();
  }
  const bursts: Burst[] = [];
  for (let i = 0; i < runs * burstsPerRun; i += 1) {
    const before = await pushesOf(pair);
    const visibleMs = await ours();
    bursts.push({ visibleMs, pushes: (await pushesOf(pair)) - before, floorMs: await theirs() });
  }
  const ratio = median(bursts.map(({ visibleMs, floorMs }) => visibleMs / floorMs));
  printTable(
    `A burst of ${burstWrites} concurrent writes, medians of ${bursts.length} bursts`,
    ["", "ours", "floor", "aim"],
    [
      [
        "until all are visible",
        showMs(median(bursts.map((b) => b.visibleMs))),
        showMs(median(bursts.map((b) => b.floorMs))),
        "",
      ],
      ["ratio", showRatio(ratio), "1.00", "<= 1.30"],
      [
        "pushes, median and most",
        `${median(bursts.map((b) => b.pushes))} and ${Math.max(...bursts.map((b) => b.pushes))}`,
        burstWrites,
        "<= 2",
      ],
    ],
  );
}

type Import = {
  readonly answeredMs: number;
  readonly equalMs: number;
  readonly pushes: number;
  /** The longest delay of the primary's event loop, and of this process, which only waits meanwhile. */
  readonly delayMs: number;
  readonly ownDelayMs: number;
};

async function measureImports({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "import");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  const running = await start({ calgary, zurich });
  await using client = new Client(calgary.files.url, running.vault.token);
  await importInto(running, client, importText(1_000));
  const text = importText(importedEntries);
  const imports: Import[] = [];
  for (let run = 0; run < runs; run += 1) {
    const before = await pushesOf(pair);
    await calgary.child.call("watchDelay");
    ownDelay.reset();
    ownDelay.enable();
    const times = await importInto(running, client, text);
    const delayMs = await calgary.child.call<number>("longestDelayMs");
    imports.push({
      ...times,
      delayMs,
      ownDelayMs: ownDelay.max / 1e6,
      pushes: (await pushesOf(pair)) - before,
    });
  }
  const of = (name: keyof Import): number => median(imports.map((one) => one[name]));
  printTable(
    `An import of ${showCount(importedEntries)} entries in one call, medians of ${runs} runs`,
    ["", "", "aim"],
    [
      ["until the 201", showMs(of("answeredMs")), ""],
      ["until both are equal", showMs(of("equalMs")), ""],
      ["rows a second", showCount((importedEntries / of("equalMs")) * 1000), ""],
      ["pushes", of("pushes"), `<= ${importedEntries / 100}`],
      ["longest delay of the primary's event loop", showMs(of("delayMs")), "<= 20 ms"],
      ["the same of a process that only waits", showMs(of("ownDelayMs")), ""],
    ],
  );
}

async function importInto(
  { zurich, calgary, vault }: Running,
  client: Client,
  text: string,
): Promise<{ readonly answeredMs: number; readonly equalMs: number }> {
  const beganMs = instantMs();
  await client.call("POST", `${vault.path}/import`, text);
  const answeredMs = instantMs() - beganMs;
  const { head } = await calgary.status();
  return { answeredMs, equalMs: (await zurich.child.visible(seqOf(`"${head}"`))) - beganMs };
}

/** What both sites hold once so much of a backlog is drained: what is in use after a collection, and what is resident. */
type Memory = {
  readonly drained: number;
  readonly primary: { readonly live: number; readonly resident: number };
  readonly backup: { readonly live: number; readonly resident: number };
};

async function memoryOf({ child }: BenchSite): Promise<Memory["primary"]> {
  return { live: await child.call<number>("liveBytes"), resident: child.residentBytes() };
}

async function measureBacklog({ folder }: Plan): Promise<void> {
  const { calgary, zurich } = await makePair(folder, "backlog");
  await using backup = zurich;
  await using primary = calgary;
  await buildBacklog(primary);
  await primary.start();
  await pause(1_000);
  const { dirty, head } = await primary.status();
  const rows = seqOf(`"${head}"`);
  await backup.start();
  const memory: Memory[] = [];
  const look = async (drained: number): Promise<void> => {
    memory.push({ drained, primary: await memoryOf(primary), backup: await memoryOf(backup) });
  };
  for (const share of [0.01, 0.25, 0.5, 0.75, 1]) {
    await backup.child.visible(Math.ceil(share * rows));
    await look(share);
  }
  const tookMs = (await backup.child.visible(rows)) - (await backup.child.visible(1));
  const { peers } = await drained(primary);
  const counters = peers?.[0]?.counters;
  await pause(10_000);
  await look(1);
  printTable(
    `A backlog of ${showCount(dirty)} rows, drained once the backup is there`,
    ["", "", "aim"],
    [
      ["first push until equal", showMs(tookMs), ""],
      ["rows a second", showCount((dirty / tookMs) * 1000), ""],
      ["pushes", counters?.pushes ?? "", `about ${showCount(backlogRows / 100)}`],
      ["bytes sent", showBytes(counters?.bytes ?? 0), ""],
    ],
  );
  printTable(
    "Memory while it drains, and 10 s later (aim: what is live stays flat)",
    ["drained", "primary live", "resident", "backup live", "resident"],
    memory.map(({ drained: share, primary: p, backup: b }) => [
      `${share * 100} %`,
      ...[p.live, p.resident, b.live, b.resident].map(showBytes),
    ]),
  );
}

/** Leaves the primary stopped, with everything written while it knew of a backup that was never there. */
async function buildBacklog(primary: BenchSite): Promise<void> {
  await primary.start();
  const vault = await primary.createVault();
  await using client = new Client(primary.files.url, vault.token);
  const text = importText(importedEntries);
  for (let rows = 0; rows < backlogRows; rows += importedEntries) {
    await client.call("POST", `${vault.path}/import`, text);
  }
  await primary.stop();
}
