import type { EventEmitter } from "node:events";

/** A terminal sends ^C to the launcher and to the server, and the launcher may pass it on: that is one keypress. */
const oneKeypressMs = 1_000;
const exitForced = 130;
const signals = ["SIGINT", "SIGTERM"] as const;

type World = {
  readonly source: Pick<EventEmitter, "on" | "off">;
  readonly exit: (status: number) => void;
  readonly monotonicMs: () => number;
};

/** The wish to stop: everything with a lifetime listens to `signal`. */
export type Shutdown = Disposable & {
  readonly signal: AbortSignal;
  /** Asks for the same from within the program. */
  request(): void;
};

/**
 * Turns SIGINT and SIGTERM into one AbortSignal. Signals within a second of the first are the same keypress; a later one means
 * that somebody has lost patience and ends the process at once with status 130. Disposing gives the signals back to Node.
 */
export function listenForShutdown(world: Partial<World> = {}): Shutdown {
  const source = world.source ?? process;
  const exit = world.exit ?? ((status: number) => process.exit(status));
  const monotonicMs = world.monotonicMs ?? (() => performance.now());
  const controller = new AbortController();
  let firstAt: number | undefined;
  const request = (): void => {
    firstAt ??= monotonicMs();
    controller.abort();
  };
  const onSignal = (): void => {
    if (firstAt !== undefined && monotonicMs() - firstAt > oneKeypressMs) exit(exitForced);
    else request();
  };
  for (const name of signals) source.on(name, onSignal);
  return {
    signal: controller.signal,
    request,
    [Symbol.dispose]: () => {
      for (const name of signals) source.off(name, onSignal);
    },
  };
}
