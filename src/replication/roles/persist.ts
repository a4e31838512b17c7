import { type BackoffPolicy, waitMs } from "../../core/backoff.ts";
import type { Clock, Random } from "../../core/ports.ts";

export type PersistPorts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly backoff: BackoffPolicy;
  /** A fault of this site's own disk: for the log. */
  readonly onFault: (error: unknown) => void;
};

/**
 * Does what must not be left undone because the disk or a peer fails just now, again and again with the worker's waits, until
 * it says that it is done or `abort` fires. A throw is logged and is not done.
 */
export async function persist(
  { clock, random, backoff, onFault }: PersistPorts,
  abort: AbortSignal,
  work: () => Promise<"done" | "again">,
): Promise<void> {
  for (let failures = 1; !abort.aborted; failures += 1) {
    try {
      if ((await work()) === "done") return;
    } catch (error) {
      onFault(error);
    }
    await clock.sleep(waitMs(backoff, failures, random), abort);
  }
}
