import { byCaller } from "../core/access-writes.ts";
import { raced } from "../core/resealing.ts";
import { formatKey, type RowKey, type StoredRow } from "../core/row.ts";
import type { Write } from "../core/store/rows.ts";
import type { WriteRecord } from "./audit-calls.ts";
import type { HttpContext } from "./call.ts";
import type { OpenVault, VaultSession } from "./vault-opening.ts";

/** Where a write has left the row that it is about. */
export type Committed = {
  readonly row: StoredRow | undefined;
  /** The last row that it changed; where it changed none, the row that it is about. */
  readonly last: StoredRow | undefined;
  readonly isChanged: boolean;
};

/**
 * Commits a write about one row. Where it found everything as it should be and changed nothing, `row` is the row as it stands.
 */
export async function commitRow(
  { store, commit }: Pick<HttpContext, "store" | "commit">,
  record: WriteRecord,
  write: Write,
  key: RowKey,
): Promise<Committed> {
  const changed = await commit(record, write);
  if (changed.length === 0) {
    const row = await store.read((r) => r.rows.row(key));
    return { row, last: row, isChanged: false };
  }
  const name = formatKey(key);
  const row = changed.findLast((each) => formatKey(each.key) === name);
  return { row, last: changed.at(-1), isChanged: true };
}

/** How often a write is prepared anew that others came before. */
const attemptsMax = 10;

/**
 * Does what needs a vault opened, anew where others have changed what it was prepared on.
 * @param commit is given what makes a write the caller's: nothing else may be committed for it
 * @throws Refusal `unauthorized` where the access has ended meanwhile; `write_raced` where others come before for ever
 */
export async function commitOpened<T>(
  vault: VaultSession,
  commit: (open: OpenVault, asCaller: (write: Write) => Write) => Promise<T>,
): Promise<T> {
  return await withOpened(vault, async (open) => {
    const caller = vault.caller();
    const result = await commit(open, (write) => byCaller(write, caller));
    vault.isRenewed ||= caller.renewal !== undefined;
    return result;
  });
}

/** Does what reads an opened vault, anew where its key was changed and the rows were sealed anew meanwhile. */
export async function withOpened<T>(vault: VaultSession, read: (open: OpenVault) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read(vault.open);
    } catch (error) {
      if (!raced(error) || attempt === attemptsMax) throw error;
      await vault.reopen();
    }
  }
}
