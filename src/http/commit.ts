import type { StoredRow } from "../core/row.ts";
import type { Store, Write } from "../core/store.ts";

/** Where a write has left its row. */
export type Committed = { readonly row: StoredRow | undefined; readonly isChanged: boolean };

/**
 * Commits a write about one row, which its last key names. `row` is the last row it changed; where it found everything as it
 * should be and changed nothing, the row as it stands.
 */
export async function commitRow(store: Store, write: Write): Promise<Committed> {
  const changed = await store.write(write);
  if (changed.length > 0) return { row: changed.at(-1), isChanged: true };
  const key = write.keys.at(-1);
  return { row: key && (await store.row(key)), isChanged: false };
}
