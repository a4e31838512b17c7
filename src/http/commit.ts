import { withRenewal } from "../core/access-writes.ts";
import { raced } from "../core/resealing.ts";
import { formatKey, type RowKey, type StoredRow } from "../core/row.ts";
import type { Store, Write } from "../core/store.ts";
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
export async function commitRow(store: Store, write: Write, key: RowKey): Promise<Committed> {
  const changed = await store.write(write);
  if (changed.length === 0) {
    const row = await store.row(key);
    return { row, last: row, isChanged: false };
  }
  const name = formatKey(key);
  const row = changed.findLast((each) => formatKey(each.key) === name);
  return { row, last: changed.at(-1), isChanged: true };
}

/** How often a write is prepared anew that others came before. */
const attemptsMax = 10;

/**
 * Does what needs a vault opened, anew where others have changed what it was prepared on; with it goes the caller's access, where
 * it was absent when the key was changed.
 * @throws Refusal `write_raced` where that goes on for ever
 */
export async function commitOpened<T>(
  vault: VaultSession,
  commit: (open: OpenVault, renewing: (write: Write) => Write) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const { open } = vault;
    const renewal = vault.renewal();
    try {
      const result = await commit(open, (write) =>
        renewal ? withRenewal(write, open.vaultId, renewal) : write,
      );
      vault.isRenewed ||= renewal !== undefined;
      return result;
    } catch (error) {
      if (!raced(error) || attempt === attemptsMax) throw error;
      await vault.reopen();
    }
  }
}
