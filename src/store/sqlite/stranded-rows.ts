import type { StrandedId } from "../../core/ids.ts";
import type { StoredRow } from "../../core/row.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowOf, tableOf } from "./replicated-tables.ts";

/** See AsideStore.stranded. */
export function readStranded(
  connection: Connection,
  after: StrandedId | null,
  limit: number,
): { readonly rows: readonly StoredRow[]; readonly total: number } {
  const rows = connection
    .all<RowColumns>(
      `${tableOf("stranded").select} INDEXED BY stranded_id WHERE stranded_id > ? AND deleted = 0
       ORDER BY stranded_id, vault_id LIMIT ? + 0`,
      after ?? "",
      limit,
    )
    .map((columns) => rowOf("stranded", columns));
  const count = "SELECT count(*) AS total FROM stranded INDEXED BY stranded_live WHERE deleted = 0";
  return { rows, total: connection.get<{ total: number }>(count)?.total ?? 0 };
}

/** See AsideStore.strandedById. */
export function readStrandedById(connection: Connection, id: StrandedId): StoredRow | undefined {
  const sql = `${tableOf("stranded").select} INDEXED BY stranded_id WHERE stranded_id IN (?) ORDER BY vault_id LIMIT 1`;
  const columns = connection.get<RowColumns>(sql, id);
  return columns && rowOf("stranded", columns);
}
