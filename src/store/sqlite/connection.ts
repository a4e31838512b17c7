import Sqlite from "better-sqlite3";

/** What SQLite takes as a parameter. */
export type SqlValue = string | number | Uint8Array | null;

type Statement = Sqlite.Statement<SqlValue[], unknown>;

/**
 * One connection and its prepared statements.
 *
 * SQLite's planner looks at values bound to `LIMIT ?`, and to `column = ?` beside an ORDER BY, and then prepares the statement
 * anew for every call, which takes up to ten times as long as running it. The store writes `LIMIT ? + 0` and `column IN (?)`.
 */
export class Connection {
  readonly database: Sqlite.Database;
  readonly #statements = new Map<string, Statement>();

  constructor(database: Sqlite.Database) {
    this.database = database;
  }

  /** The first record; the caller names the shape that the statement selects. */
  get<Rec>(sql: string, ...values: SqlValue[]): Rec | undefined {
    return this.#prepared(sql).get(...values) as Rec | undefined;
  }

  all<Rec>(sql: string, ...values: SqlValue[]): Rec[] {
    return this.#prepared(sql).all(...values) as Rec[];
  }

  /** Record after record, for what is too much to hold at once. Nothing may be changed on this connection meanwhile. */
  each<Rec>(sql: string, ...values: SqlValue[]): IterableIterator<Rec> {
    return this.#prepared(sql).iterate(...values) as IterableIterator<Rec>;
  }

  /** Returns how many records changed. */
  run(sql: string, ...values: SqlValue[]): number {
    return this.#prepared(sql).run(...values).changes;
  }

  /** Every statement prepared so far, for the test that reads their plans. */
  statements(): readonly string[] {
    return [...this.#statements.keys()];
  }

  close(): void {
    this.#statements.clear();
    this.database.close();
  }

  #prepared(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.database.prepare<SqlValue[], unknown>(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** The connections of one store: a memory database has only one, and reads then never meet an open transaction. */
export type Connections = {
  readonly writer: Connection;
  readonly reader: Connection;
};

/** From so many changed pages (2 MB) on, a transaction writes them to the log while it goes on. */
const spillPages = 500;

/** A log that a large write has made longer than this is cut back when it is used up. */
const logBytesKept = 64 * 1024 * 1024;

/**
 * Opens a database file for the store's own use, deleted content overwritten. A commit does not wait for the disk: LogFile flushes
 * the log, and has it copied back into the database.
 */
export function openFile(path: string): Connections {
  const database = new Sqlite(path, { fileMustExist: true });
  try {
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = NORMAL");
    database.pragma("wal_autocheckpoint = 0");
    database.pragma(`journal_size_limit = ${logBytesKept}`);
    database.pragma("cache_size = -6000");
    // What a large write changes goes to the log while it is at work, not all at once in its COMMIT.
    database.pragma(`cache_spill = ${spillPages}`);
    settle(database);
    const reader = new Sqlite(path, { readonly: true, fileMustExist: true });
    reader.pragma("cache_size = -2000");
    return { writer: new Connection(database), reader: new Connection(reader) };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Opens a copy of a database in memory. */
export function openImage(image: Buffer): Connections {
  const database = new Sqlite(withoutWal(image));
  settle(database);
  const connection = new Connection(database);
  return { writer: connection, reader: connection };
}

/** Foreign keys would refuse rows that arrive in another order than they were written in. */
function settle(database: Sqlite.Database): void {
  database.pragma("secure_delete = ON");
  database.pragma("foreign_keys = OFF");
  database.pragma("temp_store = MEMORY");
}

/** Bytes 18 and 19 of a database header ask for a WAL, which a memory database cannot have (sqlite.org/fileformat2.html, 1.3). */
function withoutWal(image: Buffer): Buffer {
  const copy = Buffer.from(image);
  if (copy.length >= 20) copy.fill(1, 18, 20);
  return copy;
}

/** A blob as plain bytes: callers see no Node types. */
export function bytesOf(blob: Uint8Array): Uint8Array {
  return new Uint8Array(blob.buffer, blob.byteOffset, blob.byteLength);
}
