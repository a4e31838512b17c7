import type { EventEmitter } from "node:events";
import { isatty } from "node:tty";

type World = {
  readonly source: Pick<EventEmitter, "on" | "off">;
  /** Whether a terminal watches this process now. */
  readonly hasTerminal: () => boolean;
};

/** SIGHUP, which means two things. */
export type Hangup = Disposable & {
  /** From now on a SIGHUP reloads; one that came before does so at once, because the files may have been read already. */
  onReload(reload: () => void): void;
};

/**
 * Tells the two meanings of SIGHUP apart. A process whose terminal was closed is to stop, as with Ctrl-C; every other is to
 * read its files again, which is what supervisors send it for. Disposing gives the signal back to Node.
 */
export function listenForHangup(stop: () => void, world: Partial<World> = {}): Hangup {
  const source = world.source ?? process;
  const hasTerminal = world.hasTerminal ?? (() => [0, 1, 2].some((fd) => isatty(fd)));
  const hadTerminal = hasTerminal();
  let isPending = false;
  let reload = (): void => {
    isPending = true;
  };
  // A terminal that is gone is none any more.
  const onSignal = (): void => (hadTerminal && !hasTerminal() ? stop() : reload());
  source.on("SIGHUP", onSignal);
  return {
    onReload: (then) => {
      reload = then;
      if (isPending) reload();
    },
    [Symbol.dispose]: () => void source.off("SIGHUP", onSignal),
  };
}
