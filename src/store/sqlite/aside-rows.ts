import { type AsideRow, strandedIdOf } from "../../core/aside.ts";
import type { SiteName, StrandedId, VaultId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import type { Position } from "../../core/position.ts";
import { isIntact, type Row, type RowKind } from "../../core/row.ts";
import { bytesOf, type Connection } from "./connection.ts";
import { itemOf, keyOf, readRow } from "./row-table.ts";
import type { Transaction } from "./transaction.ts";

/** Rows that repair or rejoin replaced here. Local to the site: what becomes of them is the primary's to decide. */

type AsideColumns = {
  id: StrandedId;
  kind: RowKind;
  vault_id: VaultId;
  item_id: string;
  epoch: number;
  seq: number;
  hash: Uint8Array;
  body: Uint8Array | null;
  fork_epoch: number;
  fork_seq: number;
  site: SiteName;
  at: number;
};

export type AsideContext = {
  readonly hash: Hash;
  readonly now: number;
  /** Up to where this site's history is the winner's. */
  readonly fork: Position;
};

/**
 * Keeps a row that is about to be replaced or removed, unless it fails its own hash. One identity is kept once: put aside
 * again, it waits again. Returns whether it was kept.
 */
export function putAside(tx: Transaction, row: Row, { hash, now, fork }: AsideContext): boolean {
  if (!isIntact(hash, row)) return false;
  tx.connection.run(
    `INSERT INTO aside (id, kind, vault_id, item_id, epoch, seq, hash, body, fork_epoch, fork_seq, site, at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET body = excluded.body, fork_epoch = excluded.fork_epoch, fork_seq = excluded.fork_seq,
       taken = 0`,
    strandedIdOf(hash, row),
    row.key.kind,
    row.key.vaultId,
    itemOf(row.key),
    row.position.epoch,
    row.position.seq,
    row.hash,
    row.body,
    fork.epoch,
    fork.seq,
    tx.site().site,
    now,
  );
  tx.know({ hasAside: true });
  return true;
}

export function hasAside(connection: Connection): boolean {
  return connection.get("SELECT 1 FROM aside LIMIT 1") !== undefined;
}

/** See AsideReader.waiting. */
export function readAside(
  connection: Connection,
  limit: number,
): { readonly rows: readonly AsideRow[]; readonly waiting: number } {
  const rows = connection
    .all<AsideColumns>(
      "SELECT * FROM aside INDEXED BY aside_waiting WHERE taken = 0 ORDER BY at, rowid LIMIT ? + 0",
      limit,
    )
    .map(asideOf);
  return { rows, waiting: countWaiting(connection) };
}

function asideOf(columns: AsideColumns): AsideRow {
  return {
    id: columns.id,
    key: keyOf(columns),
    position: { epoch: columns.epoch, seq: columns.seq },
    hash: bytesOf(columns.hash),
    body: columns.body && bytesOf(columns.body),
    fork: { epoch: columns.fork_epoch, seq: columns.fork_seq },
    site: columns.site,
    at: columns.at,
  };
}

export function countWaiting(connection: Connection): number {
  const sql = "SELECT count(*) AS waiting FROM aside INDEXED BY aside_waiting WHERE taken = 0";
  return connection.get<{ waiting: number }>(sql)?.waiting ?? 0;
}

/** See AsideWriter.settle. Where what was made of a row was here first, nothing is left to wait for. */
export function settleAside(
  tx: Transaction,
  struck: readonly StrandedId[],
  taken: readonly StrandedId[],
): void {
  const { connection } = tx;
  if (struck.length > 0) tx.leaveRemains();
  for (const id of struck) connection.run("DELETE FROM aside WHERE id = ?", id);
  for (const id of taken) {
    if (hasArrived(connection, id)) connection.run("DELETE FROM aside WHERE id = ?", id);
    else connection.run("UPDATE aside SET taken = 1 WHERE id = ?", id);
  }
  tx.know({ hasAside: hasAside(connection) });
}

function hasArrived(connection: Connection, id: StrandedId): boolean {
  if (isStranded(connection, id)) return true;
  const purge = connection.get<AsideColumns>("SELECT * FROM aside WHERE id = ? AND body IS NULL", id);
  return purge !== undefined && readRow(connection, asideOf(purge).key)?.body === null;
}

/** Whether there is a row of kind `stranded` of this id, or its tombstone. */
export function isStranded(connection: Connection, id: StrandedId): boolean {
  const sql = "SELECT 1 FROM rows INDEXED BY rows_stranded WHERE kind = 'stranded' AND item_id = ? LIMIT 1";
  return connection.get(sql, id) !== undefined;
}

/** To be called when a row has arrived: what was taken is where everybody will find it, stranded or purged anew. */
export function forgetTaken({ connection, state }: Transaction, { key, body }: Row): void {
  if (!state.hasAside) return;
  if (key.kind === "stranded") {
    connection.run("DELETE FROM aside WHERE id = ? AND taken = 1", key.strandedId);
  }
  if (body === null) {
    connection.run(
      `DELETE FROM aside INDEXED BY aside_taken
       WHERE taken = 1 AND body IS NULL AND kind = ? AND vault_id = ? AND item_id = ?`,
      key.kind,
      key.vaultId,
      itemOf(key),
    );
  }
}

/** At a change of epoch: the primary that took them may have been lost before anybody had its stranded rows. */
export function waitAgain({ connection }: Transaction): void {
  connection.run("UPDATE aside INDEXED BY aside_taken SET taken = 0 WHERE taken = 1");
}
