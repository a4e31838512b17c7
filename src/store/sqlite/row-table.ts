import type { AccessId, EntryId, StrandedId, VaultId, VersionId } from "../../core/ids.ts";
import type { Row, RowKey, RowKind, StoredRow } from "../../core/row.ts";
import { bytesOf, type Connection, type SqlValue } from "./connection.ts";

/** The table of replicated rows, of every kind. */

/** A record of the table, as far as a row is made of it. */
export type RowColumns = {
  kind: RowKind;
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

/** What `RowColumns` needs. */
export const rowColumns =
  "kind, vault_id, item_id, epoch, seq, hash, body, replication_dirty, dirty_since, replicated_at";

/** What `OutlineColumns` needs. */
export const outlineColumns = "kind, vault_id, item_id, epoch, seq, hash";

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

export function keyOf(columns: Pick<RowColumns, "kind" | "vault_id" | "item_id">): RowKey {
  const { kind, vault_id: vaultId, item_id: item } = columns;
  switch (kind) {
    case "vault":
      return { kind, vaultId };
    case "access":
      return { kind, vaultId, accessId: item as AccessId };
    case "entry":
      return { kind, vaultId, entryId: item as EntryId };
    case "version":
      return { kind, vaultId, versionId: item as VersionId };
    case "stranded":
      return { kind, vaultId, strandedId: item as StrandedId };
  }
}

export function rowOf(columns: RowColumns): StoredRow {
  return {
    key: keyOf(columns),
    position: { epoch: columns.epoch, seq: columns.seq },
    hash: bytesOf(columns.hash),
    body: columns.body === null ? null : bytesOf(columns.body),
    dirty: columns.replication_dirty === 1,
    dirtySince: columns.dirty_since,
    replicatedAt: columns.replicated_at,
  };
}

/**
 * SQL: the row of a key, whose ids are the next two parameters. The index by key keeps live rows apart from tombstones, so that a
 * key is looked for among both. The kind stands in the statement: as a parameter it might choose another index, one of those for a
 * single kind, and SQLite would prepare the statement anew for every call.
 */
export function ofKey(kind: RowKind): string {
  return `kind = '${kind}' AND deleted IN (0, 1) AND vault_id = ? AND item_id = ?`;
}

function idsOf(key: RowKey): [string, string] {
  return [key.vaultId, itemOf(key)];
}

export function readRow(connection: Connection, key: RowKey): StoredRow | undefined {
  const sql = `SELECT ${rowColumns} FROM rows WHERE ${ofKey(key.kind)}`;
  const columns = connection.get<RowColumns>(sql, ...idsOf(key));
  return columns && rowOf(columns);
}

/** A row without its body: what the digest knows of it. */
export type RowOutline = Pick<Row, "key" | "position" | "hash">;

export type OutlineColumns = Pick<RowColumns, "kind" | "vault_id" | "item_id" | "epoch" | "seq" | "hash">;

export function outlineOf(columns: OutlineColumns): RowOutline {
  const { epoch, seq, hash } = columns;
  return { key: keyOf(columns), position: { epoch, seq }, hash: bytesOf(hash) };
}

export function readOutline(connection: Connection, key: RowKey): RowOutline | undefined {
  const sql = `SELECT ${outlineColumns} FROM rows WHERE ${ofKey(key.kind)}`;
  const columns = connection.get<OutlineColumns>(sql, ...idsOf(key));
  return columns && outlineOf(columns);
}

/** Whether there is a live row of this key. */
export function hasLiveRow(connection: Connection, key: RowKey): boolean {
  const sql = `SELECT 1 FROM rows WHERE kind = '${key.kind}' AND deleted = 0 AND vault_id = ? AND item_id = ?`;
  return connection.get(sql, ...idsOf(key)) !== undefined;
}

/** Removes a row as if it had never been. Only for Transaction.replaceRow, which keeps the buckets in step. */
export function deleteRow(connection: Connection, key: RowKey): void {
  connection.run(`DELETE FROM rows WHERE ${ofKey(key.kind)}`, ...idsOf(key));
}

/** Adds a row of a key that has none. Only for Transaction.replaceRow, which keeps the buckets in step. */
export function insertRow(connection: Connection, row: StoredRow, bucket: number): void {
  connection.run(
    `INSERT INTO rows (${rowColumns}, deleted, bucket) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.key.kind,
    ...idsOf(row.key),
    ...valuesOf(row),
    row.body === null ? 1 : 0,
    bucket,
  );
}

const setValues = `epoch = ?, seq = ?, hash = ?, body = ?, replication_dirty = ?, dirty_since = ?, replicated_at = ?`;

/**
 * Puts another row of the same key in the place of one. Only for Transaction.replaceRow, which keeps the buckets in step. A
 * live row mostly follows a live one, and then the index by key stays as it is.
 */
export function updateRow(connection: Connection, row: StoredRow): void {
  const deleted = row.body === null ? 1 : 0;
  const { kind } = row.key;
  const sameState = `UPDATE rows SET ${setValues} WHERE kind = '${kind}' AND deleted = ${deleted} AND vault_id = ? AND item_id = ?`;
  if (connection.run(sameState, ...valuesOf(row), ...idsOf(row.key)) > 0) return;
  const otherState = `UPDATE rows SET ${setValues}, deleted = ${deleted} WHERE ${ofKey(kind)}`;
  connection.run(otherState, ...valuesOf(row), ...idsOf(row.key));
}

function valuesOf(row: StoredRow): SqlValue[] {
  const { position, hash, body, dirty, dirtySince, replicatedAt } = row;
  return [position.epoch, position.seq, hash, body, dirty ? 1 : 0, dirtySince, replicatedAt];
}
