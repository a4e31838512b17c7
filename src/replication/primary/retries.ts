import { type BackoffPolicy, isExhausted, waitMs } from "../../core/backoff.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { Signal } from "./signal.ts";

export type RetriesOptions = {
  readonly clock: Clock;
  readonly random: Random;
  readonly backoff: BackoffPolicy;
  /** Cuts a wait short. */
  readonly signal: Signal;
  /** Ends a wait for good. */
  readonly stop: AbortSignal;
};

/**
 * When the next attempt begins, from the first one that failed to the end of the trouble: the waits of the policy, cut short by a signal.
 * A signal's attempt begins no sooner than `baseMs` after the last one began, however many writes there are, and is no retry
 * that counts. A peer's hello shows that it is there now, and is not held up by that.
 */
export class Retries {
  readonly #options: RetriesOptions;
  #failures = 0;
  #begunMs = 0;
  #deadlineMs = 0;
  #isCut = false;
  #nextAttemptAt: number | null = null;
  /** Aborted by a hello: for an attempt that was under way then, too, since it may have begun before the peer was there. */
  #greeting = new AbortController();

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  /** Failed attempts in a row that count. */
  get failures(): number {
    return this.#failures;
  }

  /** Wall clock, milliseconds; null but in a wait. */
  get nextAttemptAt(): number | null {
    return this.#nextAttemptAt;
  }

  /** Whether the operator is to hear of it. */
  get isExhausted(): boolean {
    return isExhausted(this.#options.backoff, this.#failures);
  }

  /** The peer has said hello. A hello frees one attempt, and the peer's own waits keep its hellos apart. */
  greet(): void {
    this.#greeting.abort();
  }

  begin(): void {
    this.#begunMs = this.#options.clock.monotonicMs();
    if (this.#greeting.signal.aborted) this.#greeting = new AbortController();
  }

  /** @param progressed whether something was acknowledged before */
  fail(progressed: boolean): void {
    const { clock, backoff, random } = this.#options;
    if (progressed) this.#failures = 0;
    if (!progressed && this.#isCut) return;
    this.#failures += 1;
    this.#deadlineMs = clock.monotonicMs() + waitMs(backoff, this.#failures, random);
  }

  /** The trouble is over. */
  reset(): void {
    this.#failures = 0;
    this.#deadlineMs = 0;
    this.#isCut = false;
  }

  /** Waits for the time of the next attempt. */
  async wait(): Promise<void> {
    const { clock, signal, stop, backoff } = this.#options;
    this.#nextAttemptAt = clock.now() + Math.max(0, this.#deadlineMs - clock.monotonicMs());
    const cut = signal.cut();
    await clock.sleep(this.#deadlineMs - clock.monotonicMs(), AbortSignal.any([stop, cut.signal]));
    cut.release();
    this.#isCut = cut.signal.aborted && clock.monotonicMs() < this.#deadlineMs;
    const earliestMs = this.#begunMs + backoff.baseMs;
    await clock.sleep(earliestMs - clock.monotonicMs(), AbortSignal.any([stop, this.#greeting.signal]));
    this.#nextAttemptAt = null;
  }
}
