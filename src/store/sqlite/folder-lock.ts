import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { Refusal } from "../../core/errors.ts";
import { refusalOf } from "./failures.ts";

/** A data folder that no other process can use until this is disposed of or its process ends, however it ends. */
export type FolderLock = Disposable;

/**
 * Takes a data folder for this process. The lock is the operating system's, through SQLite, which knows how each system
 * locks: it cannot outlive the process, as a file with a process id in it would.
 * @throws Refusal `data_in_use` while another holder has it; `data_missing` where there is no such folder
 */
export function lockDataFolder(folder: string): FolderLock {
  if (!existsSync(folder)) throw new Refusal("data_missing", `there is no folder ${folder}`);
  const path = join(folder, "site.lock");
  let database: Sqlite.Database | undefined;
  try {
    createPrivate(path);
    database = new Sqlite(path, { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    throw isBusy(error) ? new Refusal("data_in_use", `another process uses ${folder}`) : refusalOf(error);
  }
  const held = database;
  return { [Symbol.dispose]: () => held.close() };
}

/** Only where it is missing: closing a file that is locked would drop the lock (POSIX, fcntl). */
function createPrivate(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, "a", 0o600));
}

function isBusy(error: unknown): boolean {
  return error instanceof Sqlite.SqliteError && error.code.startsWith("SQLITE_BUSY");
}
