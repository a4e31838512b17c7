import { once } from "node:events";
import { parentPort, type ResourceLimits, Worker } from "node:worker_threads";
import { type ErrorCode, Refusal } from "../../core/errors.ts";
import { refusalOf } from "./failures.ts";

/** What takes long and would hold up everybody else is done in a thread that is started for it, and ends with it. */

/** What a thread says, one message after the other; the last is `done` or `refused`. */
type ThreadMessage<Result, Progress> =
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

export type ThreadCall<Progress> = {
  readonly script: URL;
  /** What the thread finds as its `workerData`. */
  readonly request: unknown;
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the thread. */
  readonly signal?: AbortSignal;
  readonly limits?: ResourceLimits;
};

/**
 * Runs a script of the store in a thread and resolves, when the thread is gone, with what it has answered by `answerCaller`:
 * also where the signal came too late to keep it from that.
 * @throws Refusal the one that the thread ended with; the signal's reason where it ended the thread; what the thread failed with
 */
export async function runThread<Result, Progress = never>(call: ThreadCall<Progress>): Promise<Result> {
  const { script, request, onProgress, signal, limits = {} } = call;
  signal?.throwIfAborted();
  const thread = new Worker(script, { workerData: request, resourceLimits: limits });
  const stop = (): void => void thread.terminate();
  signal?.addEventListener("abort", stop, { once: true });
  let end: Exclude<ThreadMessage<Result, Progress>, { kind: "progress" }> | undefined;
  thread.on("message", (message: ThreadMessage<Result, Progress>) => {
    if (message.kind === "progress") onProgress?.(message.progress);
    else end = message;
  });
  try {
    await once(thread, "exit");
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  if (end?.kind === "done") return end.result;
  if (end?.kind === "refused") throw new Refusal(end.code, end.message);
  signal?.throwIfAborted();
  throw new Error("a thread of the store ended without a word");
}

/** In the thread: does the work, and answers with its result or with why it was refused. Any other failure ends the thread. */
export async function answerCaller<Result>(work: () => Result | Promise<Result>): Promise<void> {
  const tell = (message: ThreadMessage<Result, never>): void => parentPort?.postMessage(message);
  try {
    tell({ kind: "done", result: await work() });
  } catch (error) {
    const refusal = refusalOf(error);
    if (!(refusal instanceof Refusal)) throw error;
    tell({ kind: "refused", code: refusal.code, message: refusal.message });
  }
}

/** In the thread: how far the work has come. */
export function tellProgress<Progress>(progress: Progress): void {
  const message: ThreadMessage<never, Progress> = { kind: "progress", progress };
  parentPort?.postMessage(message);
}
