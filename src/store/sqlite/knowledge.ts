import type { Connection } from "./connection.ts";
import { RowCache } from "./row-cache.ts";
import { loadState, type State } from "./state.ts";

/**
 * What this process knows of its database: the state, and rows that were read lately. Loaded once, changed only with a
 * transaction that was committed, and read anew where it is not sure any more what the disk holds.
 */
export class Knowledge {
  readonly #connection: Connection;
  readonly cache = new RowCache();
  #state: State | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get state(): State {
    this.#state ??= loadState(this.#connection);
    return this.#state;
  }

  /** What a transaction begins with. */
  current(): { readonly state: State; readonly cache: RowCache } {
    return { state: this.state, cache: this.cache };
  }

  committed(state: State): void {
    this.#state = state;
  }

  /** A transaction was undone, or somebody else has written: the next one to ask reads the disk. */
  reload(): void {
    this.#state = undefined;
    this.cache.clear();
  }
}
