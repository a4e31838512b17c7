/**
 * A signal of capacity one: the customer's buffered channel. Raising it never blocks and coalesces; a signal raised while
 * nobody waits is kept for who waits next, so none is lost. At most one may wait.
 */
export class Signal {
  #isRaised = false;
  #onRaise: (() => void) | null = null;

  get isRaised(): boolean {
    return this.#isRaised;
  }

  raise(): void {
    this.#isRaised = true;
    this.#onRaise?.();
  }

  /** Takes the signal back: what it stood for is being done. */
  clear(): void {
    this.#isRaised = false;
  }

  /** Resolves when the signal is raised, or already was, or when `abort` fires. One pending promise, no timer. */
  wait(abort: AbortSignal): Promise<void> {
    if (this.#isRaised || abort.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        this.#onRaise = null;
        abort.removeEventListener("abort", end);
        resolve();
      };
      this.#onRaise = end;
      abort.addEventListener("abort", end);
    });
  }

  /** An AbortSignal that fires with the next raise, for cutting a timed wait; `release` ends the watch. */
  cut(): { readonly signal: AbortSignal; readonly release: () => void } {
    const controller = new AbortController();
    if (this.#isRaised) controller.abort();
    else this.#onRaise = () => controller.abort();
    return {
      signal: controller.signal,
      release: () => {
        this.#onRaise = null;
      },
    };
  }
}
