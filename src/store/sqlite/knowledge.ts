import type { Connection } from "./connection.ts";
import type { PlainAck, UnsavedAcks } from "./plain-ack.ts";
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
    this.#state ??= loadState(this.#connection);
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

  /** A transaction was undone, or somebody else has written: the next one to ask reads the disk. */
  reload(): void {
    this.#state = undefined;
    this.#unsavedAcks = null;
    this.cache.clear();
  }
}
