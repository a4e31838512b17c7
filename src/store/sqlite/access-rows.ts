import type { AccessId, VaultId } from "../../core/ids.ts";
import type { StoredRow } from "../../core/row.ts";
import type { BlockedAccess } from "../../core/store/accesses.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowColumns, rowOf } from "./row-table.ts";
import type { Transaction } from "./transaction.ts";

/** SQL: accesses by their id alone. */
const accessesBy = `SELECT ${rowColumns} FROM rows INDEXED BY rows_access`;

/** See AccessReader.find. */
export function readAccess(connection: Connection, accessId: AccessId): StoredRow | undefined {
  const sql = `${accessesBy} WHERE kind = 'access' AND item_id IN (?) ORDER BY vault_id LIMIT 1`;
  const columns = connection.get<RowColumns>(sql, accessId);
  return columns && rowOf(columns);
}

/** See AccessReader.everywhere. */
export function readAccessesById(connection: Connection, accessId: AccessId): StoredRow[] {
  const sql = `${accessesBy} WHERE kind = 'access' AND item_id IN (?) AND deleted = 0 ORDER BY vault_id`;
  return connection.all<RowColumns>(sql, accessId).map(rowOf);
}

/** See AccessReader.ofVault. */
export function readAccesses(
  connection: Connection,
  vaultId: VaultId,
  after: AccessId | undefined,
  limit: number,
): StoredRow[] {
  const sql = `SELECT ${rowColumns} FROM rows WHERE kind = 'access' AND deleted = 0 AND vault_id IN (?) AND item_id > ?
    ORDER BY item_id LIMIT ? + 0`;
  return connection.all<RowColumns>(sql, vaultId, after ?? "", limit).map(rowOf);
}

/** See AccessWriter.block. The first time counts. */
export function blockAccess(tx: Transaction, accessId: AccessId, at: number): void {
  const sql = "INSERT INTO blocked_accesses (access_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING";
  if (tx.connection.run(sql, accessId, at) === 0) return;
  tx.know({ blocked: new Map([...tx.state.blocked, [accessId, at]]) });
}

/** See AccessWriter.unblock. */
export function unblockAccess(tx: Transaction, accessId: AccessId): void {
  tx.connection.run("DELETE FROM blocked_accesses WHERE access_id = ?", accessId);
  tx.know({ blocked: new Map([...tx.state.blocked].filter(([blocked]) => blocked !== accessId)) });
}

export function readBlocked(connection: Connection): BlockedAccess[] {
  return connection
    .all<{ access_id: AccessId; at: number }>("SELECT * FROM blocked_accesses ORDER BY access_id")
    .map(({ access_id: accessId, at }) => ({ accessId, at }));
}
