import { createHash } from "node:crypto";
import type { Clock, Hash, Random } from "../../src/core/ports.ts";

type Sleeper = { readonly wakeAt: number; readonly order: number; readonly wake: () => void };

/**
 * A clock that stands still until it is told to go on. `advance` wakes sleepers in the order of their times and lets
 * everything they set off run before it goes further, so that a day passes in milliseconds and always in the same way.
 */
export class VirtualClock implements Clock {
  #elapsedMs = 0;
  #order = 0;
  readonly #startMs: number;
  readonly #sleepers = new Set<Sleeper>();
  #awaitingSleep: ((ms: number) => void)[] = [];

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#order += 1;
    const sleeper: Sleeper = {
      wakeAt: this.#elapsedMs + Math.max(0, ms),
      order: this.#order,
      wake: () => end(),
    };
    const end = (): void => {
      this.#sleepers.delete(sleeper);
      signal.removeEventListener("abort", end);
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    this.#sleepers.add(sleeper);
    for (const tell of this.#awaitingSleep.splice(0)) tell(ms);
    return promise;
  }

  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** How many sleeps have not ended: 0 means that nothing is scheduled. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  /** How long the earliest sleep still lasts; undefined where nobody sleeps. */
  get nextWakeMs(): number | undefined {
    const next = this.#earliest();
    return next === undefined ? undefined : next.wakeAt - this.#elapsedMs;
  }

  /** Resolves with the length of the sleep that begins next, or at once with what is left of one that has begun. */
  async untilSleeping(): Promise<number> {
    const left = this.nextWakeMs;
    if (left !== undefined) return left;
    return new Promise((resolve) => this.#awaitingSleep.push(resolve));
  }

  async advance(ms: number): Promise<void> {
    const until = this.#elapsedMs + ms;
    await this.#settle();
    for (let next = this.#earliest(); next && next.wakeAt <= until; next = this.#earliest()) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.wakeAt);
      next.wake();
      await this.#settle();
    }
    this.#elapsedMs = until;
  }

  #earliest(): Sleeper | undefined {
    let earliest: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (!earliest || sleeper.wakeAt < earliest.wakeAt) earliest = sleeper;
      else if (sleeper.wakeAt === earliest.wakeAt && sleeper.order < earliest.order) earliest = sleeper;
    }
    return earliest;
  }

  /** A few turns of the event loop: enough for what one wake sets off without the network. */
  async #settle(): Promise<void> {
    for (let i = 0; i < 5; i += 1) await this.turn();
  }
}

/** Numbers from a seed (mulberry32): the same on every run and machine. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => Math.floor(this.fraction() * 256));
  }
}

/** SHA-256 of the machine. */
export const sha256Hash: Hash = {
  sha256(...parts) {
    const hash = createHash("sha256");
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest());
  },
};
