import { existsSync } from "node:fs";
import { link, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Refusal } from "../core/errors.ts";
import { errnoOf } from "../ops/config/secret-files.ts";
import { freeBytes } from "../ops/disk.ts";
import type { SnapshotAnswer } from "../protocol/admin.ts";
import { type CopyProgress, copyDatabase } from "../store/sqlite/snapshot.ts";
import { syncFolder } from "./new-data-folder.ts";
import { systemRandom } from "./system-ports.ts";

export type SnapshotOptions = {
  /** The database file of the site. */
  readonly database: string;
  /** Whether the site is at work. If not, the caller holds the lock of its data folder. */
  readonly isRunning: boolean;
  /** Where the snapshot is to lie; nothing may be there. */
  readonly path: string;
  /** Room that is left to the data folder's disk, where the snapshot is to lie on the same. */
  readonly diskFreeMinBytes: number;
  readonly progress: (progress: CopyProgress) => void;
  readonly signal: AbortSignal;
};

/**
 * Writes a snapshot of a site that may be at work: the state of one moment, checked and on the disk before it bears its name,
 * readable by its owner only. Whole or not at all, and never over anything.
 * @throws Refusal `file_exists`, `file_unusable`, `disk_full`, `database_corrupt`, `storage_failed`
 */
export async function createSnapshot(options: SnapshotOptions): Promise<SnapshotAnswer> {
  const { database, isRunning, path, progress, signal } = options;
  const draft = join(dirname(path), draftName());
  try {
    if (existsSync(path)) throw exists(path);
    await using undo = new AsyncDisposableStack();
    await (await open(draft, "wx", 0o600)).close();
    undo.defer(() => removeDraft(draft));
    await refuseCrowded(options);
    const copy = await copyDatabase({ database, isRunning, target: draft }, progress, signal);
    await publish(draft, path);
    await syncFolder(dirname(path));
    return { path, ...copy };
  } catch (error) {
    throw refusalAt(path, error);
  }
}

function draftName(): string {
  return `.dormouse-snapshot-${Buffer.from(systemRandom.bytes(6)).toString("hex")}.partial`;
}

/** With what SQLite may have laid beside it. */
async function removeDraft(draft: string): Promise<void> {
  for (const end of ["", "-journal", "-wal", "-shm"]) await rm(`${draft}${end}`, { force: true });
}

/** Told before it is tried: a snapshot must not take from the site the room that it works in. */
async function refuseCrowded({ database, path, diskFreeMinBytes }: SnapshotOptions): Promise<void> {
  const [source, folder] = await Promise.all([stat(database), stat(dirname(path))]);
  const log = await stat(`${database}-wal`).catch(() => undefined);
  const keptBytes = source.dev === folder.dev ? diskFreeMinBytes : 0;
  const neededBytes = source.size + (log?.size ?? 0) + keptBytes;
  if ((await freeBytes(dirname(path))) < neededBytes) throw new Refusal("disk_full");
}

/** Where a file system has no links, a name of our own is exchanged for the file: nobody else's is ever replaced. */
async function publish(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(errnoOf(error) ?? "")) throw error;
    await (await open(path, "wx", 0o600)).close();
    await rename(draft, path);
  }
}

function exists(path: string): Refusal {
  return new Refusal("file_exists", `${path} exists`);
}

function refusalAt(path: string, error: unknown): unknown {
  if (error instanceof Refusal && error.code === "disk_full") {
    return new Refusal("disk_full", `there is too little room for a snapshot at ${path}`);
  }
  if (error instanceof Refusal && error.code === "storage_failed") {
    return new Refusal("storage_failed", `no snapshot could be made at ${path}: ${error.message}`);
  }
  const code = errnoOf(error);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  if (code === "EEXIST") return exists(path);
  if (code === "ENOSPC" || code === "EDQUOT") return refusalAt(path, new Refusal("disk_full"));
  return new Refusal("file_unusable", `no snapshot can be written at ${path} (${code})`);
}
