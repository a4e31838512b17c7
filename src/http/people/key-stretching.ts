import type { PassphraseParameters } from "../../core/access.ts";
import { Refusal } from "../../core/errors.ts";
import { stretchPassphrase } from "../../crypto/passphrase.ts";

/** Each takes 64 MiB and a thread of the pool, which has four. */
const runningMax = 2;
const waitingMax = 8;

type Stretch = typeof stretchPassphrase;

/**
 * The one queue for everything at this site that stretches a passphrase: two at once, eight waiting in the order in which they came.
 * Without it a handful of requests would take all memory and every thread that reads files.
 */
export class KeyStretching {
  readonly #stretch: Stretch;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(stretch: Stretch = stretchPassphrase) {
    this.#stretch = stretch;
  }

  /**
   * See `stretchPassphrase`. Whoever goes away while waiting leaves the queue; what runs is finished.
   * @throws Refusal `busy` where as many wait as may, `passphrase_parameters`; `shutting_down` where the signal aborts first
   */
  async stretch(
    passphrase: string,
    parameters: PassphraseParameters,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    await this.#enter(signal);
    try {
      return await this.#stretch(passphrase, parameters);
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new Refusal("shutting_down");
    if (this.#running < runningMax) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= waitingMax) throw new Refusal("busy", "Too many logins are under way.");
    await this.#turn(signal);
  }

  /** A place is handed on by whoever leaves it, so that nobody slips in between. */
  #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const begin = (): void => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    };
    const giveUp = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(begin), 1);
      reject(new Refusal("shutting_down"));
    };
    this.#waiting.push(begin);
    signal.addEventListener("abort", giveUp, { once: true });
    return promise;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
