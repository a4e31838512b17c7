import { parentPort, workerData } from "node:worker_threads";
import { Refusal } from "../../core/errors.ts";
import { openFile } from "./connection.ts";
import { refusalOf } from "./failures.ts";
import { rejoin } from "./rejoin.ts";
import type { RejoinMessage, RejoinRequest } from "./rejoin-beside.ts";
import { sha256 } from "./sha256.ts";
import { WriteQueue } from "./write-queue.ts";

/** Comes home as it is asked to, in one transaction, and ends. */

function tell(message: RejoinMessage): void {
  parentPort?.postMessage(message);
}

/** Nobody else uses this thread, so that no step lets others run. */
async function comeHome({ path, winner, now }: RejoinRequest): Promise<{ readonly putAside: number }> {
  const { writer, reader } = openFile(path);
  const queue = new WriteQueue({
    clock: { turn: () => Promise.resolve() },
    hash: sha256,
    connection: () => writer,
    largeCommit: null,
  });
  try {
    return await queue.enqueue((tx) => rejoin(tx, winner, { hash: sha256, now }));
  } finally {
    reader.close();
    writer.close();
  }
}

try {
  tell({ kind: "rejoined", ...(await comeHome(workerData as RejoinRequest)) });
} catch (error) {
  const refusal = refusalOf(error);
  if (!(refusal instanceof Refusal)) throw error;
  tell({ kind: "refused", code: refusal.code, message: refusal.message });
}
