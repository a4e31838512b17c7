import { type EntryId, parseVersionId, type VaultId, type VersionId, versionIdOf } from "../../core/ids.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowColumns, rowOf } from "./row-table.ts";

/** Above every version that an id can name. */
const aboveAll = 10 ** 10 - 1;

/** SQL: the live versions of entries of a vault, which is the first parameter. */
function liveVersions(columns: string): string {
  return `SELECT ${columns} FROM rows WHERE kind = 'version' AND deleted = 0 AND vault_id IN (?)`;
}

/** See RowReader.versions. */
export function readVersions(
  connection: Connection,
  { vaultId, entryId }: { readonly vaultId: VaultId; readonly entryId: EntryId },
  before: number = aboveAll,
  limit: number,
): StoredRow[] {
  const sql = `${liveVersions(rowColumns)} AND item_id > ? AND item_id < ? ORDER BY item_id DESC LIMIT ? + 0`;
  return connection
    .all<RowColumns>(sql, vaultId, `${entryId}.`, versionIdOf(entryId, Math.min(before, aboveAll)), limit)
    .map(rowOf);
}

/** See RowReader.newestVersion. */
export function readNewestVersion(connection: Connection, vaultId: VaultId, entryId: EntryId): number {
  const sql = `${liveVersions("item_id")} AND item_id > ? AND item_id <= ? ORDER BY item_id DESC LIMIT 1`;
  const newest = connection.get<{ item_id: VersionId }>(
    sql,
    vaultId,
    `${entryId}.`,
    versionIdOf(entryId, aboveAll),
  );
  return newest ? parseVersionId(newest.item_id).version : 0;
}

/** Keys of all live versions of an entry, the oldest first. */
export function readVersionKeys(
  connection: Connection,
  { vaultId, entryId }: { readonly vaultId: VaultId; readonly entryId: EntryId },
): RowKey[] {
  const sql = `${liveVersions("item_id")} AND item_id > ? AND item_id <= ? ORDER BY item_id`;
  return connection
    .all<{ item_id: VersionId }>(sql, vaultId, `${entryId}.`, versionIdOf(entryId, aboveAll))
    .map(({ item_id: versionId }) => ({ kind: "version", vaultId, versionId }));
}

/** Whether any live version of the same entry has a body of this hash. Costs what is kept of that entry. */
export function hasVersion(
  connection: Connection,
  { vaultId, versionId }: RowKey & { readonly kind: "version" },
  hash: Uint8Array,
): boolean {
  const { entryId } = parseVersionId(versionId);
  const sql = `${liveVersions("1")} AND item_id > ? AND item_id <= ? AND hash = ? LIMIT 1`;
  return connection.get(sql, vaultId, `${entryId}.`, versionIdOf(entryId, aboveAll), hash) !== undefined;
}

/** See RowReader.vaultRows. */
export function readVaultRows(
  connection: Connection,
  { vaultId, kind }: { readonly vaultId: VaultId; readonly kind: "entry" | "version" },
  after: EntryId | VersionId | undefined,
  limit: number,
): StoredRow[] {
  const sql = `SELECT ${rowColumns} FROM rows WHERE kind = '${kind}' AND deleted = 0 AND vault_id IN (?) AND item_id > ?
    ORDER BY item_id LIMIT ? + 0`;
  return connection.all<RowColumns>(sql, vaultId, after ?? "", limit).map(rowOf);
}
