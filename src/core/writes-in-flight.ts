/**
 * The client writes that this process has received and not yet answered. The HTTP server counts them, and a replication worker asks
 * before it lists: writes that arrive together are to leave in one push. A write that waits for the backups is no longer
 * counted, or it would wait for a worker that waits for it.
 */
export class WritesInFlight {
  #begun = 0;
  #ended = 0;
  #waiting: { readonly ended: number; readonly tell: () => void }[] = [];

  get count(): number {
    return this.#begun - this.#ended;
  }

  /** How many have begun since the process did. */
  get begun(): number {
    return this.#begun;
  }

  /** How many have ended since the process began. */
  get ended(): number {
    return this.#ended;
  }

  /** Counts a write from now on; the function that it returns ends that, and may be called more than once. */
  begin(): () => void {
    this.#begun += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#ended += 1;
      this.#tell();
    };
  }

  /**
   * Resolves when as many writes have ended as are in flight now; at once where none is. Those that begin later prolong nothing: in a
   * steady stream some are always in flight.
   */
  settled(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    return new Promise((tell) => this.#waiting.push({ ended: this.#begun, tell }));
  }

  #tell(): void {
    // Later waits are for more.
    while ((this.#waiting[0]?.ended ?? Number.POSITIVE_INFINITY) <= this.#ended)
      this.#waiting.shift()?.tell();
  }
}
