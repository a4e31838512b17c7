import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readSync, statSync } from "node:fs";
import { workerData } from "node:worker_threads";
import Sqlite from "better-sqlite3";
import { Refusal } from "../../core/errors.ts";
import { formatPosition } from "../../core/position.ts";
import { Connection } from "./connection.ts";
import { readSite } from "./site-record.ts";
import type { CheckedCopy, CopyProgress, CopyRequest } from "./snapshot.ts";
import { answerCaller, tellProgress } from "./thread.ts";

/** 4 MiB: a step takes a moment, and the thread can be ended between two. */
const stepPages = 1_024;
const chunkBytes = 1024 * 1024;

function progress(stage: CopyProgress["stage"], done: number, total: number): void {
  tellProgress<CopyProgress>({ stage, done, total });
}

async function makeCopy(request: CopyRequest): Promise<CheckedCopy> {
  const { target } = request;
  await copyPages(request);
  const position = finish(target);
  const bytes = statSync(target).size;
  return { bytes, position, sha256: digestOf(target, bytes) };
}

/**
 * The source is held at one moment by a transaction that reads: SQLite would else begin anew whenever somebody writes between
 * two steps, and never come to an end.
 */
async function copyPages({ database, isRunning, target }: CopyRequest): Promise<void> {
  const source = new Sqlite(database, { readonly: isRunning, fileMustExist: true });
  try {
    source.exec("BEGIN; SELECT 1 FROM site");
    await source.backup(target, {
      progress: ({ totalPages, remainingPages }) => {
        progress("copying", totalPages - remainingPages, totalPages);
        return stepPages;
      },
    });
  } finally {
    source.close();
  }
}

/** Makes one file of the copy, which needs no log beside it, and looks at every page. Returns the head in it. */
function finish(target: string): string {
  const copy = new Sqlite(target, { fileMustExist: true });
  try {
    copy.pragma("journal_mode = DELETE");
    progress("checking", 0, 1);
    const found = String(copy.pragma("integrity_check(1)", { simple: true }));
    if (found !== "ok") throw new Refusal("database_corrupt", `the database is damaged: ${found}`);
    progress("checking", 1, 1);
    return formatPosition(readSite(new Connection(copy)).head.position);
  } finally {
    copy.close();
  }
}

/** Flushes the file, and reads it as it is on the disk. */
function digestOf(target: string, bytes: number): string {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(chunkBytes);
  const file = openSync(target, "r+");
  try {
    fsyncSync(file);
    for (let done = 0; done < bytes; ) {
      const read = readSync(file, chunk, 0, chunk.length, done);
      if (read === 0) break;
      hash.update(chunk.subarray(0, read));
      done += read;
      progress("reading", done, bytes);
    }
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

await answerCaller(() => makeCopy(workerData as CopyRequest));
