import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Child } from "./child.ts";
import { instantMs } from "./instant.ts";
import { median } from "./statistics.ts";
import { printTable, showMs } from "./table.ts";

export type Watched = {
  readonly ms: number;
  /** The longest delay of the site's event loop meanwhile, and of this process. */
  readonly delayMs: number;
  readonly ownDelayMs: number;
};

/** How long something takes that a site does, and how long it holds up everybody else there. */
export async function watchDelay(child: Child, work: () => Promise<unknown>): Promise<Watched> {
  await child.call("watchDelay");
  // This process only waits while a site works: what delays it is the machine.
  const ownDelay = monitorEventLoopDelay({ resolution: 1 });
  ownDelay.enable();
  const beganMs = instantMs();
  await work();
  const ms = instantMs() - beganMs;
  ownDelay.disable();
  return { ms, delayMs: await child.call<number>("longestDelayMs"), ownDelayMs: ownDelay.max / 1e6 };
}

const aimMs = 20;
const recorded: { readonly title: string; readonly watched: readonly Watched[] }[] = [];

/** Keeps what one part has seen for the table of them all. */
export function recordDelay(title: string, watched: readonly Watched[]): void {
  recorded.push({ title, watched });
}

/** The longest delays that this run has recorded, if any. */
export function printDelays(): void {
  if (recorded.length === 0) return;
  const rows = recorded.map(({ title, watched }) => {
    const delayMs = median(watched.map((one) => one.delayMs));
    const ownMs = median(watched.map((one) => one.ownDelayMs));
    return [title, showMs(delayMs), showMs(ownMs), `<= ${aimMs} ms`, delayMs <= aimMs ? "met" : "missed"];
  });
  printTable(
    "The event loop's longest delay, medians of the runs; the modules that are built, with a stopwatch around the store",
    ["meanwhile", "of the site", "of a process that only waits", "aim", ""],
    rows,
  );
}
