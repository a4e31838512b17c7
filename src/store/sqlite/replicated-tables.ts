import type { AccessId, EntryId, StrandedId, VaultId, VersionId } from "../../core/ids.ts";
import { type Row, type RowKey, type RowKind, rowKinds, type StoredRow } from "../../core/row.ts";
import { bytesOf, type Connection, type SqlValue } from "./connection.ts";

/** What the tables of replicated rows have in common, and the little in which they differ. The only list of them. */
export type ReplicatedTable = {
  readonly kind: RowKind;
  readonly name: string;
  /** The second key column; vaults have none. */
  readonly itemColumn: string | undefined;
  /** What `RowColumns` needs, each column under its table's name. */
  readonly columns: string;
  /** What `OutlineColumns` needs. */
  readonly outlineColumns: string;
  readonly select: string;
  readonly upsert: string;
};

/** A record of any of the tables, under column names that they share. */
export type RowColumns = {
  vault_id: VaultId;
  item_id: string;
  epoch: number;
  seq: number;
  hash: Uint8Array;
  body: Uint8Array | null;
  replication_dirty: number;
  dirty_since: number | null;
  replicated_at: number | null;
};

function describe(kind: RowKind, name: string, itemColumn: string | undefined): ReplicatedTable {
  const item = itemColumn === undefined ? "''" : `${name}.${itemColumn}`;
  const own = ["epoch", "seq", "hash", "body", "replication_dirty", "dirty_since", "replicated_at"];
  const columns = [
    `${name}.vault_id`,
    `${item} AS item_id`,
    ...own.map((column) => `${name}.${column}`),
  ].join(", ");
  const keys = itemColumn === undefined ? "vault_id" : `vault_id, ${itemColumn}`;
  const marks = keys.replaceAll(/\w+/g, "?");
  return {
    kind,
    name,
    itemColumn,
    columns,
    outlineColumns: [
      `${name}.vault_id`,
      `${item} AS item_id`,
      `${name}.epoch`,
      `${name}.seq`,
      `${name}.hash`,
    ].join(", "),
    select: `SELECT ${columns} FROM ${name}`,
    upsert: `INSERT INTO ${name} (${keys}, epoch, seq, deleted, hash, body, bucket, replication_dirty, dirty_since, replicated_at)
      VALUES (${marks}, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (${keys}) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, deleted = excluded.deleted,
        hash = excluded.hash, body = excluded.body, bucket = excluded.bucket, replication_dirty = excluded.replication_dirty,
        dirty_since = excluded.dirty_since, replicated_at = excluded.replicated_at`,
  };
}

const described = {
  vault: describe("vault", "vaults", undefined),
  access: describe("access", "accesses", "access_id"),
  entry: describe("entry", "entries", "entry_id"),
  version: describe("version", "versions", "version_id"),
  stranded: describe("stranded", "stranded", "stranded_id"),
} as const satisfies Record<RowKind, ReplicatedTable>;

export const replicatedTables: readonly ReplicatedTable[] = rowKinds.map((kind) => described[kind]);

export function tableOf(kind: RowKind): ReplicatedTable {
  return described[kind];
}

/** The id within the vault; empty for the vault itself. */
export function itemOf(key: RowKey): string {
  switch (key.kind) {
    case "vault":
      return "";
    case "access":
      return key.accessId;
    case "entry":
      return key.entryId;
    case "version":
      return key.versionId;
    case "stranded":
      return key.strandedId;
  }
}

export function keyOf(
  kind: RowKind,
  columns: { readonly vault_id: VaultId; readonly item_id: string },
): RowKey {
  const vaultId = columns.vault_id;
  switch (kind) {
    case "vault":
      return { kind, vaultId };
    case "access":
      return { kind, vaultId, accessId: columns.item_id as AccessId };
    case "entry":
      return { kind, vaultId, entryId: columns.item_id as EntryId };
    case "version":
      return { kind, vaultId, versionId: columns.item_id as VersionId };
    case "stranded":
      return { kind, vaultId, strandedId: columns.item_id as StrandedId };
  }
}

export function rowOf(kind: RowKind, columns: RowColumns): StoredRow {
  return {
    key: keyOf(kind, columns),
    position: { epoch: columns.epoch, seq: columns.seq },
    hash: bytesOf(columns.hash),
    body: columns.body === null ? null : bytesOf(columns.body),
    dirty: columns.replication_dirty === 1,
    dirtySince: columns.dirty_since,
    replicatedAt: columns.replicated_at,
  };
}

function keyValues(key: RowKey): SqlValue[] {
  return key.kind === "vault" ? [key.vaultId] : [key.vaultId, itemOf(key)];
}

export function readRow(connection: Connection, key: RowKey): StoredRow | undefined {
  const columns = connection.get<RowColumns>(selectByKey[key.kind], ...keyValues(key));
  return columns && rowOf(key.kind, columns);
}

/** A row without its body: what the digest knows of it. */
export type RowOutline = Pick<Row, "key" | "position" | "hash">;

export type OutlineColumns = Pick<RowColumns, "vault_id" | "item_id" | "epoch" | "seq" | "hash">;

export function outlineOf(kind: RowKind, columns: OutlineColumns): RowOutline {
  const { epoch, seq, hash } = columns;
  return { key: keyOf(kind, columns), position: { epoch, seq }, hash: bytesOf(hash) };
}

export function readOutline(connection: Connection, key: RowKey): RowOutline | undefined {
  const columns = connection.get<OutlineColumns>(outlineByKey[key.kind], ...keyValues(key));
  return columns && outlineOf(key.kind, columns);
}

const byKey: Readonly<Record<RowKind, string>> = {
  vault: "vaults WHERE vault_id = ?",
  access: "accesses WHERE vault_id = ? AND access_id = ?",
  entry: "entries WHERE vault_id = ? AND entry_id = ?",
  version: "versions WHERE vault_id = ? AND version_id = ?",
  stranded: "stranded WHERE vault_id = ? AND stranded_id = ?",
};

const selectByKey = forEachKind((kind) => `SELECT ${described[kind].columns} FROM ${byKey[kind]}`);
const outlineByKey = forEachKind((kind) => `SELECT ${described[kind].outlineColumns} FROM ${byKey[kind]}`);
const deleteByKey = forEachKind((kind) => `DELETE FROM ${byKey[kind]}`);

function forEachKind(of: (kind: RowKind) => string): Readonly<Record<RowKind, string>> {
  return {
    vault: of("vault"),
    access: of("access"),
    entry: of("entry"),
    version: of("version"),
    stranded: of("stranded"),
  };
}

/** Removes a row as if it had never been. Only for Transaction.replaceRow, which keeps the buckets in step. */
export function deleteRow(connection: Connection, key: RowKey): void {
  connection.run(deleteByKey[key.kind], ...keyValues(key));
}

/** Puts a row in place, whatever stood there. Only for Transaction.replaceRow, which keeps the buckets in step. */
export function storeRow(connection: Connection, row: StoredRow, bucket: number): void {
  connection.run(
    described[row.key.kind].upsert,
    ...keyValues(row.key),
    row.position.epoch,
    row.position.seq,
    row.body === null ? 1 : 0,
    row.hash,
    row.body,
    bucket,
    row.dirty ? 1 : 0,
    row.dirtySince,
    row.replicatedAt,
  );
}
