import { Floor } from "./floor.ts";
import { type BenchPair, drained, makePair, seqOf, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { type Watched, watchDelay } from "./support/delays.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText, importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./support/table.ts";

const burstWrites = 50;
const burstsPerRun = 5;
const importedEntries = 10_000;

/** Many writes at once, and one large import. */
export async function burst(plan: Plan): Promise<void> {
  await measureBursts(plan);
  await measureColdBursts(plan);
  await measureImports(plan);
  await measureBatches(plan);
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

/** Each on a pair that was started a second before, by clients that connect at that moment. */
async function measureColdBursts({ folder, runs }: Plan): Promise<void> {
  const bursts: { readonly visibleMs: number; readonly pushes: number }[] = [];
  for (let run = 0; run < runs; run += 1) bursts.push(await coldBurst(folder, `cold-${run}`));
  const pushes = bursts.map((burst) => burst.pushes);
  printTable(
    `The same burst on a pair that was started a second ago, medians of ${runs} runs`,
    ["", "", "aim"],
    [
      ["until all are visible", showMs(median(bursts.map(({ visibleMs }) => visibleMs))), ""],
      ["pushes, median and most", `${median(pushes)} and ${Math.max(...pushes)}`, "<= 2"],
    ],
  );
}

async function coldBurst(folder: string, name: string): Promise<{ visibleMs: number; pushes: number }> {
  const pair = await makePair(folder, name);
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  const { vault } = await start({ calgary, zurich });
  await pause(1_000);
  const before = await pushesOf(pair);
  await using client = new Client(calgary.files.url, vault.token, burstWrites);
  const beganMs = instantMs();
  const writes = Array.from({ length: burstWrites }, () =>
    client.call<{ etag: string }>("POST", vault.path, entryText),
  );
  const seqs = (await Promise.all(writes)).map(({ etag }) => seqOf(etag));
  const visibleMs = (await zurich.child.visible(Math.max(...seqs))) - beganMs;
  return { visibleMs, pushes: (await pushesOf(pair)) - before };
}

type Import = Watched & {
  readonly answeredMs: number;
  readonly equalMs: number;
  readonly pushes: number;
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
    let times = { answeredMs: Number.NaN, equalMs: Number.NaN };
    const watched = await watchDelay(calgary.child, async () => {
      times = await importInto(running, client, text);
    });
    imports.push({ ...watched, ...times, pushes: (await pushesOf(pair)) - before });
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

const batchEntries = 500;

/** Imports that follow one another at once. */
async function measureBatches({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "batches");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  const { vault } = await start({ calgary, zurich });
  await using client = new Client(calgary.files.url, vault.token);
  const text = importText(batchEntries);
  const equal: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await drained(calgary);
    const beganMs = instantMs();
    for (let sent = 0; sent < importedEntries; sent += batchEntries) {
      await client.call("POST", `${vault.path}/import`, text);
    }
    const { head } = await calgary.status();
    equal.push((await zurich.child.visible(seqOf(`"${head}"`))) - beganMs);
  }
  printTable(
    `${showCount(importedEntries)} entries in imports of ${batchEntries}, medians of ${runs} runs`,
    ["", "", "aim"],
    [["until both are equal", showMs(median(equal)), "<= 0.8 s"]],
  );
}
