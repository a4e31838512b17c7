import type { SiteName } from "../../core/ids.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import { formatKey, type RowKey, type StoredRow } from "../../core/row.ts";
import type { Acknowledgement, RefusedRow } from "../../core/store/replication.ts";
import type { Connection } from "./connection.ts";
import { namedRejectionsMax } from "./rejections.ts";
import {
  itemOf,
  keyOf,
  outlineColumns,
  outlineOf,
  type OutlineColumns,
  type RowColumns,
  type RowOutline,
  readOutline,
  rowColumns,
  rowOf,
} from "./row-table.ts";
import type { Transaction } from "./transaction.ts";

/**
 * Rows that a peer refused, each at the position it was refused at. A row that has changed since stands at another position
 * and is in no quarantine, for what was wrong with the old one says nothing of it; what is still written here of its old one
 * goes when a peer takes it.
 */

/** SQL: whether the record `q` of the quarantine is a row of the table as it stands. */
export const standsIn = `rows.kind = q.kind AND rows.deleted IN (0, 1) AND rows.vault_id = q.vault_id AND rows.item_id = q.item_id
  AND rows.epoch = q.epoch AND rows.seq = q.seq`;

function prefixed(columns: string): string {
  return columns.replaceAll(/\w+/g, "rows.$&");
}

export function readQuarantined(
  connection: Connection,
  peer: SiteName,
  after: Position,
  limit: number,
): StoredRow[] {
  const sql = `SELECT ${prefixed(rowColumns)} FROM quarantine AS q INDEXED BY quarantine_peer CROSS JOIN rows ON ${standsIn}
    WHERE q.peer IN (?) AND (q.epoch, q.seq) > (?, ?) ORDER BY q.epoch, q.seq LIMIT ? + 0`;
  return connection.all<RowColumns>(sql, peer, after.epoch, after.seq, limit).map(rowOf);
}

/** Every row in this peer's quarantine, at most `limit` of them. */
export function readQuarantinedOutlines(connection: Connection, peer: SiteName, limit: number): RowOutline[] {
  const sql = `SELECT ${prefixed(outlineColumns)} FROM quarantine AS q INDEXED BY quarantine_peer
    CROSS JOIN rows ON ${standsIn} WHERE q.peer IN (?) ORDER BY q.epoch, q.seq LIMIT ? + 0`;
  return connection.all<OutlineColumns>(sql, peer, limit).map(outlineOf);
}

/** Whether any peer refuses a row, as it stands or as it stood. */
export function hasQuarantined(connection: Connection): boolean {
  return connection.get("SELECT 1 FROM quarantine LIMIT 1") !== undefined;
}

/** Whether any peer refuses this row as it stands. */
export function isQuarantined(connection: Connection, key: RowKey): boolean {
  const sql = `SELECT 1 FROM quarantine AS q CROSS JOIN rows ON ${standsIn}
    WHERE q.kind = ? AND q.vault_id = ? AND q.item_id = ? LIMIT 1`;
  return connection.get(sql, key.kind, key.vaultId, itemOf(key)) !== undefined;
}

/** Notes whether anything is in quarantine: to be called when what is in it has changed. */
function noteQuarantined(tx: Transaction): void {
  tx.know({ hasQuarantined: hasQuarantined(tx.connection) });
}

/**
 * Puts the rejected in, where they still stand as they were pushed, and takes the accepted out. Returns the keys of those that
 * were in.
 */
export function settleQuarantine(tx: Transaction, peer: SiteName, ack: Acknowledgement): readonly RowKey[] {
  const rejected = new Set(ack.rejected.map(({ key }) => formatKey(key)));
  quarantineRows(tx, peer, ack.rejected);
  if (!tx.state.hasQuarantined) return [];
  const accepted = ack.rows.filter(({ key }) => !rejected.has(formatKey(key)));
  const left = accepted.filter(({ key, position }) => takeOut(tx.connection, peer, key, position));
  if (left.length > 0) noteQuarantined(tx);
  return left.map(({ key }) => key);
}

/** Puts in those that still stand at the position they were refused at. */
export function quarantineRows(tx: Transaction, peer: SiteName, rows: readonly RefusedRow[]): void {
  if (rows.length === 0) return;
  for (const row of rows) {
    const stored = readOutline(tx.connection, row.key);
    const isSame = stored && comparePositions(stored.position, row.position) === 0;
    if (isSame) putIn(tx.connection, peer, row);
  }
  noteQuarantined(tx);
}

/** What lies above acked is pushed in any case: a backup that went back has forgotten that it refused it, and may take it now. */
export function leaveAbove(tx: Transaction, peer: SiteName, { epoch, seq }: Position): void {
  tx.connection.run("DELETE FROM quarantine WHERE peer = ? AND (epoch, seq) > (?, ?)", peer, epoch, seq);
  noteQuarantined(tx);
}

/** Empties the quarantine of one peer, or of all of them. */
export function emptyQuarantine(tx: Transaction, peer: SiteName | null): void {
  tx.connection.run("DELETE FROM quarantine WHERE peer = coalesce(?, peer)", peer);
  noteQuarantined(tx);
}

/**
 * A backup names everything that it refused and lacks at or below where it stands: what it does not name it has taken since, by a push
 * whose answer was lost, or could not be stored here. Rows that are too large it was never shown. Returns the keys of those that
 * left quarantine.
 * @param named what it named, to be put in again
 */
export function leaveUnnamed(
  tx: Transaction,
  peer: SiteName,
  { epoch, seq }: Position,
  named: readonly RefusedRow[],
): readonly RowKey[] {
  if (named.length >= namedRejectionsMax || !tx.state.hasQuarantined) return [];
  const which = "peer = ? AND (epoch, seq) <= (?, ?) AND code <> 'too_large'";
  const left = tx.connection.all<Pick<RowColumns, "kind" | "vault_id" | "item_id">>(
    `DELETE FROM quarantine WHERE ${which} RETURNING kind, vault_id, item_id`,
    peer,
    epoch,
    seq,
  );
  noteQuarantined(tx);
  return left.map(keyOf);
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
function takeOut(connection: Connection, peer: SiteName, key: RowKey, position: Position): boolean {
  return (
    connection.run(
      "DELETE FROM quarantine WHERE kind = ? AND vault_id = ? AND item_id = ? AND peer = ? AND (epoch, seq) <= (?, ?)",
      key.kind,
      key.vaultId,
      itemOf(key),
      peer,
      position.epoch,
      position.seq,
    ) > 0
  );
}
