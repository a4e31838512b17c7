import type Sqlite from "better-sqlite3";
import { Refusal } from "../../core/errors.ts";

/** One step of the schema. Never changed once released; `up` runs in a transaction of its own together with its version. */
export type Migration = { readonly version: number; readonly up: (database: Sqlite.Database) => void };

/** `Dorm`, in the header of every database of this program. */
export const applicationId = 0x446f726d;

/**
 * The table of replicated rows, whatever their kind: a row holds the hash of its body, so replication needs no knowledge of
 * bodies. Every index costs each write, so there are as few as the queries need. By key, with the live rows in front of the
 * tombstones, so that listing live ones never passes those; the digest's bucket stands in that index, so that the rows of one
 * bucket are found in it. By position for listing, marking and clearing what lies above one; the age of each mark stands in that
 * index, so that the lag of a long backlog is found in it. Accesses and stranded rows are also looked up by their id alone.
 */
const rowsTable = `
  CREATE TABLE rows (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    vault_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    replication_dirty INTEGER NOT NULL,
    dirty_since INTEGER,
    replicated_at INTEGER,
    hash BLOB NOT NULL,
    body BLOB,
    CHECK ((deleted = 1) = (body IS NULL)),
    CHECK ((replication_dirty = 1) = (dirty_since IS NOT NULL))
  ) STRICT;
  CREATE UNIQUE INDEX rows_key ON rows (kind, deleted, vault_id, item_id, bucket);
  CREATE INDEX rows_position ON rows (epoch, seq, dirty_since);
  CREATE INDEX rows_access ON rows (item_id, vault_id) WHERE kind = 'access';
  CREATE INDEX rows_stranded ON rows (item_id, vault_id) WHERE kind = 'stranded';

  CREATE TABLE last_uses (
    vault_id TEXT NOT NULL,
    access_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (vault_id, access_id)
  ) STRICT, WITHOUT ROWID;
`;

/**
 * The site's own record, its digest in parts of 64 buckets, its history, its operators, the accesses that it alone refuses, and
 * what it promised (`grants`) or answered (`grant_answers`) when the role of primary was handed over.
 */
