import { statSync } from "node:fs";
import { Refusal } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { Erasure } from "../../core/store/erasure.ts";
import type { Connection } from "./connection.ts";
import type { Knowledge } from "./knowledge.ts";
import type { LogFile } from "./log-file.ts";
import type { View } from "./state.ts";
import { inOneStep } from "./transaction.ts";
import type { WriteQueue } from "./write-queue.ts";

export type ErasureOptions = {
  /** The database file; null in memory, where there is no log. */
  readonly path: string | null;
  readonly clock: Pick<Clock, "sleep">;
  readonly queue: WriteQueue;
  /** Reads one state. */
  readonly look: <T>(look: (view: View) => T) => Promise<T>;
  readonly connection: Connection;
  readonly knowledge: Knowledge;
  /** Null in memory. */
  readonly log: LogFile | null;
};

/** From so many bytes on the log is copied back in a thread first: what is left then takes a moment. */
const longLogBytes = 4 * 1024 * 1024;

/** Readers are waited for, for some 5 s in all: a count of all rows or a snapshot takes longer, and then the caller tries again. */
const attemptsMax = 50;
const attemptMs = 100;

/**
 * Empties the log of what was taken away for good. `secure_delete` overwrites it in the database, but the log keeps pages as they
 * were until it is reset, which no reader of an older state may be in the way of.
 */
export class LogErasure implements Erasure {
  readonly #options: ErasureOptions;
  readonly #stopped = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  hasRemains(): Promise<boolean> {
    return this.#options.look(({ state }) => state.remains > 0);
  }

  /** One after the other: two at once would take each other's remains for erased. Whoever comes second finds nothing left. */
  eraseRemains(): Promise<void> {
    const erased = this.#last.then(() => this.#eraseOnce());
    this.#last = erased.catch(() => undefined);
    return erased;
  }

  /** Ends the waiting for readers. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#last;
  }

  async #eraseOnce(): Promise<void> {
    const { path, queue, knowledge } = this.#options;
    if (this.#stopped.signal.aborted) throw new Refusal("shutting_down");
    const { remains } = knowledge.state;
    if (remains === 0) return;
    if (path !== null) await this.#emptyLog(path);
    // Another transaction may have left more meanwhile. Should this be lost in a crash, an empty log is emptied again.
    const forget = inOneStep((tx) => {
      if (tx.state.remains === remains) tx.saveRemains(0);
    });
    await queue.enqueue(forget, "committed");
  }

  async #emptyLog(path: string): Promise<void> {
    const { queue, connection, clock } = this.#options;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      if (this.#stopped.signal.aborted) throw new Refusal("shutting_down");
      await this.#copyBack(path);
      if (await queue.hold(async () => truncateLog(connection))) return;
      await clock.sleep(attemptMs, this.#stopped.signal);
    }
    throw new Refusal("busy", "a reader of the database's older state keeps its log from being emptied");
  }

  async #copyBack(path: string): Promise<void> {
    const { log } = this.#options;
    await log?.idle();
    const bytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes > longLogBytes) await log?.copyBack();
  }
}

/** Whether no reader was in the way. Never waits for one: it would hold up the event loop. */
function truncateLog({ database }: Connection): boolean {
  const patienceMs = Number(database.pragma("busy_timeout", { simple: true }));
  database.pragma("busy_timeout = 0");
  try {
    const [outcome] = database.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[];
    return outcome?.busy === 0;
  } finally {
    database.pragma(`busy_timeout = ${patienceMs}`);
  }
}
