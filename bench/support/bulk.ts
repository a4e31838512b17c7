import { instantMs, pause } from "./instant.ts";
import { residentBytes, spentBetween, spentBy } from "./process-figures.ts";
import { connections, type Subject } from "./subject.ts";
import type { Figures } from "./weight-rows.ts";

const bulkWrites = 10_000;
const batchEntries = 500;
const batchWriters = 2;
const drainedRows = 200_000;
const importedEntries = 10_000;
const lookEveryMs = 20;

/** Runs `work` so often, so many at a time. */
export async function inFlight(width: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
}

type Bulk =
  | "writesPerSecond"
  | "cpuMs"
  | "systemCpuMs"
  | "storedBytes"
  | "batchesMs"
  | "batchesAckedMs"
  | "busyBytes"
  | "busyFileBytes";

/** 10,000 single writes, and the same again in imports of 500. */
export async function measureBulk(subject: Subject): Promise<Pick<Figures, Bulk>> {
  const { pid } = subject.primary;
  await subject.caughtUp();
  const before = spentBy(pid);
  let beganMs = instantMs();
  await inFlight(connections, bulkWrites, () => subject.write());
  const writesPerSecond = (bulkWrites / (instantMs() - beganMs)) * 1000;
  await subject.caughtUp();
  const spent = spentBetween(before, spentBy(pid));
  beganMs = instantMs();
  await inFlight(batchWriters, bulkWrites / batchEntries, () => subject.import(batchEntries));
  const batchesAckedMs = instantMs() - beganMs;
  await subject.caughtUp();
  const batchesMs = instantMs() - beganMs;
  const { all, ofFiles } = residentBytes(pid);
  return {
    writesPerSecond,
    cpuMs: (spent.userMs + spent.systemMs) / bulkWrites,
    systemCpuMs: spent.systemMs / bulkWrites,
    storedBytes: spent.storedBytes,
    batchesMs,
    batchesAckedMs,
    busyBytes: all,
    busyFileBytes: ofFiles,
  };
}

type Drain = "drainRowsPerSecond" | "drainPrimaryCpu" | "drainBackupCpu";

/** An outage has left 200,000 rows: from the first push that the backup took to the last. */
export async function measureDrain(subject: Subject): Promise<Pick<Figures, Drain>> {
  const { primary, backup } = subject;
  await subject.caughtUp();
  const base = await subject.head();
  await backup.kill();
  for (let rows = 0; rows < drainedRows; rows += importedEntries) await subject.import(importedEntries);
  const head = await subject.head();
  await backup.start();
  const first = await appliedAt(subject, base + 1);
  const before = { primary: spentBy(primary.pid), backup: spentBy(backup.pid) };
  const last = await appliedAt(subject, head);
  const tookMs = last.atMs - first.atMs;
  const cpuShare = (side: "primary" | "backup"): number => {
    const { userMs, systemMs } = spentBetween(before[side], spentBy(subject[side].pid));
    return (userMs + systemMs) / tookMs;
  };
  return {
    drainRowsPerSecond: ((last.seq - first.seq) / tookMs) * 1000,
    drainPrimaryCpu: cpuShare("primary"),
    drainBackupCpu: cpuShare("backup"),
  };
}

/** What the backup has applied, once that is at least `seq`. */
async function appliedAt(subject: Subject, seq: number): ReturnType<Subject["applied"]> {
  for (;;) {
    const applied = await subject.applied();
    if (applied.seq >= seq) return applied;
    await pause(lookEveryMs);
  }
}
