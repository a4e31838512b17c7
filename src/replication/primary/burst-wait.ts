import type { Clock } from "../../core/ports.ts";
import type { BatchLimit } from "../../core/store/replication.ts";
import type { WritesInFlight } from "../../core/writes-in-flight.ts";

export type BurstWaitPorts = {
  readonly clock: Pick<Clock, "sleep" | "turn">;
  readonly writesInFlight: WritesInFlight;
  readonly limit: BatchLimit;
  /** Ends a wait at once. */
  readonly stop: AbortSignal;
};

/** How often the wait looks whether a write has ended. */
const sliceMs = 2;
/** How long a drain waits in all while no write ends: one whose body arrives slowly must not hold up the others. */
const stillMsMax = 16;

/**
 * Waits, before a drain lists, until a burst of client writes is over: it leaves in one push then, also from a process that has just
 * started, where fifty writes take a tenth of a second and commit one by one. Two signs tell of a burst: writes in flight,
 * and writes that begin in the very turn of the event loop that the wait takes. The second is needed because Node accepts one
 * connection a turn: of fifty clients that connect at once, most are still in the kernel when the first write commits.
 *
 * A lone write waits for one turn. A steady stream is shipped after as many writes as one push takes. Where no write ends, a
 * drain waits for `stillMsMax` in all.
 */
export class BurstWait {
  readonly #ports: BurstWaitPorts;
  #stillMsLeft = stillMsMax;

  constructor(ports: BurstWaitPorts) {
    this.#ports = ports;
  }

  async over(): Promise<void> {
    const { clock, writesInFlight: writes, limit, stop } = this.#ports;
    const enough = writes.ended + limit.rows;
    for (let isArriving = true; isArriving && writes.ended < enough && this.#mayWait; ) {
      const { begun } = writes;
      await clock.turn();
      isArriving = writes.begun > begun;
      if (writes.count > 0 && !stop.aborted) await this.#settled();
    }
  }

  get #mayWait(): boolean {
    return this.#stillMsLeft > 0 && !this.#ports.stop.aborted;
  }

  /** Waits for as many writes to end as are in flight now. */
  async #settled(): Promise<void> {
    const settled = new AbortController();
    void this.#ports.writesInFlight.settled().then(() => settled.abort());
    const end = AbortSignal.any([this.#ports.stop, settled.signal]);
    while (!end.aborted && this.#mayWait) await this.#slice(end);
  }

  /** Counts the time that was asked for, not the time that passed: on a machine busy elsewhere, a slice takes many times as long. */
  async #slice(end: AbortSignal): Promise<void> {
    const { clock, writesInFlight: writes } = this.#ports;
    const { ended } = writes;
    await clock.sleep(sliceMs, end);
    // Requests that have arrived meanwhile are taken up first.
    if (!end.aborted) await clock.turn();
    if (writes.ended === ended) this.#stillMsLeft -= sliceMs;
  }
}
