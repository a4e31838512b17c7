import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Child } from "./child.ts";
import { instantMs } from "./instant.ts";

/** This process only waits while a site works: what delays it is the machine. */
const ownDelay = monitorEventLoopDelay({ resolution: 1 });

export type Watched = {
  readonly ms: number;
  /** The longest delay of the site's event loop meanwhile, and of this process. */
  readonly delayMs: number;
  readonly ownDelayMs: number;
};

/** How long something takes that a site does, and how long it holds up everybody else there. */
export async function watchDelay(child: Child, work: () => Promise<unknown>): Promise<Watched> {
  await child.call("watchDelay");
  ownDelay.reset();
  ownDelay.enable();
  const beganMs = instantMs();
  await work();
  const ms = instantMs() - beganMs;
  const ownDelayMs = ownDelay.max / 1e6;
  ownDelay.disable();
  return { ms, delayMs: await child.call<number>("longestDelayMs"), ownDelayMs };
}
