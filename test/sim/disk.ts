import {
  bytesOf,
  Connection,
  type Connections,
  openImage,
  type SqlValue,
} from "../../src/store/sqlite/connection.ts";
import Sqlite from "better-sqlite3";
import { origin, type Position } from "../../src/core/position.ts";
import type { VaultId } from "../../src/core/ids.ts";
import type { Row, RowKey, RowKind, StoredRow } from "../../src/core/row.ts";
import type { Site } from "../../src/core/store/site.ts";
import type { Log } from "../../src/store/sqlite/flushes.ts";
import { itemOf, keyOf, type RowColumns, rowOf } from "../../src/store/sqlite/row-table.ts";
import { readOwnRecord } from "../../src/store/sqlite/site-record.ts";
import { SqliteStore, type StorePorts } from "../../src/store/sqlite/sqlite-store.ts";

/** A connection that outlives the process that uses it, and whose disk can fail in the very moment of a COMMIT. */
class KeptConnection extends Connection {
  failsCommit = false;

  override run(sql: string, ...values: SqlValue[]): number {
    if (sql !== "COMMIT" || !this.failsCommit) return super.run(sql, ...values);
    this.failsCommit = false;
    throw Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR_FSYNC" });
  }

  override close(): void {}

  /** Makes the database hold what an image does, and nothing else. Its statements stay prepared. */
  load(image: Buffer): void {
    this.failsCommit = false;
    if (this.database.inTransaction) this.database.exec("ROLLBACK");
    this.run("BEGIN");
    for (const { name, insertion, rows } of contentsOf(image)) {
      this.run(`DELETE FROM ${name}`);
      for (const row of rows) this.run(insertion, ...row);
    }
    this.run("COMMIT");
  }
}

type Contents = readonly {
  readonly name: string;
  readonly insertion: string;
  readonly rows: readonly SqlValue[][];
}[];

const knownContents = new WeakMap<Buffer, Contents>();

function contentsOf(image: Buffer): Contents {
  const known = knownContents.get(image);
  if (known) return known;
  const database = new Sqlite(image, { readonly: true });
  const names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
  const contents = (names as string[]).map((name) => {
    const select = database.prepare(`SELECT * FROM ${name}`).raw();
    const values = select.columns().map(() => "?");
    const rows = select.all() as SqlValue[][];
    return { name, insertion: `INSERT INTO ${name} VALUES (${values.join(", ")})`, rows };
  });
  database.close();
  knownContents.set(image, contents);
  return contents;
}

/**
 * Databases that no disk uses. Every disk has one of these rather than one of its own: opening a database and preparing its statements
 * costs as much as a tenth of a seed.
 */
const idle: KeptConnection[] = [];

function load(image: Buffer): KeptConnection {
  const connection = idle.pop() ?? new KeptConnection(openImage(image).writer.database);
  connection.load(image);
  return connection;
}

/** When the power may go: what a flush covers is durable at its end, and not a moment earlier. */
export const flushMoments = ["begins", "is at work", "ends"] as const;
export type FlushMoment = (typeof flushMoments)[number];

/** What a disk asks and tells while it flushes. */
export type FlushPorts = {
  /** Resolves when the flush has taken its time; never where the process has ended. */
  readonly wait: () => Promise<void>;
  /** Asked at each moment of a flush; true means that the power is gone. */
  readonly isPowerCut: (moment: FlushMoment) => boolean;
};

/**
 * A site's disk. Its database stays open from one process to the next, for most of what a start costs is opening it: a store
 * loads what it remembers when it is opened, and a process that has ended commits no more. What changes the disk from without does so
 * between two turns of the event loop, when no transaction is open.
 *
 * A process that is killed leaves everything that it has committed. A cut of the power leaves only what was flushed, and only a disk that was
 * armed for it knows what that is: a copy for each flush would cost more than the flush's transactions.
 */
export class Disk {
  #connection: KeptConnection;
  /** Those of processes that have ended, which may still hold them: for nobody else in this world. */
  readonly #former: KeptConnection[] = [];
  /** What a cut of the power leaves; null where the disk is not armed for one. */
  #durable: Buffer | null = null;

  constructor(image: Buffer) {
    this.#connection = load(image);
  }

