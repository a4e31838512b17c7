import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { dormouse } from "../test/support/processes.ts";
import { Client } from "./support/client.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { residentBytes } from "./support/process-figures.ts";
import { inFlight, measureBulk, measureDrain } from "./support/bulk.ts";
import { median } from "./support/statistics.ts";
import { connections, Subject, type Written } from "./support/subject.ts";
import { printWeight, type Figures, type Run } from "./support/weight-rows.ts";

const burstWrites = 50;
const bursts = 5;
const startedMs = 1_000;
const writesBeforeRest = 150;
const restMs = 10_000;
const warmUp = { writers: 8, writes: 1_000, serialWrites: 500 };
const serialWrites = 300;
const reads = 1_000;
/** The two take turns in blocks so short that whatever else the machine does meets both alike. */
const perTurn = 25;
const commands = 7;
const outageMs = 10_000;
const writesMeanwhile = 100;

/** What a pair weighs from outside, beside the floor: the built program, started and asked as an operator and a client do. */
export async function weight({ folder, runs }: Plan): Promise<void> {
  const measured: Run[] = [];
  for (let run = 0; run < runs; run += 1) {
    const place = join(folder, `weight-${run}`);
    await mkdir(place);
    measured.push(await measureRun(place));
  }
  printWeight(measured);
}

type Both = { readonly ours: Subject; readonly floor: Subject };

async function measureRun(folder: string): Promise<Run> {
  await using ours = await Subject.ofDormouse(folder);
  const cold = await coldBurst(ours);
  await using floor = await Subject.ofFloor(folder);
  const coldFloor = await coldBurst(floor);
  const both = { ours, floor };
  const rest = await measureRest(both);
  for (const subject of [ours, floor]) await warm(subject);
  const serial = await measureSerial(both);
  const burst = await measureBursts(both);
  const bulk = await ofBoth(both, measureBulk);
  const reading = await measureReading(both);
  const command = await measureCommand(ours, folder);
  const outage = await measureOutage(both);
  const drain = await ofBoth(both, measureDrain);
  const figures = (
    name: keyof Both,
    parts: Pick<Figures, "coldPushes" | "coldMs" | "commandMs">,
  ): Figures => ({
    ...rest[name],
    ...serial[name],
    ...burst[name],
    ...bulk[name],
    ...reading[name],
    ...outage[name],
    ...drain[name],
    ...parts,
  });
  return {
    ours: figures("ours", { ...cold, commandMs: command.getMs }),
    floor: figures("floor", { ...coldFloor, commandMs: command.nodeMs }),
    versionMs: command.versionMs,
  };
}

type OfBoth<T> = Readonly<Record<keyof Both, T>>;

async function ofBoth<T>(
  { ours, floor }: Both,
  measure: (subject: Subject) => Promise<T>,
): Promise<OfBoth<T>> {
  return { ours: await measure(ours), floor: await measure(floor) };
}

/** On a pair that was started a second ago, by clients that connect at that moment. */
async function coldBurst(subject: Subject): Promise<Pick<Figures, "coldMs" | "coldPushes">> {
  await pause(startedMs);
  await using client = new Client(subject.primary.url, subject.token, connections);
  const { visibleMs, pushes } = await burst(subject, client);
  return { coldMs: visibleMs, coldPushes: pushes };
}

/** The rows of a burst become visible in their order, so the last one tells of all. */
async function burst(subject: Subject, client?: Client): Promise<{ visibleMs: number; pushes: number }> {
  const before = await subject.pushes();
  const beganMs = instantMs();
  const written = await Promise.all(Array.from({ length: burstWrites }, () => subject.write(client)));
  await subject.visible(written.reduce((last, one) => (one.seq > last.seq ? one : last)));
  const visibleMs = instantMs() - beganMs;
  return { visibleMs, pushes: (await subject.pushes()) - before };
}

async function measureRest(both: Both): Promise<OfBoth<Pick<Figures, "restBytes" | "restFileBytes">>> {
  await ofBoth(both, (subject) => inFlight(1, writesBeforeRest, () => subject.write()));
  await pause(restMs);
  return await ofBoth(both, async ({ primary }) => {
    const { all, ofFiles } = residentBytes(primary.pid);
    return { restBytes: all, restFileBytes: ofFiles };
  });
}

async function warm(subject: Subject): Promise<void> {
  await inFlight(warmUp.writers, warmUp.writes, () => subject.write());
  await inFlight(1, warmUp.serialWrites, async () => await subject.visible(await subject.write()));
}

async function measureSerial(both: Both): Promise<OfBoth<Pick<Figures, "ackMs" | "visibleMs">>> {
  const samples = { ours: [] as Timed[], floor: [] as Timed[] };
  await inTurns(serialWrites, async (name) => samples[name].push(await timedWrite(both[name])));
  const of = (name: keyof Both) => ({
    ackMs: median(samples[name].map((one) => one.ackMs)),
    visibleMs: median(samples[name].map((one) => one.visibleMs)),
  });
  return { ours: of("ours"), floor: of("floor") };
}

