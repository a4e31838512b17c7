import type { AlertDetails } from "../../core/alert-events.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import type { Incidents } from "./incidents.ts";

export type LagWatchOptions = {
  readonly peer: SiteName;
  readonly store: Transacts<"replication"> & Pick<Store, "acknowledgements">;
  readonly clock: Clock;
  /** How old the oldest dirty row may grow, while attempts fail, before the operator hears of it. */
  readonly lagAfterMs: number;
  readonly incidents: Incidents;
  /** A fault of this site's own disk: for the log. */
  readonly onFault: (error: unknown) => void;
};

/** Tells the operator of a backup that is behind: one timer, while attempts fail and a row is dirty, and none otherwise. */
export class LagWatch {
  readonly #options: LagWatchOptions;
  #watch: AbortController | null = null;
  #watched: Promise<void> = Promise.resolve();
  /** Whether the operator knows of the lag since the last finished drain: then no timer need watch it. */
  #isTold = false;

  constructor(options: LagWatchOptions) {
    this.#options = options;
  }

  /** Watches for the moment at which the oldest dirty row is too old. May be repeated. */
  begin(lastError: () => string | null): void {
    if (this.#watch || this.#isTold) return;
    const watch = new AbortController();
    this.#watch = watch;
    this.#watched = this.#tell(watch.signal, lastError)
      .catch(this.#options.onFault)
      .finally(() => {
        this.#watch = null;
      });
  }

  /** Ends the watch. Resolves when what it was just telling is told, so that the end of a lag is told after the lag. */
  async end(): Promise<void> {
    this.#watch?.abort();
    await this.#watched;
  }

  /** Everything is acknowledged: the next lag is another. */
  drained(): void {
    this.#isTold = false;
  }

  async #tell(abort: AbortSignal, lastError: () => string | null): Promise<void> {
    const { peer, store, clock, lagAfterMs, incidents } = this.#options;
    while (!abort.aborted) {
      const { dirty, oldestDirtySince } = await store.read((r) => r.replication.backlog(peer));
      if (oldestDirtySince === null) return;
      // A wall clock that was put back must not put off the next look until it has caught up.
      const lagMs = Math.max(0, clock.now() - oldestDirtySince);
      if (abort.aborted) return;
      if (lagMs >= lagAfterMs) {
        const details: AlertDetails = { count: dirty, lag_ms: lagMs, last_error: lastError() };
        await incidents.open("replication_lagging", "Backup is behind", details);
        this.#isTold = true;
        return;
      }
      await clock.sleep(lagAfterMs - lagMs, abort);
    }
  }
}
