import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Refusal } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { type ImportedEntry, readImport } from "./import-entries.ts";
import { type ImportFrame, type ImportJob, unpackEntries } from "./import-frame.ts";

/** Bodies above this are parsed off the main thread: parsing alone would hold everybody up. */
const threadBytesMin = 1024 * 1024;

/**
 * Reads imports without blocking the event loop: small ones in slices, large ones in a thread that is started for them and
 * ends with them. One thread at a time, so that many imports at once cost the memory of one.
 */
export class ImportReader {
  readonly #clock: Clock;
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws Refusal as `readImport` does */
  async read(bytes: Uint8Array): Promise<readonly ImportedEntry[]> {
    const now = this.#clock.now();
    if (bytes.length < threadBytesMin) return await readImport(bytes, now, () => this.#clock.turn());
    const previous = this.#last;
    const reading = previous.then(() => readInThread({ bytes, now }));
    this.#last = reading.catch(() => undefined);
    return await reading;
  }
}

async function readInThread(job: ImportJob): Promise<readonly ImportedEntry[]> {
  const worker = new Worker(new URL("./import-thread.ts", import.meta.url), {
    workerData: job,
    transferList: ownBuffer(job.bytes),
    execArgv: [],
  });
  const ended = once(worker, "exit");
  // Rejects with what the thread threw, before its exit.
  const [frame] = (await once(worker, "message")) as [ImportFrame];
  await ended;
  if (frame.kind === "refused") throw new Refusal(frame.code, frame.detail, frame.mistakes);
  return unpackEntries(frame);
}

/** The buffer behind the bytes, where nothing else lies in it: handed over, 16 MiB need not be copied. */
function ownBuffer({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}
