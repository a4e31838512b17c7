import { parentPort, workerData } from "node:worker_threads";
import Sqlite from "better-sqlite3";
import { Refusal } from "../../core/errors.ts";
import { Connection } from "./connection.ts";
import { type Counted, countRows } from "./count-rows.ts";
import { refusalOf } from "./failures.ts";
import type { CountMessage } from "./recount.ts";
import { sha256 } from "./sha256.ts";

/** Counts the rows of the database at the path it is given, as they stand at one moment, and ends. */

function tell(message: CountMessage): void {
  parentPort?.postMessage(message);
}

function count(path: string): Counted {
  const connection = new Connection(new Sqlite(path, { readonly: true, fileMustExist: true }));
  try {
    connection.database.exec("BEGIN");
    const steps = countRows(connection, sha256);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      tell({ kind: "progress", progress: step.value });
    }
  } finally {
    connection.close();
  }
}

try {
  const { stored, buckets, ...rest } = count(String(workerData));
  tell({ kind: "counted", counted: { ...rest, stored: stored.bytes, buckets: buckets.bytes } });
} catch (error) {
  const refusal = refusalOf(error);
  if (!(refusal instanceof Refusal)) throw error;
  tell({ kind: "refused", code: refusal.code, message: refusal.message });
}
