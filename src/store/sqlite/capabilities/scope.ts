import type { AccessId } from "../../../core/ids.ts";
import type { Clock, Hash, Random } from "../../../core/ports.ts";
import type { RowKey, StoredRow } from "../../../core/row.ts";
import type { AuditRows } from "../audit-rows.ts";
import { readAccess } from "../access-rows.ts";
import type { Connection } from "../connection.ts";
import { refusalOf } from "../failures.ts";
import type { Knowledge } from "../knowledge.ts";
import type { LastUses } from "../last-uses.ts";
import { asAcknowledged } from "../plain-ack.ts";
import { readRow } from "../row-table.ts";
import type { View } from "../state.ts";
import { inOneStep, type Steps, type Transaction, type Work } from "../transaction.ts";
import type { WriteQueue } from "../write-queue.ts";

/** What the capabilities work with, the same for every reader and transaction of a store. */
export type CapabilityPorts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly hash: Hash;
  readonly audit: AuditRows;
  readonly lastUses: LastUses;
  readonly knowledge: Knowledge;
  /** Throws a `disk_full` Refusal where the disk has too little room for clients. */
  readonly checkRoom: () => void;
};

/** What the capabilities of a reader look at. */
export interface ReadScope {
  readonly ports: CapabilityPorts;
  readonly view: View;
  row(key: RowKey): StoredRow | undefined;
  /** The row of an access by its id alone. */
  access(accessId: AccessId): StoredRow | undefined;
}

/** A row as it is for everybody: of an ACK that no transaction has stored yet, its mark is cleared. */
export function shown({ ports, view }: ReadScope, row: StoredRow): StoredRow {
  return asAcknowledged(row, view.state, ports.knowledge.unsavedAcks);
}

/** Of all the readers of a store: what they see is what is committed. */
export class ReaderScope implements ReadScope {
  readonly ports: CapabilityPorts;
  readonly #connection: () => Connection;

  /** @param connection on which only what is committed can be seen now */
  constructor(ports: CapabilityPorts, connection: () => Connection) {
    this.ports = ports;
    this.#connection = connection;
  }

  get view(): View {
    return { connection: this.#connection(), state: this.ports.knowledge.state };
  }

  row(key: RowKey): StoredRow | undefined {
    const row = this.ports.knowledge.cache.row(key, () => readRow(this.#connection(), key));
    return row && shown(this, row);
  }

  access(accessId: AccessId): StoredRow | undefined {
    const read = () => readAccess(this.#connection(), accessId);
    const row = this.ports.knowledge.cache.access(accessId, read);
    return row && shown(this, row);
  }
}

type Outcome<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "failed"; readonly error: unknown };

/**
 * One transaction of `Store.transact`, as its capabilities share it. Where an operation comes to the end of a slice, the whole member of
 * the write queue does.
 */
export class TransactionScope implements ReadScope {
  readonly ports: CapabilityPorts;
  readonly #tx: Transaction;
  readonly #afterCommit: (() => void)[] = [];
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;
  /** Resolves when the body is done, or an operation waits for its next slice. */
  #event = Promise.withResolvers<void>();
  #resume: (() => void) | undefined;

  constructor(tx: Transaction, ports: CapabilityPorts) {
    this.#tx = tx;
    this.ports = ports;
  }

  /** @throws Error where the transaction is over: the connection is in somebody else's by then */
  get view(): View {
    return this.#open();
  }

  row(key: RowKey): StoredRow | undefined {
    return this.#open().row(key);
  }

  access(accessId: AccessId): StoredRow | undefined {
    return readAccess(this.#open().connection, accessId);
  }

  /** The steps of a body, for the write queue. */
  *steps<T>(body: () => Promise<T>): Steps<T> {
    let outcome: Outcome<T> | undefined;
    const settle = (found: Outcome<T>): void => {
      outcome = found;
      this.#event.resolve();
    };
    body().then(
      (value) => settle({ kind: "done", value }),
      (error: unknown) => settle({ kind: "failed", error }),
    );
    for (;;) {
      yield this.#event.promise;
      if (outcome) break;
      this.#event = Promise.withResolvers();
      yield;
      this.#resume?.();
    }
    this.#isOver = true;
    if (this.#failure) throw this.#failure.error;
    if (outcome.kind === "failed") throw outcome.error;
    return outcome.value;
  }

  /** Runs an operation, after those that were begun before it. One that fails fails the transaction. */
  async run<T>(work: Work<T>): Promise<T> {
    while (this.#running) await this.#running;
    const tx = this.#open();
    try {
      const steps = work(tx);
      const first = steps.next();
      return first.done ? first.value : await this.#inSlices(steps);
    } catch (error) {
      this.#failure ??= { error: refusalOf(error) };
      throw this.#failure.error;
    }
  }

  /** As `run`, for what is short. */
  do<T>(work: (tx: Transaction) => T): Promise<T> {
    return this.run(inOneStep(work));
  }

  /** Calls it when the transaction is committed. */
  afterCommit(act: () => void): void {
    this.#afterCommit.push(act);
  }

  /** To be called when it is. */
  committed(): void {
    for (const act of this.#afterCommit) act();
  }

  #open(): Transaction {
    if (this.#failure) throw this.#failure.error;
    if (this.#isOver) throw new Error("the transaction is over");
    // A fault of the disk, or a store that was abandoned, has undone everything before.
    if (!this.#tx.connection.database.inTransaction) throw new Error("the transaction was undone");
    return this.#tx;
  }

  /** The rest of an operation whose first step is done. */
  async #inSlices<T>(steps: Steps<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#running = promise;
    try {
      for (;;) {
        await this.#nextSlice();
        const step = steps.next();
        if (step.done) return step.value;
      }
    } finally {
      this.#running = undefined;
      resolve();
    }
  }

  #nextSlice(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
      this.#event.resolve();
    });
  }
}

/** What the capabilities of a store itself need of it. */
export type StoreScope = {
  readonly ports: CapabilityPorts;
  /** Reads one state in one step. */
  readonly look: <T>(look: (view: View) => T) => Promise<T>;
  /** Acts on what is known while nobody looks at it in several steps, and no transaction would be in the way. */
  readonly alone: <T>(act: (view: View) => T) => Promise<T>;
  /** The queue, as long as the store is open. */
  readonly queue: () => WriteQueue;
};
