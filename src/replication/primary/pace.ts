import type { BatchLimit } from "../../core/store/replication.ts";

/** A backlog's batches grow by this with each full one that is acknowledged: a far backup is not paced by round trips. */
const growth = 16;
/** Rows without bodies are so small that only this ends their batch: with more, listing or reading it would hold others up. */
const batchRowsMax = 2_000;

/**
 * How large the batches for one backup are. What they have grown to lasts from one drain to the next as long as the worker does not
 * sleep and no attempt fails: imports that come one behind the other are one backlog, and one that does not get through is
 * tried again in small pieces.
 */
export class Pace {
  readonly #smallest: BatchLimit;
  #rows: number;
  #grows = true;

  constructor(limit: BatchLimit) {
    this.#smallest = limit;
    this.#rows = limit.rows;
  }

  get limit(): BatchLimit {
    return { rows: this.#rows, bytes: this.#smallest.bytes };
  }

  /** The limit behind a full batch that is acknowledged. */
  get next(): BatchLimit {
    const grown = Math.max(this.#rows, Math.min(this.#rows * growth, batchRowsMax));
    return { rows: this.#grows ? grown : this.#rows, bytes: this.#smallest.bytes };
  }

  get isGrown(): boolean {
    return this.#rows > this.#smallest.rows;
  }

  grow(): void {
    this.#rows = this.next.rows;
  }

  /** Batches of more were refused as too large: they do not grow again in this drain. */
  shrinkTo(rows: number): void {
    this.#rows = rows;
    this.#grows = false;
  }

  /** @param goesOn whether the next drain follows at once */
  drained({ goesOn }: { readonly goesOn: boolean }): void {
    if (!goesOn || !this.#grows) this.reset();
  }

  reset(): void {
    this.#rows = this.#smallest.rows;
    this.#grows = true;
  }
}
