/** What nobody's failures exceed: the longest delay, and a little more before it begins to shrink. */
const countMax = 8;
const halfLifeMs = 2 * 60_000;

type Count = { readonly count: number; readonly at: number };

/**
 * How often something failed lately, by key. A count halves every two minutes, worked out when it is asked for, so that nothing
 * runs in between. Bounded: the key that failed longest ago is forgotten first.
 */
export class FailureCounts {
  readonly #counts = new Map<string, Count>();
  readonly #keysMax: number;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  get size(): number {
    return this.#counts.size;
  }

  /** @param nowMs of a clock that never goes back */
  count(key: string, nowMs: number): number {
    const known = this.#counts.get(key);
    return known === undefined ? 0 : known.count * 2 ** ((known.at - nowMs) / halfLifeMs);
  }

  /** @param by 1 for a failure, -1 for one that was none */
  add(key: string, by: 1 | -1, nowMs: number): void {
    const count = Math.min(countMax, this.count(key, nowMs) + by);
    this.#counts.delete(key);
    // Below a half it is none, however long it is kept.
    if (Math.round(count) < 1) return;
    this.#counts.set(key, { count, at: nowMs });
    if (this.#counts.size > this.#keysMax) this.#forgetOldest();
  }
  #forgetOldest(): void {
    const [oldest] = this.#counts.keys();
    if (oldest !== undefined) this.#counts.delete(oldest);
  }
}
