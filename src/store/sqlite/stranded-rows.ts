import type { StrandedId } from "../../core/ids.ts";
import type { StoredRow } from "../../core/row.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowColumns, rowOf } from "./row-table.ts";

/** SQL: stranded rows by their id alone. */
const strandedBy = `SELECT ${rowColumns} FROM rows INDEXED BY rows_stranded`;

/** See AsideReader.stranded. */
export function readStranded(
  connection: Connection,
  after: StrandedId | null,
  limit: number,
): { readonly rows: readonly StoredRow[]; readonly total: number } {
  const rows = connection
    .all<RowColumns>(
      `${strandedBy} WHERE kind = 'stranded' AND item_id > ? AND deleted = 0 ORDER BY item_id, vault_id LIMIT ? + 0`,
      after ?? "",
      limit,
    )
    .map(rowOf);
  const count = "SELECT count(*) AS total FROM rows WHERE kind = 'stranded' AND deleted = 0";
  return { rows, total: connection.get<{ total: number }>(count)?.total ?? 0 };
}

/** See AsideReader.strandedById. */
export function readStrandedById(connection: Connection, id: StrandedId): StoredRow | undefined {
  const sql = `${strandedBy} WHERE kind = 'stranded' AND item_id IN (?) ORDER BY vault_id LIMIT 1`;
  const columns = connection.get<RowColumns>(sql, id);
  return columns && rowOf(columns);
}
