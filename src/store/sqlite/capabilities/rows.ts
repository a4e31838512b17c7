import type { EntryId, VaultId, VersionId } from "../../../core/ids.ts";
import type { RowKey, StoredRow } from "../../../core/row.ts";
import type { RowReader, RowWriter, Write } from "../../../core/store/rows.ts";
import { storeUses } from "../last-uses.ts";
import { commitWrite, isLarge, readEntries, readOrphans, readVaults } from "../vault-rows.ts";
import { readNewestVersion, readVaultRows, readVersions } from "../version-rows.ts";
import { type ReadScope, shown, type TransactionScope } from "./scope.ts";

export class RowReads implements RowReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async row(key: RowKey): Promise<StoredRow | undefined> {
    return this.#scope.row(key);
  }

  async vaults(): Promise<readonly { readonly row: StoredRow; readonly entries: number }[]> {
    const { connection } = this.#scope.view;
    return readVaults(connection).map(({ row, entries }) => ({ row: shown(this.#scope, row), entries }));
  }

  async entries(vaultId: VaultId, before: EntryId | undefined, limit: number): Promise<readonly StoredRow[]> {
    return this.#shown(readEntries(this.#scope.view.connection, vaultId, before, limit));
  }

  async versions(
    vaultId: VaultId,
    entryId: EntryId,
    before: number | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return this.#shown(readVersions(this.#scope.view.connection, { vaultId, entryId }, before, limit));
  }

  async newestVersion(vaultId: VaultId, entryId: EntryId): Promise<number> {
    return readNewestVersion(this.#scope.view.connection, vaultId, entryId);
  }

  async vaultRows(
    vaultId: VaultId,
    kind: "entry" | "version",
    after: EntryId | VersionId | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return this.#shown(readVaultRows(this.#scope.view.connection, { vaultId, kind }, after, limit));
  }

  async orphans(limit: number): Promise<readonly RowKey[]> {
    return readOrphans(this.#scope.view.connection, limit);
  }

  #shown(rows: readonly StoredRow[]): readonly StoredRow[] {
    return rows.map((row) => shown(this.#scope, row));
  }
}

export class RowWrites extends RowReads implements RowWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  write(write: Write): Promise<readonly StoredRow[]> {
    const scope = this.#scope;
    const { clock, hash, checkRoom, audit, lastUses } = scope.ports;
    const uses = lastUses.due();
    return scope.run(function* (tx) {
      const changed = yield* commitWrite(tx, write, { hash, now: clock.now(), checkRoom });
      audit.recordWrite(tx, write.audit, changed);
      if (changed.length > 0) {
        storeUses(tx.connection, uses);
        scope.afterCommit(() => lastUses.written(uses));
      }
      if (isLarge(changed)) yield;
      return changed;
    });
  }
}
