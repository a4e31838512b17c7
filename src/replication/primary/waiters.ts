import { comparePositions, type Position } from "../../core/position.ts";
import type { Acknowledgement } from "../../core/store/replication.ts";

type Waiter = {
  readonly position: Position;
  readonly until: "held" | "proved";
  readonly settle: (is: boolean) => void;
};

/** Who waits for one backup to hold a row, or to be proved equal. */
export class Waiters {
  readonly #waiters = new Set<Waiter>();
  #acked: Position | null = null;

  /** Resolves true when the backup holds, or is proved equal at, a position; false where it rejects it, or at the abort. */
  wait(until: Waiter["until"], position: Position, abort: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (is: boolean) => {
        this.#waiters.delete(waiter);
        abort.removeEventListener("abort", giveUp);
        resolve(is);
      };
      const giveUp = () => settle(false);
      const waiter = { position, until, settle };
      this.#waiters.add(waiter);
      abort.addEventListener("abort", giveUp);
      if (abort.aborted) giveUp();
    });
  }

  acknowledged({ through, rejected, verified }: Acknowledgement): void {
    this.#acked = through.position;
    const isRejected = ({ position }: Waiter) =>
      rejected.some((row) => comparePositions(row.position, position) === 0);
    for (const waiter of this.#waiters) {
      const isCovered = comparePositions(waiter.position, through.position) <= 0;
      if (waiter.until === "proved") {
        if (isCovered && verified === true) waiter.settle(true);
      } else if (isRejected(waiter)) waiter.settle(false);
      else if (isCovered) waiter.settle(true);
    }
  }

  /** A drain is finished: what it has not proved by now is not going to be proved without another. */
  drained(): void {
    const acked = this.#acked;
    if (acked === null) return;
    for (const waiter of this.#waiters) {
      if (waiter.until === "proved" && comparePositions(waiter.position, acked) <= 0) waiter.settle(false);
    }
  }

  end(): void {
    for (const waiter of this.#waiters) waiter.settle(false);
  }
}
