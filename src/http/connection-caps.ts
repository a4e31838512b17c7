import { readFileSync } from "node:fs";

export type ConnectionCaps = {
  /** Connections at a time, in all. */
  readonly total: number;
  /** Connections at a time from one IP address; a proxy that speaks for others has no such cap. */
  readonly perAddress: number;
};

const totalMax = 1_000;
const perAddressMax = 128;
/** How many open files a site needs beside its clients' connections: database, log, connections to peers, admin socket, and a margin. */
const reservedFiles = 64;

/** The caps that leave this process enough open files for its own work. @param filesMax how many files it may open */
export function connectionCaps(filesMax: number = openFilesMax()): ConnectionCaps {
  const total = Math.min(totalMax, Math.max(filesMax - reservedFiles, Math.floor(filesMax / 4), 4));
  return { total, perAddress: Math.min(perAddressMax, Math.max(Math.floor(total / 2), 2)) };
}

/** The soft limit of open files (getrlimit(2)); Linux tells it in a file. */
function openFilesMax(): number {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return found ? Number(found[1]) : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
