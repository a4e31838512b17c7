import { workerData } from "node:worker_threads";
import { openFile } from "./connection.ts";
import { Flushes } from "./flushes.ts";
import { Knowledge } from "./knowledge.ts";
import { LogFile } from "./log-file.ts";
import { rejoin } from "./rejoin.ts";
import type { RejoinRequest } from "./rejoin-beside.ts";
import { sha256 } from "./sha256.ts";
import { answerCaller } from "./thread.ts";
import { WriteQueue } from "./write-queue.ts";

/** Comes home as it is asked to, in one transaction, and ends. */

/** Nobody else uses this thread, so that no step lets others run. */
async function comeHome({ path, winner, now }: RejoinRequest): Promise<{ readonly putAside: number }> {
  const { writer, reader } = openFile(path);
  const log = new LogFile(path);
  const clock = { turn: () => Promise.resolve(), monotonicMs: () => performance.now() };
  const queue = new WriteQueue({
    clock,
    hash: sha256,
    connection: writer,
    yields: false,
    knowledge: new Knowledge(writer),
    flushes: new Flushes({ clock, log }),
  });
  try {
    return await queue.enqueue((tx) => rejoin(tx, winner, { hash: sha256, now }));
  } finally {
    reader.close();
    writer.close();
    await log.close();
  }
}

await answerCaller(() => comeHome(workerData as RejoinRequest));
