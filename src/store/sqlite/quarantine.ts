import type { SiteName } from "../../core/ids.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import { formatKey, type RowKey, type StoredRow } from "../../core/row.ts";
import type { Acknowledgement, RefusedRow } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import {
  itemOf,
  outlineOf,
  type OutlineColumns,
  type ReplicatedTable,
  type RowColumns,
  type RowOutline,
  readOutline,
  replicatedTables,
  rowOf,
} from "./replicated-tables.ts";
import { namedRejectionsMax } from "./rejections.ts";

/**
 * Rows that a peer refused, each at the position it was refused at. A row that has changed since stands at another position
 * and is in no quarantine, for what was wrong with the old one says nothing of it; what is still written here of its old one
 * goes when a peer takes it.
 */

/** SQL: whether the record `q` of the quarantine is a row of the table as it stands. */
export function standsIn({ kind, name, itemColumn }: ReplicatedTable): string {
  const item = itemColumn === undefined ? "''" : `${name}.${itemColumn}`;
  return `q.kind = '${kind}' AND q.vault_id = ${name}.vault_id AND q.item_id = ${item}
    AND q.epoch = ${name}.epoch AND q.seq = ${name}.seq`;
}

export function readQuarantined(
  connection: Connection,
  peer: SiteName,
  after: Position,
  limit: number,
): StoredRow[] {
  return replicatedTables
    .flatMap((table) =>
      connection
        .all<RowColumns>(quarantinedSql(table), peer, after.epoch, after.seq, limit)
        .map((columns) => rowOf(table.kind, columns)),
    )
    .toSorted((a, b) => comparePositions(a.position, b.position))
    .slice(0, limit);
}

function quarantinedSql(table: ReplicatedTable): string {
  return `SELECT ${table.columns} FROM quarantine AS q INDEXED BY quarantine_peer CROSS JOIN ${table.name} ON ${standsIn(table)}
    WHERE q.peer IN (?) AND (q.epoch, q.seq) > (?, ?) ORDER BY q.epoch, q.seq LIMIT ? + 0`;
}

/** Every row in this peer's quarantine, at most `limit` of them. */
export function readQuarantinedOutlines(connection: Connection, peer: SiteName, limit: number): RowOutline[] {
  if (!hasQuarantined(connection, peer)) return [];
  return replicatedTables
    .flatMap((table) =>
      connection
        .all<OutlineColumns>(outlinesSql(table), peer, limit)
        .map((columns) => outlineOf(table.kind, columns)),
    )
    .slice(0, limit);
}

function outlinesSql(table: ReplicatedTable): string {
  return `SELECT ${table.outlineColumns} FROM quarantine AS q INDEXED BY quarantine_peer
    CROSS JOIN ${table.name} ON ${standsIn(table)} WHERE q.peer IN (?) LIMIT ? + 0`;
}

function hasQuarantined(connection: Connection, peer: SiteName): boolean {
  const sql = "SELECT 1 FROM quarantine INDEXED BY quarantine_peer WHERE peer = ? LIMIT 1";
  return connection.get(sql, peer) !== undefined;
}

/** Puts the rejected in, where they still stand as they were pushed, and takes the accepted out. */
export function settleQuarantine(connection: Connection, peer: SiteName, ack: Acknowledgement): void {
  const rejected = new Set(ack.rejected.map(({ key }) => formatKey(key)));
  quarantineRows(connection, peer, ack.rejected);
  if (!hasQuarantined(connection, peer)) return;
  for (const { key, position } of ack.rows) {
    if (!rejected.has(formatKey(key))) takeOut(connection, peer, key, position);
  }
}

/** Puts in those that still stand at the position they were refused at. */
export function quarantineRows(connection: Connection, peer: SiteName, rows: readonly RefusedRow[]): void {
  for (const row of rows) {
    const stored = readOutline(connection, row.key);
    if (stored && comparePositions(stored.position, row.position) === 0) putIn(connection, peer, row);
  }
}

/** What lies above acked is pushed in any case: a backup that went back has forgotten that it refused it, and may take it now. */
export function leaveAbove(connection: Connection, peer: SiteName, { epoch, seq }: Position): void {
  connection.run("DELETE FROM quarantine WHERE peer = ? AND (epoch, seq) > (?, ?)", peer, epoch, seq);
}

/**
 * A backup names everything that it refused and lacks at or below where it stands: what it does not name it has taken since, by a push
 * whose answer was lost, or could not be stored here. Rows that are too large it was never shown.
 * @param named what it named, to be put in again
 */
export function leaveUnnamed(
  connection: Connection,
  peer: SiteName,
  { epoch, seq }: Position,
  named: readonly RefusedRow[],
): void {
  if (named.length >= namedRejectionsMax) return;
  connection.run(
    "DELETE FROM quarantine WHERE peer = ? AND (epoch, seq) <= (?, ?) AND code <> 'too_large'",
    peer,
    epoch,
    seq,
  );
}

function putIn(connection: Connection, peer: SiteName, row: RefusedRow): void {
  connection.run(
    `INSERT INTO quarantine (kind, vault_id, item_id, peer, epoch, seq, code) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (kind, vault_id, item_id, peer) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, code = excluded.code`,
    row.key.kind,
    row.key.vaultId,
    itemOf(row.key),
    peer,
    row.position.epoch,
    row.position.seq,
    row.code,
  );
}

/** Only up to the position pushed: a late answer about an older one says nothing of the row as it is. */
function takeOut(connection: Connection, peer: SiteName, key: RowKey, position: Position): void {
  connection.run(
    "DELETE FROM quarantine WHERE kind = ? AND vault_id = ? AND item_id = ? AND peer = ? AND (epoch, seq) <= (?, ?)",
    key.kind,
    key.vaultId,
    itemOf(key),
    peer,
    position.epoch,
    position.seq,
  );
}