const siteTables = `
  CREATE TABLE site (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    site TEXT NOT NULL,
    realm TEXT,
    role TEXT NOT NULL,
    fenced TEXT,
    epoch_number INTEGER NOT NULL,
    epoch_id TEXT NOT NULL,
    seen_number INTEGER NOT NULL,
    seen_id TEXT NOT NULL,
    head_epoch INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,
    head_chain BLOB NOT NULL CHECK (length(head_chain) = 32),
    primary_site TEXT,
    primary_url TEXT,
    last_push_at INTEGER,
    verified_epoch INTEGER,
    verified_seq INTEGER,
    verified_at INTEGER,
    complete INTEGER NOT NULL DEFAULT 1,
    pruned_epoch INTEGER NOT NULL DEFAULT 0,
    pruned_seq INTEGER NOT NULL DEFAULT 0,
    remains INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  CREATE TABLE timeline (
    line INTEGER PRIMARY KEY,
    epoch_number INTEGER NOT NULL,
    epoch_id TEXT NOT NULL,
    site TEXT NOT NULL,
    from_epoch INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    from_chain BLOB NOT NULL CHECK (length(from_chain) = 32)
  ) STRICT;

  CREATE TABLE history (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    acknowledged INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (epoch, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE digest (
    part INTEGER PRIMARY KEY,
    buckets BLOB NOT NULL CHECK (length(buckets) = 2048)
  ) STRICT;

  CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    to_site TEXT NOT NULL,
    epoch_number INTEGER NOT NULL,
    epoch_id TEXT NOT NULL,
    head_epoch INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,
    head_chain BLOB NOT NULL CHECK (length(head_chain) = 32)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE grant_answers (
    id TEXT PRIMARY KEY,
    answer TEXT NOT NULL,
    epoch_number INTEGER,
    epoch_id TEXT
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE operators (
    token_id TEXT PRIMARY KEY,
    verifier BLOB NOT NULL,
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE blocked_accesses (
    access_id TEXT PRIMARY KEY,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/**
 * What a primary knows of its backups, what a backup knows that it lacks, and the rows put aside. Those have hashes for names:
 * kept in the order in which they come, and not by name, a hundred thousand of them go to the disk once and not many times.
 */
const peerTables = `
  CREATE TABLE peers (
    site TEXT PRIMARY KEY,
    acked_epoch INTEGER,
    acked_seq INTEGER,
    acked_chain BLOB,
    last_ack_at INTEGER,
    is_new INTEGER NOT NULL DEFAULT 1,
    verified_epoch INTEGER,
    verified_seq INTEGER,
    verified_at INTEGER,
    diverged INTEGER NOT NULL DEFAULT 0,
    repairs INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE aside (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    vault_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    body BLOB,
    fork_epoch INTEGER NOT NULL,
    fork_seq INTEGER NOT NULL,
    site TEXT NOT NULL,
    at INTEGER NOT NULL,
    taken INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX aside_waiting ON aside (at) WHERE taken = 0;
  CREATE INDEX aside_taken ON aside (id) WHERE taken = 1;

  CREATE TABLE quarantine (
    kind TEXT NOT NULL,
    vault_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    peer TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (kind, vault_id, item_id, peer)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE rejections (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (kind, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX quarantine_peer ON quarantine (peer, epoch, seq);
`;

/**
 * The chains of the audit that this site holds copies of (`own`: that it appends to), their records, and what each peer has last
 * shown of all chains. Where a chain ends, its last record says. A record's `at` is its site's clock; by it, records of all chains are listed.
 */
const auditTables = `
  CREATE TABLE audit_chains (
    id INTEGER PRIMARY KEY,
    chain TEXT NOT NULL UNIQUE,
    site TEXT NOT NULL,
    own INTEGER NOT NULL,
    forked INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    trouble_seq INTEGER,
    trouble_hash BLOB,
    trouble_peer TEXT,
    anchor_seq INTEGER NOT NULL,
    anchor_hash BLOB NOT NULL CHECK (length(anchor_hash) = 32)
  ) STRICT;

  CREATE TABLE audit_records (
    chain INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    vault_id TEXT,
    item_id TEXT,
    address TEXT,
    result TEXT NOT NULL,
    details BLOB,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (chain, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX audit_records_at ON audit_records (at, chain, seq);

  CREATE TABLE audit_shown (
    peer TEXT PRIMARY KEY,
    heads TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const alertTables = `
  CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    message TEXT NOT NULL,
    details TEXT NOT NULL,
    at INTEGER NOT NULL,
    incident TEXT NOT NULL,
    opens INTEGER NOT NULL,
    ended_at INTEGER
  ) STRICT;
  CREATE INDEX alerts_at ON alerts (at);
  CREATE INDEX alerts_open ON alerts (event, subject) WHERE opens = 1 AND ended_at IS NULL;

  CREATE TABLE deliveries (
    channel TEXT NOT NULL,
    alert_id INTEGER NOT NULL,
    PRIMARY KEY (channel, alert_id)
  ) STRICT, WITHOUT ROWID;
`;

const first: Migration = {
  version: 1,
  up: (database) => {
    database.exec(siteTables);
    database.exec(peerTables);
    database.exec(alertTables);
    database.exec(auditTables);
    database.exec(rowsTable);
  },
};

export const migrations: readonly Migration[] = [first];

/** The version of a database's schema; 0 for one without any. */
export function schemaVersion(database: Sqlite.Database): number {
  const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").get();
  if (known === undefined) return 0;
  return Number(database.prepare("SELECT coalesce(max(version), 0) FROM migrations").pluck().get());
}

export function newestVersion(steps: readonly Migration[]): number {
  return Math.max(0, ...steps.map((step) => step.version));
}

/** @throws Refusal `database_newer` where the database has steps that this program does not know */
export function refuseNewer(database: Sqlite.Database, steps: readonly Migration[]): void {
  const [stored, known] = [schemaVersion(database), newestVersion(steps)];
  if (stored <= known) return;
  throw new Refusal("database_newer", `the database has schema ${stored}; this program knows up to ${known}`);
}

/** Runs what the database lacks, in order, each step in its own transaction: a crash leaves a whole number of them. */
export function migrate(database: Sqlite.Database, steps: readonly Migration[], now: number): void {
  const stored = schemaVersion(database);
  if (stored === 0) prepareEmpty(database);
  for (const step of steps.toSorted((a, b) => a.version - b.version)) {
    if (step.version > stored) runStep(database, step, now);
  }
}

function prepareEmpty(database: Sqlite.Database): void {
  database.pragma(`application_id = ${applicationId}`);
  database.exec(
    "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
  );
}

function runStep(database: Sqlite.Database, step: Migration, now: number): void {
  database
    .transaction(() => {
      step.up(database);
      database.prepare("INSERT INTO migrations (version, applied_at) VALUES (?, ?)").run(step.version, now);
    })
    .immediate();
}
