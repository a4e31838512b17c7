import { close, fdatasync, fsync, open } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import type { Connection } from "./connection.ts";
import type { Log } from "./flushes.ts";

const openFile = promisify(open);
const closeFile = promisify(close);
const flushFile = promisify(fdatasync);
const flushFolder = promisify(fsync);

/** A log of so many pages (32 MiB) is copied back into the database: the pages that every commit changes are copied once then. */
const longPages = 8_000;
/** From so many on (64 MiB) no transaction begins until it has been: the log could otherwise grow for as long as clients write. */
const tooLongPages = 16_000;
/** Looking how long the log is costs as much as a statement: so many commits go by between two looks. */
const commitsPerLook = 16;

/**
 * The log of a database file (sqlite.org/wal.html). SQLite writes a transaction's pages to it at COMMIT and, with
 * `synchronous = NORMAL`, flushes it only when it is copied back. Both of that happens here beside the event loop: the flush on
 * the thread pool, the copy in a thread that is started for it.
 */
export class LogFile implements Log {
  readonly #path: string;
  #file: Promise<number> | undefined;
  #copying: Promise<void> | undefined;
  #commits = 0;

  /** @param path the database file */
  constructor(path: string) {
    this.#path = path;
  }

  async flush(): Promise<void> {
    this.#file ??= openLog(this.#path);
    await flushFile(await this.#file);
  }

  /**
   * To be called after each COMMIT: has a long log copied back in a thread.
   * @param hold keeps transactions from beginning until the work it is given has ended
   */
  committed(connection: Connection, hold: (work: () => Promise<void>) => Promise<void>): void {
    this.#commits += 1;
    if (this.#commits < commitsPerLook || this.#copying) return;
    this.#commits = 0;
    const pages = pagesIn(connection);
    if (pages >= tooLongPages) this.#copying = hold(() => copyBack(this.#path));
    else if (pages >= longPages) this.#copying = copyBack(this.#path);
    this.#copying = this.#copying?.finally(() => {
      this.#copying = undefined;
    });
    // Where it fails, a later commit has it tried again.
    this.#copying?.catch(() => undefined);
  }

  /** Copies the log back in a thread, as far as readers allow; where that fails, it is left for later. */
  async copyBack(): Promise<void> {
    await this.idle();
    await copyBack(this.#path);
  }

  /** Resolves when no thread is at work. */
  async idle(): Promise<void> {
    await this.#copying?.catch(() => undefined);
  }

  /** To be called when no flush is under way. */
  async close(): Promise<void> {
    const file = await this.#file?.catch(() => undefined);
    if (file !== undefined) await closeFile(file);
  }
}

/** The log's name must be on the disk too before anything in it counts. */
async function openLog(path: string): Promise<number> {
  const folder = await openFile(dirname(path), "r");
  await flushFolder(folder);
  await closeFile(folder);
  return openFile(`${path}-wal`, "r+");
}

/** Pages in the log that are not in the database yet. NOOP only looks (sqlite.org/pragma.html#pragma_wal_checkpoint). */
function pagesIn(connection: Connection): number {
  type Lengths = { log: number; checkpointed: number };
  const found = connection.get<Lengths>("PRAGMA wal_checkpoint(NOOP)");
  return found ? found.log - found.checkpointed : 0;
}

async function copyBack(path: string): Promise<void> {
  const thread = new Worker(new URL("./checkpoint-thread.ts", import.meta.url), { workerData: path });
  // Waiting for the end by `once` would reject with what the thread failed with.
  thread.on("error", () => undefined);
  await new Promise((resolve) => thread.once("exit", resolve));
}
