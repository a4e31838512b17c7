import { closeSync, openSync, readSync, statSync } from "node:fs";
import type Sqlite from "better-sqlite3";
import { Refusal } from "../../core/errors.ts";
import { applicationId, schemaVersion } from "./migrations.ts";

/** A file up to this size is checked whole at every opening; a larger one would make the start take as long as its data. */
const checkedBytesMax = 64 * 1024 * 1024;

const magic = "SQLite format 3\0";

/** What the first 100 bytes say of a database file (sqlite.org/fileformat2.html, section 1.3). */
type Header = { readonly pageBytes: number; readonly pages: number };

/**
 * Looks at a database file before SQLite does, which would take an empty one for a new database and a cut one for what is
 * left of it.
 * @throws Refusal `data_missing`, or `database_corrupt` for a file that is empty, cut short or no database
 */
export function checkFile(path: string): void {
  const bytes = sizeOf(path);
  if (bytes === undefined) throw new Refusal("data_missing", `there is no database at ${path}`);
  if (bytes === 0) throw new Refusal("database_corrupt", `${path} is empty: it was probably truncated`);
  const header = readHeader(path, bytes);
  // What a log holds is not in the file yet; checkOpened looks again when SQLite has taken it over.
  if ((sizeOf(`${path}-wal`) ?? 0) === 0) refuseShort(path, bytes, header);
}

/**
 * Looks at a database that SQLite has opened and whose log is in the file.
 * @throws Refusal `database_corrupt` where its file is cut short, it is not a site's, or (up to 64 MiB) its pages are damaged
 */
export function checkOpened(database: Sqlite.Database, path: string): void {
  const bytes = sizeOf(path) ?? 0;
  refuseShort(path, bytes, readHeader(path, bytes));
  if (
    database.pragma("application_id", { simple: true }) !== applicationId ||
    schemaVersion(database) === 0
  ) {
    throw new Refusal("database_corrupt", `${path} is not the database of a site`);
  }
  if (bytes <= checkedBytesMax) refuseDamaged(database, path);
}

/** @throws Refusal `database_corrupt` where SQLite's own check finds anything */
export function refuseDamaged(database: Sqlite.Database, path: string): void {
  if (database.pragma("quick_check(1)", { simple: true }) !== "ok") {
    throw new Refusal("database_corrupt", `${path} has damaged pages`);
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function refuseShort(path: string, bytes: number, header: Header): void {
  const expected = header.pageBytes * header.pages;
  if (bytes >= expected) return;
  throw new Refusal(
    "database_corrupt",
    `${path} has ${bytes} bytes and should have ${expected}: it was cut short`,
  );
}

function readHeader(path: string, bytes: number): Header {
  const header = Buffer.alloc(100);
  const file = openSync(path, "r");
  try {
    readSync(file, header, 0, 100, 0);
  } finally {
    closeSync(file);
  }
  if (bytes < 100 || header.toString("latin1", 0, 16) !== magic) {
    throw new Refusal("database_corrupt", `${path} does not begin like a database`);
  }
  const stored = header.readUInt16BE(16);
  return { pageBytes: stored === 1 ? 65_536 : stored, pages: header.readUInt32BE(28) };
}
