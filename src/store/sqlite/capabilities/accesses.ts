import type { AccessId, VaultId } from "../../../core/ids.ts";
import type { StoredRow } from "../../../core/row.ts";
import type { AccessReader, AccessUses, AccessWriter, BlockedAccess } from "../../../core/store/accesses.ts";
import { blockAccess, readAccesses, readAccessesById, unblockAccess } from "../access-rows.ts";
import { readUses } from "../last-uses.ts";
import { type ReadScope, shown, type StoreScope, type TransactionScope } from "./scope.ts";

export class AccessReads implements AccessReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async find(accessId: AccessId): Promise<StoredRow | undefined> {
    return this.#scope.access(accessId);
  }

  async ofVault(vaultId: VaultId, after: AccessId | undefined, limit: number): Promise<readonly StoredRow[]> {
    return readAccesses(this.#scope.view.connection, vaultId, after, limit).map((row) =>
      shown(this.#scope, row),
    );
  }

  async everywhere(accessId: AccessId): Promise<readonly StoredRow[]> {
    return readAccessesById(this.#scope.view.connection, accessId).map((row) => shown(this.#scope, row));
  }

  async isBlocked(accessId: AccessId): Promise<boolean> {
    return this.#scope.view.state.blocked.has(accessId);
  }

  async blocked(): Promise<readonly BlockedAccess[]> {
    return [...this.#scope.view.state.blocked]
      .map(([accessId, at]) => ({ accessId, at }))
      .toSorted((a, b) => (a.accessId < b.accessId ? -1 : 1));
  }
}

export class AccessWrites extends AccessReads implements AccessWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  block(accessId: AccessId): Promise<void> {
    const { clock } = this.#scope.ports;
    return this.#scope.do((tx) => blockAccess(tx, accessId, clock.now()));
  }

  unblock(accessId: AccessId): Promise<void> {
    return this.#scope.do((tx) => unblockAccess(tx, accessId));
  }
}

export class Uses implements AccessUses {
  readonly #scope: StoreScope;

  constructor(scope: StoreScope) {
    this.#scope = scope;
  }

  note(vaultId: VaultId, accessId: AccessId, at: number): void {
    this.#scope.ports.lastUses.note({ vaultId, accessId, at });
  }

  last(vaultId: VaultId): Promise<ReadonlyMap<AccessId, number>> {
    const { look, ports } = this.#scope;
    return look(({ connection }) => ports.lastUses.merge(vaultId, readUses(connection, vaultId)));
  }
}
