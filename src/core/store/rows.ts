import type { AuditEvent } from "../audit.ts";
import type { EntryId, VaultId, VersionId } from "../ids.ts";
import type { RowKey, StoredRow } from "../row.ts";

/** A change of one row: a new body, or null for a tombstone. */
export type RowChange = { readonly key: RowKey; readonly body: Uint8Array | null };

/**
 * A client's write. `keys` are the rows to look at; `decide` is given them in the same order, live or tombstone or undefined, in
 * the transaction that will hold the changes, and returns the changes or throws a Refusal. It must be pure: it may run twice.
 */
export type Write = {
  readonly keys: readonly RowKey[];
  readonly decide: (current: readonly (StoredRow | undefined)[]) => readonly RowChange[];
  /** Whether what it replaces must not stay readable on this disk either, as at the end of a rotation (`ErasureStore`). */
  readonly erases?: boolean;
  /** What the audit is to say of it, in the same transaction; the rows add which vault, and which entry or access. */
  readonly audit?: AuditEvent;
};

/** The replicated rows: by key, by vault, in the order of their ids. */
export interface RowReader {
  row(key: RowKey): Promise<StoredRow | undefined>;
  /** All live vaults, oldest first, each with its number of live entries. */
  vaults(): Promise<readonly { readonly row: StoredRow; readonly entries: number }[]>;
  /** Live entries below `before` (all where undefined), newest first by id, at most `limit`. Costs what it returns. */
  entries(vaultId: VaultId, before: EntryId | undefined, limit: number): Promise<readonly StoredRow[]>;
  /**
   * Live earlier versions of one entry, those below `before` (all where undefined), newest first, at most `limit`. Costs what it
   * returns.
   */
  versions(
    vaultId: VaultId,
    entryId: EntryId,
    before: number | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]>;
  /** The number of an entry's newest live earlier version; 0 where there is none. One look into an index. */
  newestVersion(vaultId: VaultId, entryId: EntryId): Promise<number>;
  /**
   * Live rows of one kind of a vault, behind the entry or version `after`, in the order of their ids, at most `limit`: to go through
   * all of them in slices. Costs what it returns.
   */
  vaultRows(
    vaultId: VaultId,
    kind: "entry" | "version",
    after: EntryId | VersionId | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]>;
  /**
   * Keys of live entries, versions and accesses whose vault is a tombstone, at most `limit`: what is left to do of a vault's deletion.
   * Costs what it returns and the number of deleted vaults.
   */
  orphans(limit: number): Promise<readonly RowKey[]>;
}

/** Clients' writes. */
export interface RowWriter extends RowReader {
  /**
   * Commits a write: each change takes the next position, extends the chain and is marked dirty where a backup is configured
   * (a mark's `dirtySince` survives). All or nothing. Writes that arrive in one turn share a transaction, each in its own
   * savepoint. Returns the changed rows in the order of the changes. Large writes let other work run between slices; no
   * reader sees a part of them.
   * @throws Refusal what `decide` threw; `read_only_backup` or `site_fenced` where the role forbids it
   */
  write(write: Write): Promise<readonly StoredRow[]>;
}
