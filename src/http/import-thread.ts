import { parentPort, workerData } from "node:worker_threads";
import { Refusal } from "../core/errors.ts";
import { readImport } from "./import-entries.ts";
import { type ImportFrame, type ImportJob, packEntries } from "./import-frame.ts";

/** The thread that one large import is read in. It answers once and ends. */

async function work({ bytes, now }: ImportJob): Promise<ImportFrame> {
  try {
    return packEntries(await readImport(bytes, now, async () => undefined));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: "refused", code: error.code, detail: error.message, mistakes: error.mistakes };
  }
}

const frame = await work(workerData as ImportJob);
parentPort?.postMessage(frame, frame.kind === "read" ? [frame.bodies, frame.ends.buffer as ArrayBuffer] : []);
