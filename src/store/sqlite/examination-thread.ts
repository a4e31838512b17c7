import { workerData } from "node:worker_threads";
import { Refusal } from "../../core/errors.ts";
import { examineDatabase } from "./examination.ts";
import { answerCaller } from "./thread.ts";

/** What it found, as text; null where the database is whole. */
function examine(path: string): string | null {
  try {
    const { damage } = examineDatabase(path);
    return damage.length === 0 ? null : damage.join("; ");
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

await answerCaller(() => examine(String(workerData)));
