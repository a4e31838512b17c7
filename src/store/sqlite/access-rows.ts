import type { AccessId, VaultId } from "../../core/ids.ts";
import type { StoredRow } from "../../core/row.ts";
import type { BlockedAccess } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowOf, tableOf } from "./replicated-tables.ts";

/** See VaultStore.access. */
export function readAccess(connection: Connection, accessId: AccessId): StoredRow | undefined {
  const sql = `${tableOf("access").select} INDEXED BY accesses_id WHERE access_id IN (?) ORDER BY vault_id LIMIT 1`;
  const columns = connection.get<RowColumns>(sql, accessId);
  return columns && rowOf("access", columns);
}

/** See AccessStore.accessesById. */
export function readAccessesById(connection: Connection, accessId: AccessId): StoredRow[] {
  const sql = `${tableOf("access").select} INDEXED BY accesses_id WHERE access_id IN (?) AND deleted = 0 ORDER BY vault_id`;
  return connection.all<RowColumns>(sql, accessId).map((columns) => rowOf("access", columns));
}

/** See AccessStore.accesses. */
export function readAccesses(
  connection: Connection,
  vaultId: VaultId,
  after: AccessId | undefined,
  limit: number,
): StoredRow[] {
  const sql = `${tableOf("access").select} INDEXED BY accesses_live WHERE deleted = 0 AND vault_id IN (?) AND access_id > ?
    ORDER BY access_id LIMIT ? + 0`;
  return connection
    .all<RowColumns>(sql, vaultId, after ?? "", limit)
    .map((columns) => rowOf("access", columns));
}

/** See AccessStore.blockAccess. The first time counts. */
export function blockAccess(connection: Connection, accessId: AccessId, at: number): void {
  connection.run(
    "INSERT INTO blocked_accesses (access_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
    accessId,
    at,
  );
}

/** See AccessStore.unblockAccess. */
export function unblockAccess(connection: Connection, accessId: AccessId): void {
  connection.run("DELETE FROM blocked_accesses WHERE access_id = ?", accessId);
}

export function isBlocked(connection: Connection, accessId: AccessId): boolean {
  return connection.get("SELECT 1 FROM blocked_accesses WHERE access_id = ?", accessId) !== undefined;
}

export function readBlocked(connection: Connection): BlockedAccess[] {
  return connection
    .all<{ access_id: AccessId; at: number }>("SELECT * FROM blocked_accesses ORDER BY access_id")
    .map(({ access_id: accessId, at }) => ({ accessId, at }));
}
