import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { type ErrorCode, Refusal } from "../../core/errors.ts";
import type { Winner } from "../../core/store.ts";

export type RejoinRequest = {
  /** The database file. */
  readonly path: string;
  readonly winner: Winner;
  readonly now: number;
};

/** The one thing that the thread says. */
export type RejoinMessage =
  | { readonly kind: "rejoined"; readonly putAside: number }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

/**
 * Comes home in a thread, in one transaction of a connection of its own: with many rows above the common point its log is so
 * long that SQLite, which numbers all of it again when it commits, would hold up everybody else for a tenth of a second. Nobody
 * may write meanwhile. Aborting ends the thread, which changes nothing unless it had committed.
 * @throws Refusal those of RoleStore.rejoin; `shutting_down` where the signal aborts; what the disk fails with
 */
export async function rejoinBeside(
  request: RejoinRequest,
  signal: AbortSignal,
): Promise<{ readonly putAside: number }> {
  if (signal.aborted) throw new Refusal("shutting_down");
  const thread = new Worker(new URL("./rejoin-thread.ts", import.meta.url), { workerData: request });
  const stop = (): void => void thread.terminate();
  signal.addEventListener("abort", stop, { once: true });
  let end: RejoinMessage | undefined;
  thread.on("message", (message: RejoinMessage) => {
    end = message;
  });
  try {
    await once(thread, "exit");
  } finally {
    signal.removeEventListener("abort", stop);
  }
  if (end?.kind === "rejoined") return { putAside: end.putAside };
  if (end?.kind === "refused") throw new Refusal(end.code, end.message);
  if (signal.aborted) throw new Refusal("shutting_down");
  throw new Error("the thread that comes home ended without a word");
}
