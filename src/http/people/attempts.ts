import { Refusal } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { FailureCounts } from "./failure-counts.ts";

const keysMax = 10_000;
const waitingMax = 64;
/** Of one address. Two that are at it together still leave a place in the queue for the passphrases (`KeyStretching`). */
const atOnceMax = 4;
const firstDelayMs = 500;
const delayMsMax = 10_000;

export type Attempt = {
  /** Whom to count it against beside the login; undefined where the address is everybody's. */
  readonly address: string | undefined;
  readonly login: string;
};

/**
 * Slows down who tries passphrases, and locks nobody out. Each failure is counted against the address that it came from and the login
 * that it was for, known or not; the next attempt of either waits before any work is done for it: 0.5 s, 1 s, 2 s and so on to 10 s.
 * An attempt counts as failed from its beginning, so that many at once are no way around it. Everything is bounded, and no timer
 * runs while nobody waits.
 */
export class Attempts {
  readonly #clock: Pick<Clock, "monotonicMs" | "sleep">;
  readonly #addresses = new FailureCounts(keysMax);
  readonly #logins = new FailureCounts(keysMax);
  readonly #atOnce = new Map<string, number>();
  #waiting = 0;

  constructor(clock: Pick<Clock, "monotonicMs" | "sleep">) {
    this.#clock = clock;
  }

  /** How many keys are remembered: at most 20,000. */
  get size(): number {
    return this.#addresses.size + this.#logins.size;
  }

  /**
   * Waits as long as earlier failures demand, then checks. undefined is a failure, and counts. What the check makes is a
   * success, and what it throws neither: both take back their own count and no other, or whoever has an access of the same login in a
   * vault of his own could clear the failures of his guesses by it.
   * @throws Refusal `busy` where too many wait, or too many of this address are under way; `shutting_down` where the signal aborts
   */
  async make<T>(
    attempt: Attempt,
    signal: AbortSignal,
    check: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    using _place = this.#takePlace(attempt.address);
    const delayMs = this.#delayMs(attempt);
    if (delayMs > 0 && this.#waiting >= waitingMax) throw tooMany();
    this.#count(attempt, 1);
    try {
      if (delayMs > 0) await this.#wait(delayMs, signal);
      const result = await check();
      if (result !== undefined) this.#count(attempt, -1);
      return result;
    } catch (error) {
      this.#count(attempt, -1);
      throw error;
    }
  }

  #takePlace(address: string | undefined): Disposable {
    if (address === undefined) return { [Symbol.dispose]: () => undefined };
    const taken = this.#atOnce.get(address) ?? 0;
    if (taken >= atOnceMax) throw tooMany();
    this.#atOnce.set(address, taken + 1);
    return { [Symbol.dispose]: () => this.#givePlaceBack(address) };
  }

  #givePlaceBack(address: string): void {
    const left = (this.#atOnce.get(address) ?? 1) - 1;
    if (left === 0) this.#atOnce.delete(address);
    else this.#atOnce.set(address, left);
  }

  #delayMs({ address, login }: Attempt): number {
    const now = this.#clock.monotonicMs();
    const ofAddress = address === undefined ? 0 : this.#addresses.count(address, now);
    const failures = Math.round(Math.max(ofAddress, this.#logins.count(login, now)));
    return failures === 0 ? 0 : Math.min(delayMsMax, firstDelayMs * 2 ** (failures - 1));
  }

  async #wait(delayMs: number, signal: AbortSignal): Promise<void> {
    this.#waiting += 1;
    await this.#clock.sleep(delayMs, signal);
    this.#waiting -= 1;
    if (signal.aborted) throw new Refusal("shutting_down");
  }

  #count({ address, login }: Attempt, by: 1 | -1): void {
    const now = this.#clock.monotonicMs();
    if (address !== undefined) this.#addresses.add(address, by, now);
    this.#logins.add(login, by, now);
  }
}

function tooMany(): Refusal {
  return new Refusal("busy", "Too many logins are under way.");
}
