import type { Connection } from "./connection.ts";
import { type PlainAck, type UnsavedAcks, withUnsavedAcks } from "./plain-ack.ts";
import { RowCache } from "./row-cache.ts";
import { loadState, type State } from "./state.ts";

/**
 * What this process knows of its database: the state, and rows that were read lately. Loaded once, changed only with a
 * transaction that was committed or by an ACK that the next transaction stores, and read anew where it is not sure any more what
 * the disk holds.
 */
export class Knowledge {
  readonly #connection: Connection;
  readonly cache = new RowCache();
  #state: State | undefined;
  #unsavedAcks: UnsavedAcks | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get state(): State {
    this.#state ??= withUnsavedAcks(loadState(this.#connection), this.#unsavedAcks);
    return this.#state;
  }

  /** What ACKs have changed of the state and no transaction has stored. */
  get unsavedAcks(): UnsavedAcks | null {
    return this.#unsavedAcks;
  }

  /** Must not be called while a transaction is open, which would not know of it. */
  acknowledged({ state, unsaved }: PlainAck): void {
    this.#state = state;
    this.#unsavedAcks = unsaved;
  }

  /** What a transaction has made of the state, unsaved ACKs included. */
  committed(state: State): void {
    this.#state = state;
    this.#unsavedAcks = null;
  }

  /** Only the disk knows what came of a transaction: the next one to ask reads it. */
  reload(): void {
    this.#state = undefined;
    this.cache.clear();
  }

  /** Somebody else has written: nothing of what is known counts. */
  forget(): void {
    this.#unsavedAcks = null;
    this.reload();
  }
}
