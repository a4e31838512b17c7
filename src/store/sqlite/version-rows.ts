import { type EntryId, parseVersionId, type VaultId, type VersionId, versionIdOf } from "../../core/ids.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowOf, tableOf } from "./replicated-tables.ts";

/** Above every version that an id can name. */
const aboveAll = 10 ** 10 - 1;

/** See VaultStore.versions. */
export function readVersions(
  connection: Connection,
  { vaultId, entryId }: { readonly vaultId: VaultId; readonly entryId: EntryId },
  before: number = aboveAll,
  limit: number,
): StoredRow[] {
  const sql = `${tableOf("version").select} INDEXED BY versions_live
    WHERE deleted = 0 AND vault_id IN (?) AND version_id > ? AND version_id < ? ORDER BY version_id DESC LIMIT ? + 0`;
  return connection
    .all<RowColumns>(sql, vaultId, `${entryId}.`, versionIdOf(entryId, Math.min(before, aboveAll)), limit)
    .map((columns) => rowOf("version", columns));
}

/** See VaultStore.newestVersion. */
export function readNewestVersion(connection: Connection, vaultId: VaultId, entryId: EntryId): number {
  const sql = `SELECT version_id FROM versions INDEXED BY versions_live
    WHERE deleted = 0 AND vault_id IN (?) AND version_id > ? AND version_id <= ? ORDER BY version_id DESC LIMIT 1`;
  const newest = connection.get<{ version_id: VersionId }>(
    sql,
    vaultId,
    `${entryId}.`,
    versionIdOf(entryId, aboveAll),
  );
  return newest ? parseVersionId(newest.version_id).version : 0;
}

/** Keys of all live versions of an entry, the oldest first. */
export function readVersionKeys(
  connection: Connection,
  { vaultId, entryId }: { readonly vaultId: VaultId; readonly entryId: EntryId },
): RowKey[] {
  const sql = `SELECT version_id FROM versions INDEXED BY versions_live
    WHERE deleted = 0 AND vault_id IN (?) AND version_id > ? AND version_id <= ? ORDER BY version_id`;
  return connection
    .all<{ version_id: VersionId }>(sql, vaultId, `${entryId}.`, versionIdOf(entryId, aboveAll))
    .map(({ version_id: versionId }) => ({ kind: "version", vaultId, versionId }));
}

/** Whether any live version of the same entry has a body of this hash. Costs what is kept of that entry. */
export function hasVersion(
  connection: Connection,
  { vaultId, versionId }: RowKey & { readonly kind: "version" },
  hash: Uint8Array,
): boolean {
  const { entryId } = parseVersionId(versionId);
  const sql = `SELECT 1 FROM versions INDEXED BY versions_live
    WHERE deleted = 0 AND vault_id = ? AND version_id > ? AND version_id <= ? AND hash = ? LIMIT 1`;
  return connection.get(sql, vaultId, `${entryId}.`, versionIdOf(entryId, aboveAll), hash) !== undefined;
}

/** See VaultStore.vaultRows. */
export function readVaultRows(
  connection: Connection,
  { vaultId, kind }: { readonly vaultId: VaultId; readonly kind: "entry" | "version" },
  after: EntryId | VersionId | undefined,
  limit: number,
): StoredRow[] {
  const { name, itemColumn, select } = tableOf(kind);
  const sql = `${select} INDEXED BY ${name}_live WHERE deleted = 0 AND vault_id IN (?) AND ${itemColumn} > ?
    ORDER BY ${itemColumn} LIMIT ? + 0`;
  return connection.all<RowColumns>(sql, vaultId, after ?? "", limit).map((columns) => rowOf(kind, columns));
}
