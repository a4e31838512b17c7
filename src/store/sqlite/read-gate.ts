import type { Steps } from "./transaction.ts";

/**
 * Keeps commits out of the middle of reads: a read takes several steps of the microtask queue, and must see one state. Where both
 * share a connection, a transaction is kept out as a whole, and reads wait for its end.
 */
export class ReadGate {
  #reading = 0;
  #idle: PromiseWithResolvers<void> | undefined;
  #closed: PromiseWithResolvers<void> | undefined;

  /** Resolves when reads may begin; undefined where they may at once. */
  opening(): Promise<void> | undefined {
    return this.#closed?.promise;
  }

  enter(): void {
    this.#reading += 1;
  }

  leave(): void {
    this.#reading -= 1;
    if (this.#reading > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** Resolves when a read ends as the last one; undefined where none is under way. */
  idle(): Promise<void> | undefined {
    if (this.#reading === 0) return undefined;
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  /** Waits until no read is under way. */
  *none(): Steps<void> {
    for (let idle = this.idle(); idle; idle = this.idle()) yield idle;
  }

  /** Waits until no read is under way, and lets none begin until it is opened. */
  *close(): Steps<void> {
    yield* this.none();
    this.#closed = Promise.withResolvers();
  }

  /** May be repeated. */
  open(): void {
    this.#closed?.resolve();
    this.#closed = undefined;
  }
}
