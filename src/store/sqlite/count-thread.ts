import { workerData } from "node:worker_threads";
import Sqlite from "better-sqlite3";
import { Connection } from "./connection.ts";
import { type Counted, countRows } from "./count-rows.ts";
import type { CountedBytes } from "./recount.ts";
import { sha256 } from "./sha256.ts";
import { answerCaller, tellProgress } from "./thread.ts";

/** Counts the rows of the database at the path it is given, as they stand at one moment, and ends. */

function count(path: string): Counted {
  const connection = new Connection(new Sqlite(path, { readonly: true, fileMustExist: true }));
  try {
    connection.database.exec("BEGIN");
    const steps = countRows(connection, sha256);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      tellProgress(step.value);
    }
  } finally {
    connection.close();
  }
}

await answerCaller((): CountedBytes => {
  const { stored, buckets, ...rest } = count(String(workerData));
  return { ...rest, stored: stored.bytes, buckets: buckets.bytes };
});