type Timed = { readonly ackMs: number; readonly visibleMs: number };

async function timedWrite(subject: Subject): Promise<Timed> {
  const beganMs = instantMs();
  const written = await subject.write();
  const ackMs = instantMs() - beganMs;
  await subject.visible(written);
  return { ackMs, visibleMs: instantMs() - beganMs };
}

async function inTurns(count: number, once: (name: keyof Both) => Promise<unknown>): Promise<void> {
  for (let done = 0; done < count; done += perTurn) {
    for (const name of ["ours", "floor"] as const) for (let i = 0; i < perTurn; i += 1) await once(name);
  }
}

async function measureBursts(both: Both): Promise<OfBoth<Pick<Figures, "burstMs" | "burstPushes">>> {
  const samples = {
    ours: [] as Awaited<ReturnType<typeof burst>>[],
    floor: [] as Awaited<ReturnType<typeof burst>>[],
  };
  // The first opens the connections.
  for (let i = 0; i <= bursts; i += 1) {
    for (const name of ["ours", "floor"] as const) {
      const one = await burst(both[name]);
      if (i > 0) samples[name].push(one);
    }
  }
  const of = (name: keyof Both) => ({
    burstMs: median(samples[name].map((one) => one.visibleMs)),
    burstPushes: Math.max(...samples[name].map((one) => one.pushes)),
  });
  return { ours: of("ours"), floor: of("floor") };
}

async function measureReading(both: Both): Promise<OfBoth<Pick<Figures, "readMs" | "healthMs">>> {
  const written: OfBoth<Written> = await ofBoth(both, (subject) => subject.write());
  const samples = {
    ours: { read: [] as number[], health: [] as number[] },
    floor: { read: [] as number[], health: [] as number[] },
  };
  await inTurns(reads, async (name) => {
    const beganMs = instantMs();
    await both[name].read(written[name].path);
    const readMs = instantMs();
    await both[name].read("/healthz");
    samples[name].read.push(readMs - beganMs);
    samples[name].health.push(instantMs() - readMs);
  });
  const of = (name: keyof Both) => ({
    readMs: median(samples[name].read),
    healthMs: median(samples[name].health),
  });
  return { ours: of("ours"), floor: of("floor") };
}

type Command = { readonly getMs: number; readonly versionMs: number; readonly nodeMs: number };

/** A command from the start of its process to its end, in turns with Node doing nothing. */
async function measureCommand(ours: Subject, folder: string): Promise<Command> {
  const { path } = await ours.write();
  const [, vaultId = "", entryId = ""] = /vaults\/(.*)\/entries\/(.*)/.exec(path) ?? [];
  const tokenFile = join(folder, "bench.token");
  await writeFile(tokenFile, ours.token, { mode: 0o600 });
  const get = [
    "entry",
    "get",
    entryId,
    "--vault",
    vaultId,
    "--url",
    ours.primary.url,
    "--token-file",
    tokenFile,
  ];
  const samples = { get: [] as number[], version: [] as number[], node: [] as number[] };
  for (let i = 0; i < commands; i += 1) {
    samples.node.push(await timed(() => promisify(execFile)(process.execPath, ["-e", "0"])));
    samples.version.push(await timed(() => succeed(["--version"])));
    samples.get.push(await timed(() => succeed(get)));
  }
  return {
    getMs: median(samples.get),
    versionMs: median(samples.version),
    nodeMs: median(samples.node),
  };
}

async function succeed(args: readonly string[]): Promise<void> {
  const { status, stderr } = await dormouse(args);
  if (status !== 0) throw new Error(`dormouse ${args[0]} ended with ${status}: ${stderr}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = instantMs();
  await work();
  return instantMs() - beganMs;
}

/** Both backups are killed, writes go on, and each is started again: from the start of its process until it has them all. */
async function measureOutage(both: Both): Promise<OfBoth<Pick<Figures, "returnMs" | "listenMs">>> {
  await ofBoth(both, async (subject) => {
    await subject.caughtUp();
    await subject.backup.kill();
  });
  const killedMs = instantMs();
  const last = await ofBoth(both, async (subject) => {
    for (let i = 1; i < writesMeanwhile; i += 1) await subject.write();
    return await subject.write();
  });
  await pause(killedMs + outageMs - instantMs());
  const back = (name: keyof Both) => async (): Promise<Pick<Figures, "returnMs" | "listenMs">> => {
    const beganMs = instantMs();
    await both[name].backup.start();
    const listenMs = instantMs() - beganMs;
    await both[name].visible(last[name]);
    return { listenMs, returnMs: instantMs() - beganMs };
  };
  return { ours: await back("ours")(), floor: await back("floor")() };
}
