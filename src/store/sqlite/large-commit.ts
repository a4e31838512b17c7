import { open } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import type { Connection } from "./connection.ts";

/**
 * What a commit of thousands of rows would make everybody wait for, done beside the event loop: flushing the log, and copying
 * it back into the database. Only for files; a commit of an everyday size needs neither.
 */
export class LargeCommit {
  readonly #path: string;
  #checkpointing: Promise<void> = Promise.resolve();

  /** @param path the database file */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Before COMMIT: brings what the transaction has written so far to the disk, so that COMMIT's own flush is short. COMMIT
   * flushes again and reports what fails, so a failure here is nothing yet. The copy back is left for afterwards.
   */
  async prepare(connection: Connection): Promise<void> {
    connection.database.pragma("wal_autocheckpoint = 0");
    const log = await open(`${this.#path}-wal`, "r+").catch(() => undefined);
    await log?.datasync().catch(() => undefined);
    await log?.close();
  }

  /** After COMMIT: copies the log back in a thread. Where that fails, the next commit of any size does it. */
  finish(connection: Connection): void {
    const copied = this.copyBack().then(() => {
      if (connection.database.open) connection.database.pragma(`wal_autocheckpoint = ${checkpointPages}`);
    });
    this.#checkpointing = Promise.all([this.#checkpointing, copied]).then(() => undefined);
  }

  /** Resolves when no thread is at work. */
  idle(): Promise<void> {
    return this.#checkpointing;
  }

  /** Copies the log back in a thread, as far as readers allow; where that fails, it is left for later. */
  async copyBack(): Promise<void> {
    const thread = new Worker(new URL("./checkpoint-thread.ts", import.meta.url), { workerData: this.#path });
    // Waiting for the end by `once` would reject with what the thread failed with.
    thread.on("error", () => undefined);
    await new Promise((resolve) => thread.once("exit", resolve));
  }
}

/** SQLite's own default: the log is copied back when a commit leaves it longer than this. */
const checkpointPages = 1_000;