  /** A process's store. What it finds is durable: opening a database flushes and empties its log. */
  open(ports: StorePorts, flushing: FlushPorts): SqliteStore {
    if (this.isArmed) this.arm();
    const log = { flush: () => this.#flush(flushing) };
    return this.#open(ports, { log });
  }

  /** A store that looks at everything committed, and makes nobody wait for a flush. */
  look(ports: StorePorts): SqliteStore {
    return this.#open(ports, {});
  }

  #open(ports: StorePorts, durability: { readonly log?: Log }): SqliteStore {
    const connections: Connections = { writer: this.#connection, reader: this.#connection };
    return new SqliteStore({ ...ports, ...durability, connections, checkRoom: () => {} });
  }

  /** What was committed before the call is durable when this resolves, and not before. */
  async #flush({ wait, isPowerCut }: FlushPorts): Promise<void> {
    const covered = this.isArmed ? this.image() : null;
    // The caller's transaction is over by then.
    await Promise.resolve();
    if (isPowerCut("begins")) return never();
    await wait();
    if (isPowerCut("is at work")) return never();
    if (covered && this.isArmed) this.#durable = covered;
    if (isPowerCut("ends")) return never();
  }

  get isArmed(): boolean {
    return this.#durable !== null;
  }

  /** From now on the disk knows what a cut of the power leaves; what is on it already stays. */
  arm(): void {
    this.#durable = this.image();
  }

  disarm(): void {
    this.#durable = null;
  }

  /** Loses everything after the last flush. The process that uses the disk must have ended. */
  cutPower(): void {
    if (!this.#durable) throw new Error("the disk is not armed for a cut of the power");
    this.replace(this.#durable);
  }

  /** The site's record as it is committed. */
  site(): Site {
    return readOwnRecord(this.#connection).site;
  }

  /** Whether the next COMMIT fails. */
  set failsCommit(fails: boolean) {
    this.#connection.failsCommit = fails;
  }

  /** What a kill at this moment leaves. */
  image(): Buffer {
    return this.#connection.database.serialize();
  }

  /** Puts another copy in its place. The process that used the disk must have ended. */
  replace(image: Buffer): void {
    this.#former.push(this.#connection);
    this.#connection = load(image);
    this.disarm();
  }

  /** Turns one bit of a row's body or of its stored hash, as a machine's fault does; of a tombstone, always of the hash. */
  flip(key: RowKey, where: "body" | "hash", bit: number): void {
    const { database } = this.#connection;
    const condition = "kind = ? AND vault_id = ? AND item_id = ?";
    const ids = [key.kind, key.vaultId, itemOf(key)];
    const found = database.prepare(`SELECT hash, body FROM rows WHERE ${condition}`).get(...ids);
    const { hash, body } = found as { hash: Buffer; body: Buffer | null };
    const column = where === "body" && body && body.length > 0 ? "body" : "hash";
    const flipped = Buffer.from(column === "body" && body ? body : hash);
    const at = bit % (8 * flipped.length);
    flipped.writeUInt8(flipped.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
    database.prepare(`UPDATE rows SET ${column} = ? WHERE ${condition}`).run(flipped, ...ids);
  }

  /** Where the highest row of an epoch stands that is not dirty; the origin where there is none. */
  highestUnmarked(epoch: number): Position {
    const sql = "SELECT seq FROM rows WHERE epoch = ? AND replication_dirty = 0 ORDER BY seq DESC LIMIT 1";
    const found = this.#connection.get<{ seq: number }>(sql, epoch);
    return found ? { epoch, seq: found.seq } : origin.position;
  }

  hasDirty(): boolean {
    return this.#connection.get("SELECT 1 FROM rows WHERE replication_dirty = 1 LIMIT 1") !== undefined;
  }

  /** Every row, tombstones too, in the order of their positions. */
  rows(): readonly StoredRow[] {
    return this.#connection.all<RowColumns>("SELECT * FROM rows ORDER BY epoch, seq").map(rowOf);
  }

  /** Every row put aside, also those that the primary has taken. */
  asideRows(): readonly Row[] {
    return this.#rows("SELECT * FROM aside");
  }

  /** How often anything on it was changed. */
  changes(): number {
    return this.#connection.get<{ n: number }>("SELECT total_changes() AS n")?.n ?? 0;
  }

  /** Every live row of a vault, and what belongs to it. */
  liveRows(): readonly Row[] {
    return this.#rows("SELECT * FROM rows WHERE body IS NOT NULL AND kind <> 'stranded'");
  }

  #rows(sql: string): readonly Row[] {
    return this.#connection.all<RowRecord>(sql).map((record) => ({
      key: keyOf(record),
      position: { epoch: record.epoch, seq: record.seq },
      hash: bytesOf(record.hash),
      body: record.body && bytesOf(record.body),
    }));
  }

  /** Nothing of it is used any more. */
  close(): void {
    idle.push(this.#connection, ...this.#former);
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

type RowRecord = {
  readonly kind: RowKind;
  readonly vault_id: VaultId;
  readonly item_id: string;
  readonly epoch: number;
  readonly seq: number;
  readonly hash: Buffer;
  readonly body: Buffer | null;
};
