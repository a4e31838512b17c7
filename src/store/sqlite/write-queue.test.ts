import Sqlite from "better-sqlite3";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { sha256Hash, VirtualClock } from "../../../test/support/ports.ts";
import { sqliteSite } from "../../../test/support/sqlite-site.ts";
import { Connection } from "./connection.ts";
import { inOneStep, type Work } from "./transaction.ts";
import { LargeCommit } from "./large-commit.ts";
import { WriteQueue } from "./write-queue.ts";

const { folder } = sqliteSite();

let connection: Connection;
let queue: WriteQueue;

beforeEach(() => {
  const database = new Sqlite(":memory:");
  database.pragma("foreign_keys = ON");
  database.exec(`
    CREATE TABLE made (n INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE late (n INTEGER REFERENCES made (n) DEFERRABLE INITIALLY DEFERRED) STRICT;
  `);
  connection = new Connection(database);
  queue = new WriteQueue({
    clock: new VirtualClock(),
    hash: sha256Hash,
    connection: () => connection,
    largeCommit: null,
  });
});

const insert = (n: number): Work<number> =>
  inOneStep((tx) => tx.connection.run("INSERT INTO made VALUES (?)", n));
const failing = inOneStep(() => {
  throw new Error("a fault of its own");
});
/** Cannot be seen before the COMMIT, which then fails. */
const poison = inOneStep((tx) => tx.connection.run("INSERT INTO late VALUES (99)"));
const stored = (): unknown[] => connection.database.prepare("SELECT n FROM made ORDER BY n").pluck().all();

function countRuns(sql: string): () => number {
  const run = vi.spyOn(connection, "run");
  return () => run.mock.calls.filter(([statement]) => statement === sql).length;
}

