import type { AsideRow, AsideVerdict } from "../../../core/aside.ts";
import type { StrandedId } from "../../../core/ids.ts";
import type { StoredRow } from "../../../core/row.ts";
import type { AsideReader, AsideWriter } from "../../../core/store/aside.ts";
import { readAside, settleAside } from "../aside-rows.ts";
import { readStranded, readStrandedById } from "../stranded-rows.ts";
import { takeAside } from "../take-aside.ts";
import type { ReadScope, TransactionScope } from "./scope.ts";

export class AsideReads implements AsideReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async waiting(limit: number): Promise<{ readonly rows: readonly AsideRow[]; readonly waiting: number }> {
    return readAside(this.#scope.view.connection, limit);
  }

  async stranded(
    after: StrandedId | null,
    limit: number,
  ): Promise<{ readonly rows: readonly StoredRow[]; readonly total: number }> {
    return readStranded(this.#scope.view.connection, after, limit);
  }

  async strandedById(id: StrandedId): Promise<StoredRow | undefined> {
    return readStrandedById(this.#scope.view.connection, id);
  }
}

export class AsideWrites extends AsideReads implements AsideWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  settle(struck: readonly StrandedId[], taken: readonly StrandedId[]): Promise<void> {
    return this.#scope.do((tx) => settleAside(tx, struck, taken));
  }

  take(rows: readonly AsideRow[]): Promise<readonly AsideVerdict[]> {
    const { clock, hash, checkRoom } = this.#scope.ports;
    return this.#scope.run((tx) => takeAside(tx, rows, { hash, now: clock.now(), checkRoom }));
  }
}
