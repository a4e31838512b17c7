import type { Log } from "../../src/store/sqlite/flushes.ts";

/** A log whose flushes end when a test says so, the oldest first. */
export class HeldLog implements Log {
  readonly #running: PromiseWithResolvers<void>[] = [];
  /** How many flushes have begun. */
  begun = 0;

  flush(): Promise<void> {
    this.begun += 1;
    const flush = Promise.withResolvers<void>();
    this.#running.push(flush);
    return flush.promise;
  }

  /** Ends the flush under way, and lets everybody it lets go on do so. */
  async end(): Promise<void> {
    this.#running.shift()?.resolve();
    await settle();
  }

  /** Fails the flush under way, as a broken disk does. */
  async fail(): Promise<void> {
    this.#running.shift()?.reject(Object.assign(new Error("i/o error"), { code: "EIO" }));
    await settle();
  }
}

/** Some turns of the event loop: what can go on without a disk has gone on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Which of some promises have settled, by their names, in the order in which they did. */
export function watch(promises: Readonly<Record<string, Promise<unknown>>>): readonly string[] {
  const settled: string[] = [];
  for (const [name, promise] of Object.entries(promises)) {
    promise.then(
      () => settled.push(name),
      () => settled.push(`${name} failed`),
    );
  }
  return settled;
}
