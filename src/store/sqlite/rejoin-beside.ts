import type { Winner } from "../../core/store/roles.ts";
import { runThread } from "./thread.ts";

export type RejoinRequest = {
  /** The database file. */
  readonly path: string;
  readonly winner: Winner;
  readonly now: number;
};

/**
 * Comes home in a thread, in one transaction of a connection of its own: with many rows above the common point its log is so
 * long that SQLite, which numbers all of it again when it commits, would hold up everybody else for a tenth of a second. Nobody
 * may write meanwhile. Aborting ends the thread, which changes nothing unless it had committed.
 * @throws Refusal those of Homecoming.rejoin; the signal's reason; what the disk fails with
 */
export function rejoinBeside(
  request: RejoinRequest,
  signal: AbortSignal,
): Promise<{ readonly putAside: number }> {
  return runThread({ script: new URL("./rejoin-thread.ts", import.meta.url), request, signal });
}
