import { closeSync, openSync, readSync } from "node:fs";
import { Refusal } from "../../core/errors.ts";
import type { Role } from "../../core/push.ts";
import { examineDatabase } from "./examination.ts";
import { applicationId } from "./migrations.ts";
import { runThread } from "./thread.ts";

export type CopyRequest = {
  /** The database file of a site. */
  readonly database: string;
  /** Whether the site is at work. If not, the caller holds its lock, and the log beside its database is used up. */
  readonly isRunning: boolean;
  /** An empty file that becomes the copy. */
  readonly target: string;
};

export type CopyProgress = {
  readonly stage: "copying" | "checking" | "reading";
  readonly done: number;
  readonly total: number;
};

/** A copy that is whole: one file, on the disk. */
export type CheckedCopy = {
  readonly bytes: number;
  /** The site's head in the copy, as `1:52`. */
  readonly position: string;
  readonly sha256: string;
};

/**
 * Copies a site's database as it stands at one moment, in a thread of its own and without holding up any writer; then flushes
 * the copy and has SQLite check every page of it. Aborting ends the thread.
 * @throws Refusal `disk_full`, `storage_failed`, `database_corrupt`; the target is then worth nothing
 */
export function copyDatabase(
  request: CopyRequest,
  onProgress: (progress: CopyProgress) => void,
  signal: AbortSignal,
): Promise<CheckedCopy> {
  return runThread({ script: new URL("./snapshot-thread.ts", import.meta.url), request, onProgress, signal });
}

/** Whose snapshot a file is, and of which moment. */
export type SnapshotContents = {
  readonly site: string;
  readonly role: Role;
  /** The head, as `1:52`. */
  readonly position: string;
};

/**
 * Reads a snapshot whole and changes nothing. Blocks: for a process of its own.
 * @param name what the file is called in refusals, where it is itself a copy
 * @throws Refusal `snapshot_invalid` where the file is none, or is damaged; `database_newer`
 */
export function examineSnapshot(path: string, name: string = path): SnapshotContents {
  refuseByHeader(path, name);
  try {
    const { site, role, position, damage } = examineDatabase(path);
    if (damage.length === 0) return { site, role, position };
    throw new Refusal("snapshot_invalid", `${name} is damaged: ${damage[0]}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === "snapshot_invalid" || error.code === "database_newer") throw error;
    throw new Refusal("snapshot_invalid", error.message.replace(path, name));
  }
}

/** Where a database's header says whether it works with a log, and whose it is (sqlite.org/fileformat2.html, section 1.3). */
const headerBytes = 100;
const writeVersionAt = 18;
const logged = 2;
const applicationIdAt = 68;

/** What the header alone tells. A file too short for one is left to those who say what is wrong with it. */
function refuseByHeader(path: string, name: string): void {
  const header = Buffer.alloc(headerBytes);
  const file = openSync(path, "r");
  try {
    if (readSync(file, header, 0, headerBytes, 0) < headerBytes) return;
  } finally {
    closeSync(file);
  }
  if (header.toString("latin1", 0, 6) !== "SQLite") return;
  if (header.readUInt32BE(applicationIdAt) !== applicationId) {
    throw new Refusal("snapshot_invalid", `${name} is the database of another program`);
  }
  // A file that was copied while it lay in a data folder may lack what its log held, and nobody could tell.
  if (header[writeVersionAt] !== logged) return;
  const detail = `${name} is a database file that was copied as it lay: what its log held may be missing`;
  throw new Refusal("snapshot_invalid", detail);
}
