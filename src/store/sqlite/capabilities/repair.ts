import type { PushRefusal, Receiver } from "../../../core/push.ts";
import type { Row, RowKey } from "../../../core/row.ts";
import type { RepairGuard, RepairOutcome, RepairReader, RepairWriter } from "../../../core/store/repair.ts";
import { applyRepair, healRows, judge, readRows } from "../repair-rows.ts";
import type { ReadScope, TransactionScope } from "./scope.ts";

export class RepairReads implements RepairReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async rowsOf(keys: readonly RowKey[]): Promise<readonly Row[]> {
    return readRows(this.#scope.view.connection, keys);
  }
}

export class RepairWrites extends RepairReads implements RepairWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  apply(guard: RepairGuard, rows: readonly Row[], remove: readonly RowKey[]): Promise<RepairOutcome> {
    const { clock, hash } = this.#scope.ports;
    return this.#scope.run((tx) => applyRepair(tx, { guard, rows, remove }, { hash, now: clock.now() }));
  }

  judge(
    guard: RepairGuard,
  ): Promise<{ readonly code: PushRefusal | undefined; readonly receiver: Receiver }> {
    return this.#scope.do((tx) => judge(tx, guard));
  }

  heal(rows: readonly Row[]): Promise<number> {
    const { hash } = this.#scope.ports;
    return this.#scope.run((tx) => healRows(tx, rows, hash));
  }
}
