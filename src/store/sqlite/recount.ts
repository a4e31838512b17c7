import { Buckets } from "../../core/digest.ts";
import { Refusal } from "../../core/errors.ts";
import type { Hash } from "../../core/ports.ts";
import type { Recount } from "../../core/store/survey.ts";
import type { Connection } from "./connection.ts";
import { type Counted, type CountProgress, countRows } from "./count-rows.ts";
import type { View } from "./state.ts";
import { runThread } from "./thread.ts";
import type { Transaction } from "./transaction.ts";

/** A count as it comes out of its thread, where an object would be nothing but its fields. */
export type CountedBytes = Omit<Counted, "stored" | "buckets"> & {
  readonly stored: Uint8Array;
  readonly buckets: Uint8Array;
};

export type RecountsOptions = {
  /** The database file; null for one in memory, which nobody else could read. */
  readonly path: string | null;
  readonly hash: Hash;
  /** Reads one state. */
  readonly look: <T>(look: (view: View) => T) => Promise<T>;
  readonly write: (work: (tx: Transaction) => void) => Promise<void>;
};

export type OnProgress = (done: number, total: number) => void;

/** A count that has not begun, and who is to hear how far it is. */
type NextCount = { readonly result: Promise<Recount>; readonly listeners: OnProgress[] };

/**
 * Counts the rows and corrects the stored buckets, one count at a time: two that saw the same fault would correct it twice, and
 * so put it back. Whoever comes while one is at work shares the next with all others who do: the one at work may have read
 * already what they want to know of, and a peer may ask as often as it likes.
 */
export class Recounts {
  readonly #options: RecountsOptions;
  readonly #ended = new AbortController();
  #last: Promise<unknown> = Promise.resolve();
  #next: NextCount | null = null;

  constructor(options: RecountsOptions) {
    this.#options = options;
  }

  /** See Survey.recount. */
  recount(onProgress: OnProgress): Promise<Recount> {
    this.#next ??= this.#queue();
    this.#next.listeners.push(onProgress);
    return this.#next.result;
  }

  #queue(): NextCount {
    const listeners: OnProgress[] = [];
    const tellAll: OnProgress = (done, total) => {
      for (const tell of listeners) tell(done, total);
    };
    const result = this.#last.then(() => {
      this.#next = null;
      return this.#recount(tellAll);
    });
    this.#last = result.catch(() => undefined);
    return { result, listeners };
  }

  /** Ends the thread that is at work; what waits for it rejects with `shutting_down`. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#ended.abort(new Refusal("shutting_down"));
    await this.#last;
  }

  async #recount(onProgress: OnProgress): Promise<Recount> {
    this.#ended.signal.throwIfAborted();
    const { path, hash, look } = this.#options;
    const { stored, ...counted } =
      path === null
        ? await look(({ connection }) => countHere(connection, hash, onProgress))
        : await countInThread(path, onProgress, this.#ended.signal);
    const difference = counted.buckets.difference(stored);
    // By the difference and not to the count, so that what was written meanwhile stays right.
    if (counted.buckets.differing(stored).length > 0) {
      await this.#options.write((tx) => tx.correctBuckets(difference));
    }
    return counted;
  }
}

function countHere(connection: Connection, hash: Hash, onProgress: OnProgress): Counted {
  const steps = countRows(connection, hash);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    onProgress(step.value.done, step.value.total);
  }
}

/** A row is garbage as soon as it is counted: with room for more of it the thread would only grow by that much. */
const youngMb = 4;

/** @throws the signal's reason where it aborts; Refusal, what the disk fails with */
async function countInThread(path: string, onProgress: OnProgress, signal: AbortSignal): Promise<Counted> {
  const { stored, buckets, ...rest } = await runThread<CountedBytes, CountProgress>({
    script: new URL("./count-thread.ts", import.meta.url),
    request: path,
    onProgress: ({ done, total }) => onProgress(done, total),
    signal,
    limits: { maxYoungGenerationSizeMb: youngMb },
  });
  return { ...rest, stored: new Buckets(stored), buckets: new Buckets(buckets) };
}
