import type { Clock, Random } from "../../src/core/ports.ts";

type Event = { readonly at: number; readonly rank: number; readonly run: () => void };

/** A hundred times what the busiest seed needs. */
const eventsMax = 500_000;

/** When the simulated world begins. */
const startMs = Date.UTC(2026, 0, 1);

/**
 * Virtual time. Events run in the order of their times; those of one time in an order drawn from the seed, so that every
 * interleaving of what is ready at once is met by some seed. After each event everything that it set off runs to its end.
 */
export class Scheduler {
  /** How far the wall clocks of all sites have been set forward; negative: back. Time itself takes no notice. */
  wallJumpMs = 0;
  readonly #random: Random;
  readonly #events = new Set<Event>();
  #nowMs = 0;
  #ran = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events are still to come. */
  get pending(): number {
    return this.#events.size;
  }

  /** Runs `run` after `ms`; the returned function takes it back. */
  schedule(ms: number, run: () => void): () => void {
    const event = { at: this.#nowMs + Math.ceil(Math.max(0, ms)), rank: this.#random.fraction(), run };
    this.#events.add(event);
    return () => this.#events.delete(event);
  }

  /** Forgets everything that is still to come. */
  end(): void {
    this.#events.clear();
  }

  /** Lets `ms` pass and runs what is due within them. */
  async run(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#next(); next && next.at <= untilMs; next = this.#next()) {
      this.#events.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.at);
      this.#ran += 1;
      if (this.#ran > eventsMax)
        throw new Error(`${eventsMax} events, and no end: something goes round in circles`);
      next.run();
      await settle();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #next(): Event | undefined {
    let next: Event | undefined;
    for (const event of this.#events) {
      if (!next || event.at < next.at || (event.at === next.at && event.rank < next.rank)) next = event;
    }
    return next;
  }
}

/** Everything simulated goes on in microtasks, and those are done when the event loop turns. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The clock of one process: once that has ended, nothing that waits on it goes on. */
export function processClock(scheduler: Scheduler, isAlive: () => boolean): Clock {
  const wait = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        cancel();
        signal?.removeEventListener("abort", end);
        if (isAlive()) resolve();
      };
      const cancel = scheduler.schedule(ms, end);
      signal?.addEventListener("abort", end);
    });
  return {
    now: () => startMs + scheduler.nowMs + scheduler.wallJumpMs,
    monotonicMs: () => scheduler.nowMs,
    sleep: wait,
    turn: () => wait(0),
  };
}
