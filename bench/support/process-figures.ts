import { readFileSync } from "node:fs";

/** What Linux says of a process (proc(5)). */

const msPerTick = 10;

export type Resident = { readonly all: number; readonly ofFiles: number };

/** Resident memory in bytes, and how much of it is pages of files, such as the program itself, which processes share. */
export function residentBytes(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return { all: numberAt(status, "VmRSS") * 1024, ofFiles: numberAt(status, "RssFile") * 1024 };
}

export type Spent = { readonly userMs: number; readonly systemMs: number; readonly storedBytes: number };

/** Since its start: the CPU time of all its threads, and the bytes that it has caused to be written to a disk. */
export function spentBy(pid: number): Spent {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  const ms = (index: number): number => Number(fields[index]) * msPerTick;
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return { userMs: ms(11), systemMs: ms(12), storedBytes: numberAt(io, "write_bytes") };
}

export function spentBetween(before: Spent, after: Spent): Spent {
  return {
    userMs: after.userMs - before.userMs,
    systemMs: after.systemMs - before.systemMs,
    storedBytes: after.storedBytes - before.storedBytes,
  };
}

function numberAt(text: string, label: string): number {
  return Number(new RegExp(`^${label}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
}