describe("members of one turn", () => {
  it("share one commit", async () => {
    const commits = countRuns("COMMIT");
    await Promise.all(Array.from({ length: 50 }, (_, n) => queue.enqueue(insert(n))));
    expect(commits()).toBe(1);
    expect(stored()).toHaveLength(50);
  });

  it("each keep or lose their own changes", async () => {
    const both = inOneStep((tx) => {
      tx.connection.run("INSERT INTO made VALUES (2)");
      throw new Error("after a change");
    });
    const outcomes = await Promise.allSettled([
      queue.enqueue(insert(1)),
      queue.enqueue(both),
      queue.enqueue(insert(3)),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(stored()).toEqual([1, 3]);
  });

  it("are all rejected where the commit fails, even one that had failed by itself, and leave nothing", async () => {
    const outcomes = await Promise.allSettled(
      [1, 2].map((n) => queue.enqueue(insert(n))).concat(queue.enqueue(poison)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(stored()).toEqual([]);
    await queue.enqueue(insert(4));
    expect(stored()).toEqual([4]);
  });

  it("settle only after the commit", async () => {
    const order: string[] = [];
    const run = connection.run.bind(connection);
    vi.spyOn(connection, "run").mockImplementation((sql, ...values) => {
      if (sql === "COMMIT") order.push("commit");
      return run(sql, ...values);
    });
    const first = queue.enqueue(insert(1)).then(() => order.push("first"));
    const second = queue.enqueue(failing).catch(() => order.push("second"));
    await Promise.all([first, second]);
    expect(order).toEqual(["commit", "first", "second"]);
  });

  it("run again without the one whose failure undid the transaction", async () => {
    const undoing = inOneStep((tx) => {
      tx.connection.run("ROLLBACK");
      throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
    });
    const outcomes = await Promise.allSettled([
      queue.enqueue(insert(1)),
      queue.enqueue(undoing),
      queue.enqueue(insert(3)),
    ]);
    expect(outcomes).toMatchObject([
      { status: "fulfilled" },
      { status: "rejected", reason: { code: "disk_full" } },
      { status: "fulfilled" },
    ]);
    expect(stored()).toEqual([1, 3]);
  });

  it("that may wait for the disk make no other wait less", async () => {
    const level = inOneStep((tx) => tx.connection.database.pragma("synchronous", { simple: true }));
    const levels: unknown[] = [];
    for (const durability of [
      "at_commit",
      "at_next_commit",
      "at_commit",
      "at_commit",
      "at_next_commit",
      "at_commit",
    ] as const) {
      levels.push(await queue.enqueue(level, durability));
    }
    expect(levels).toEqual([2, 1, 2, 2, 1, 2]);
    const mixed = [queue.enqueue(level, "at_next_commit"), queue.enqueue(level, "at_commit")];
    expect(await Promise.all(mixed)).toEqual([2, 2]);
  });
});

describe("a member that is alone", () => {
  it("needs no savepoint, and leaves nothing where it fails", async () => {
    const run = vi.spyOn(connection, "run");
    const failing = queue.enqueue(function* (tx) {
      tx.connection.run("INSERT INTO made VALUES (1)");
      yield;
      throw new Error("a fault of its own");
    });
    await expect(failing).rejects.toThrow("a fault of its own");
    expect(connection.database.inTransaction).toBe(false);
    await queue.enqueue(insert(2));
    expect(stored()).toEqual([2]);
    expect(run.mock.calls.flat()).not.toContain("SAVEPOINT member");
  });
});

describe("a queue that is held", () => {
  it("begins no transaction until it is let go, also where the holder fails", async () => {
    const order: string[] = [];
    const run = (name: string, n: number) => queue.enqueue(insert(n)).then(() => order.push(name));
    const before = run("before", 1);
    const { promise, reject } = Promise.withResolvers<void>();
    let late: Promise<unknown> | undefined;
    const held = queue.hold(() => {
      expect(connection.database.inTransaction).toBe(false);
      late = run("late", 2);
      return promise;
    });
    await before;
    await new Promise((resolve) => setImmediate(resolve));
    expect([order, stored()]).toEqual([["before"], [1]]);
    reject(new Error("a fault of its own"));
    await expect(held).rejects.toThrow("a fault of its own");
    await late;
    expect(stored()).toEqual([1, 2]);
  });

  it("lets one after the other have it", async () => {
    const order: string[] = [];
    const hold = (name: string) =>
      queue.hold(async () => {
        order.push(`${name} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`${name} ends`);
      });
    await Promise.all([hold("first"), hold("second")]);
    expect(order).toEqual(["first begins", "first ends", "second begins", "second ends"]);
  });
});

describe("a member that comes while others are being committed", () => {
  it("goes with the next commit", async () => {
    const path = `${folder()}/queue.db`;
    connection = new Connection(new Sqlite(path));
    connection.database.exec("CREATE TABLE made (n INTEGER PRIMARY KEY) STRICT");
    const largeCommit = new LargeCommit(path);
    queue = new WriteQueue({
      clock: new VirtualClock(),
      hash: sha256Hash,
      connection: () => connection,
      largeCommit,
    });
    const commits = countRuns("COMMIT");
    let late: Promise<number> | undefined;
    await queue.enqueue(function* (tx) {
      tx.connection.run("INSERT INTO made VALUES (1)");
      late ??= queue.enqueue(insert(2));
      yield;
      yield;
    });
    expect([commits(), stored()]).toEqual([1, [1]]);
    await late;
    expect([commits(), stored()]).toEqual([2, [1, 2]]);
    connection.close();
  });
});

describe("a queue that is abandoned", () => {
  it("loses what was not committed, and says so", async () => {
    const lost = queue.enqueue(insert(1));
    const waiting = queue.hold(async () => "held");
    queue.abandon();
    await expect(lost).rejects.toMatchObject({ code: "shutting_down" });
    await expect(waiting).rejects.toMatchObject({ code: "shutting_down" });
    await expect(queue.hold(async () => "held")).rejects.toMatchObject({ code: "shutting_down" });
    await expect(queue.enqueue(insert(2))).rejects.toMatchObject({ code: "shutting_down" });
    expect(stored()).toEqual([]);
  });
});
