import { Refusal } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";

/** A database's log on its disk. */
export type Log = {
  /** Resolves when every commit made before the call is on the disk; rejects where the disk fails. */
  readonly flush: () => Promise<void>;
};

type Waiter = {
  readonly commit: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/** A flush that takes no longer than this costs less than what a transaction of its own would cost those who come during it. */
const shortMs = 2;

export type FlushesOptions = {
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Null where every commit is durable at once, as in memory. */
  readonly log: Log | null;
  /** Called when a flush begins; what it returns is called when that flush has ended well. */
  readonly onBegin?: () => () => void;
  /** Called once, where a flush has failed. */
  readonly onFailure?: (why: Refusal) => void;
};

/**
 * Makes commits durable. COMMIT itself does not flush: it would hold the event loop for as long as the disk takes. A flush runs
 * on the thread pool and covers every commit made before it began, so that those made while another was under way share one.
 * Nobody is told of a commit, and nobody is shown what it changed, before the flush that covers it has ended (I1, I4).
 *
 * A flush that fails fails for good: the kernel may have dropped what it could not write, and a second flush would then report
 * success for data that is not there. What is on the disk shows when the database is opened again.
 */
export class Flushes {
  readonly #options: FlushesOptions;
  #committed = 0;
  /** The last commit that somebody waits to be durable, and the last that is. */
  #wanted = 0;
  #durable = 0;
  #waiters: Waiter[] = [];
  #running: Promise<void> | undefined;
  #failure: Refusal | undefined;
  /** How long the last flush took; a first one is taken for a long one. */
  #lastMs = Number.POSITIVE_INFINITY;

  constructor(options: FlushesOptions) {
    this.#options = options;
  }

  /** Why no commit becomes durable any more; undefined while all is well. */
  get failure(): Refusal | undefined {
    return this.#failure;
  }

  /** To be called after each COMMIT. Returns its number. */
  committed(): number {
    this.#committed += 1;
    if (this.#options.log === null) this.#durable = this.#committed;
    return this.#committed;
  }

  /**
   * Resolves when a commit is durable.
   * @throws Refusal `storage_failed` where the disk has failed
   */
  reach(commit: number): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (commit <= this.#durable) return Promise.resolve();
    this.#wanted = Math.max(this.#wanted, commit);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ commit, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /**
   * Resolves when every commit that somebody waits for is durable: what was read just now may show them. Undefined where nobody
   * needs to wait.
   */
  settled(): Promise<void> | undefined {
    if (this.#wanted <= this.#durable && !this.#failure) return undefined;
    return this.reach(this.#wanted);
  }

  /**
   * Resolves when a transaction had better begin. On a disk whose flush is short, that is when none is under way: those who come
   * meanwhile need the next flush in any case, and share one transaction, which writes a third of the pages that many would.
   * Where a flush is long, transactions go on beside it.
   */
  async gathered(): Promise<void> {
    if (this.#lastMs <= shortMs) await this.idle();
  }

  /** Resolves when no flush is under way. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#durable < this.#wanted && !this.#failure) await this.#flush();
    this.#running = undefined;
  }

  async #flush(): Promise<void> {
    const { clock, log, onBegin } = this.#options;
    const covered = this.#committed;
    const begunMs = clock.monotonicMs();
    const onEnd = onBegin?.();
    try {
      await log?.flush();
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#durable = covered;
    this.#lastMs = clock.monotonicMs() - begunMs;
    onEnd?.();
    const waiters = this.#waiters;
    this.#waiters = waiters.filter(({ commit }) => commit > covered);
    for (const { commit, resolve } of waiters) if (commit <= covered) resolve();
  }

  #fail(error: unknown): void {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    this.#failure = new Refusal("storage_failed", `the database's log could not be flushed: ${code}`);
    for (const { reject } of this.#waiters.splice(0)) reject(this.#failure);
    this.#options.onFailure?.(this.#failure);
  }
}
