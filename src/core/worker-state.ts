/**
 * The states of a backup's worker, and what moves it. The table is the only place that knows which move is legal; a pair of
 * state and event that it does not name does not compile. docs/ARCHITECTURE.md shows it as a table.
 */
export type WorkerState =
  | "asleep"
  | "shipping"
  | "backing_off"
  | "probing"
  | "repairing"
  | "fenced"
  | "stopped";

export type WorkerEvent =
  /** A signal, a hello, or the end of a wait. */
  | "woken"
  /** Everything above acked is acknowledged. */
  | "drained"
  /** An attempt failed and the operator need not know yet. */
  | "attempt_failed"
  /** An attempt failed and the operator has been told. */
  | "attempts_exhausted"
  /** An attempt failed, and nothing dirty needs another. */
  | "gave_up"
  /** The backup's digest differs. */
  | "diverged"
  | "repaired"
  /** This site may not ship any more. */
  | "fenced"
  | "stopped";

type Table = Readonly<Record<WorkerState, Readonly<Record<WorkerEvent, WorkerState | null>>>>;

/** null: no such move exists, and asking for it is a bug. */
export const workerTransitions: Table = {
  asleep: {
    woken: "shipping",
    drained: null,
    attempt_failed: null,
    attempts_exhausted: null,
    gave_up: null,
    diverged: null,
    repaired: null,
    fenced: "fenced",
    stopped: "stopped",
  },
  shipping: {
    woken: null,
    drained: "asleep",
    attempt_failed: "backing_off",
    attempts_exhausted: "probing",
    gave_up: "asleep",
    diverged: "repairing",
    repaired: null,
    fenced: "fenced",
    stopped: "stopped",
  },
  backing_off: {
    woken: "shipping",
    drained: null,
    attempt_failed: null,
    attempts_exhausted: null,
    gave_up: null,
    diverged: null,
    repaired: null,
    fenced: "fenced",
    stopped: "stopped",
  },
  probing: {
    woken: "shipping",
    drained: null,
    attempt_failed: null,
    attempts_exhausted: null,
    gave_up: null,
    diverged: null,
    repaired: null,
    fenced: "fenced",
    stopped: "stopped",
  },
  repairing: {
    woken: null,
    drained: null,
    attempt_failed: "backing_off",
    attempts_exhausted: "probing",
    gave_up: null,
    diverged: null,
    repaired: "shipping",
    fenced: "fenced",
    stopped: "stopped",
  },
  fenced: {
    woken: null,
    drained: null,
    attempt_failed: null,
    attempts_exhausted: null,
    gave_up: null,
    diverged: null,
    repaired: null,
    fenced: "fenced",
    stopped: "stopped",
  },
  stopped: {
    woken: null,
    drained: null,
    attempt_failed: null,
    attempts_exhausted: null,
    gave_up: null,
    diverged: null,
    repaired: null,
    fenced: "stopped",
    stopped: "stopped",
  },
};

/** The state after an event; throws where the table has no such move. */
export function nextWorkerState(state: WorkerState, event: WorkerEvent): WorkerState {
  const next = workerTransitions[state][event];
  if (next === null) throw new Error(`the worker cannot move from ${state} on ${event}`);
  return next;
}
