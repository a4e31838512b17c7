import type { Clock } from "../core/ports.ts";
import type { StoredRow } from "../core/row.ts";
import type { Store } from "../core/store/store.ts";
import { buryRows } from "../core/vault.ts";

/** Rows that one transaction of a deletion tombstones: few enough that other writes hardly wait. */
const sliceRows = 200;

export type DeletionOptions = {
  readonly store: Store;
  readonly clock: Clock;
  /** Called after each commit, so that backups follow while it goes on. */
  readonly onCommit: () => void;
  /** Leaves the rest for the next start. */
  readonly signal: AbortSignal;
};

/**
 * Tombstones what is left of deleted vaults, in slices between which everybody else gets their turn. To be called after a
 * vault's own tombstone, and at the start of a primary, where a crash may have come between the two. May be repeated, and
 * several may run at once. Returns the last row that it tombstoned.
 * @throws Refusal `read_only_backup` or `site_fenced` where the role forbids writes and something is left
 */
export async function finishDeletions(options: DeletionOptions): Promise<StoredRow | undefined> {
  const { store, clock, onCommit, signal } = options;
  let last: StoredRow | undefined;
  for (;;) {
    const keys = await store.read((r) => r.rows.orphans(sliceRows));
    if (keys.length === 0 || signal.aborted) return last;
    const buried = await store.transact((tx) => tx.rows.write(buryRows(keys)));
    last = buried.at(-1) ?? last;
    onCommit();
    await clock.turn();
  }
}
