import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sha256Hash, VirtualClock } from "../../../test/support/ports.ts";
import { Connection } from "./connection.ts";
import { LargeCommit } from "./large-commit.ts";
import { WriteQueue } from "./write-queue.ts";

let folder: string;
let path: string;
let connection: Connection;
let queue: WriteQueue;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dormouse-large-"));
  path = join(folder, "large.db");
  connection = new Connection(new Sqlite(path));
  connection.database.pragma("journal_mode = WAL");
  connection.database.exec("CREATE TABLE made (n INTEGER PRIMARY KEY, body BLOB) STRICT");
  const largeCommit = new LargeCommit(path);
  queue = new WriteQueue({
    clock: new VirtualClock(),
    hash: sha256Hash,
    connection: () => connection,
    largeCommit,
  });
});

afterEach(() => {
  connection.close();
  rmSync(folder, { recursive: true });
});

/** Six megabytes in as many slices. */
function insertMuch(slices: number): Promise<void> {
  return queue.enqueue(function* (tx) {
    for (let slice = 0; slice < slices; slice += 1) {
      for (let i = 0; i < 100; i += 1) {
        tx.connection.run("INSERT INTO made (body) VALUES (?)", new Uint8Array(10_000));
      }
      yield;
    }
  });
}

const checkpointPages = (): unknown => connection.database.pragma("wal_autocheckpoint", { simple: true });

it("a large write's log is copied back in a thread, and not in its COMMIT", async () => {
  const committed = insertMuch(6);
  await committed;
  expect(statSync(path).size).toBeLessThan(1_000_000);
  expect(checkpointPages()).toBe(0);
  await queue.idle();
  expect(statSync(path).size).toBeGreaterThan(5_000_000);
  expect(checkpointPages()).toBe(1_000);
});

it("a write of everyday size starts no thread", async () => {
  await insertMuch(2);
  expect(checkpointPages()).toBe(1_000);
});

it("a large write that fails leaves the log's copying as it was", async () => {
  const failed = queue.enqueue(function* (tx) {
    for (let slice = 0; slice < 6; slice += 1) yield;
    tx.connection.run("PRAGMA defer_foreign_keys = ON");
    tx.connection.run("INSERT INTO child VALUES (1)");
  });
  connection.database.pragma("foreign_keys = ON");
  connection.database.exec(
    "CREATE TABLE child (n INTEGER REFERENCES made (n) DEFERRABLE INITIALLY DEFERRED) STRICT",
  );
  await expect(failed).rejects.toThrow(/FOREIGN KEY/);
  await queue.idle();
  expect(checkpointPages()).toBe(1_000);
  await insertMuch(1);
});

it("a copy back that fails is nothing yet: the next commit of any size does it", async () => {
  const largeCommit = new LargeCommit(join(folder, "nowhere", "large.db"));
  connection.database.pragma("wal_autocheckpoint = 0");
  largeCommit.finish(connection);
  await largeCommit.idle();
  expect(checkpointPages()).toBe(1_000);
});
