/**
 * The client writes that this process has received and not yet answered. The HTTP server counts them, and a replication worker asks
 * before it lists: writes that arrive together are to leave in one push. A write that waits for the backups is no longer
 * counted, or it would wait for a worker that waits for it.
 */
export class WritesInFlight {
  #count = 0;
  #settled: PromiseWithResolvers<void> | null = null;

  get count(): number {
    return this.#count;
  }

  /** Counts a write from now on; the function that it returns ends that, and may be called more than once. */
  begin(): () => void {
    this.#count += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#count -= 1;
      if (this.#count > 0) return;
      this.#settled?.resolve();
      this.#settled = null;
    };
  }

  /** Resolves when no write is in flight; at once where none is. */
  settled(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    this.#settled ??= Promise.withResolvers();
    return this.#settled.promise;
  }
}
