import { beforeEach, describe, expect, it, vi } from "vitest";
import { calgary } from "../../../test/contract/store-harness.ts";
import { sha256Hash, VirtualClock } from "../../../test/support/ports.ts";
import { HeldLog, settle, watch } from "../../../test/support/held-log.ts";
import { ports } from "../../../test/support/sqlite-site.ts";
import { type Connection, openImage } from "./connection.ts";
import { Flushes } from "./flushes.ts";
import { Knowledge } from "./knowledge.ts";
import { siteImage } from "./new-site.ts";
import { inOneStep, type Work } from "./transaction.ts";
import { WriteQueue, type WriteQueueOptions } from "./write-queue.ts";

let connection: Connection;
let knowledge: Knowledge;
let queue: WriteQueue;

function queueWith(options: Partial<WriteQueueOptions>): WriteQueue {
  return new WriteQueue({
    clock: new VirtualClock(),
    hash: sha256Hash,
    connection,
    yields: false,
    knowledge,
    flushes: new Flushes({ clock: new VirtualClock(), log: null }),
    ...options,
  });
}

beforeEach(() => {
  connection = openImage(siteImage({ site: calgary, role: "primary", ...ports })).writer;
  connection.database.pragma("foreign_keys = ON");
  connection.database.exec(`
    CREATE TABLE made (n INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE late (n INTEGER REFERENCES made (n) DEFERRABLE INITIALLY DEFERRED) STRICT;
  `);
  knowledge = new Knowledge(connection);
  queue = queueWith({});
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

  it("wait for the disk each as it asked to, whoever they share the transaction with", async () => {
    const log = new HeldLog();
    queue = queueWith({ flushes: new Flushes({ clock: new VirtualClock(), log }) });
    const settled = watch({
      durable: queue.enqueue(insert(1), "durable"),
      committed: queue.enqueue(insert(2), "committed"),
    });
    await settle();
    expect([stored(), log.begun, settled]).toEqual([[1, 2], 1, ["committed"]]);
    await log.end();
    expect(settled).toEqual(["committed", "durable"]);
  });

  it("begin no flush where none of them waits for one", async () => {
    const log = new HeldLog();
    queue = queueWith({ flushes: new Flushes({ clock: new VirtualClock(), log }) });
    await Promise.all([1, 2].map((n) => queue.enqueue(insert(n), "committed")));
    await queue.idle();
    expect([stored(), log.begun]).toEqual([[1, 2], 0]);
  });
});

describe("a transaction", () => {
  it("begins while the one before it is being flushed, and shares the next flush with those that do so too", async () => {
    const log = new HeldLog();
    queue = queueWith({ flushes: new Flushes({ clock: new VirtualClock(), log }) });
    const first = queue.enqueue(insert(1));
    await settle();
    const second = queue.enqueue(insert(2));
    await settle();
    const settled = watch({ first, second, third: queue.enqueue(insert(3)) });
    await settle();
    expect([stored(), log.begun, settled]).toEqual([[1, 2, 3], 1, []]);
    await log.end();
    expect([log.begun, settled]).toEqual([2, ["first"]]);
    await log.end();
    expect([log.begun, settled]).toEqual([2, ["first", "second", "third"]]);
  });

  it("on a disk with short flushes waits for the one under way, with all who come meanwhile", async () => {
    const log = new HeldLog();
    queue = queueWith({ flushes: new Flushes({ clock: new VirtualClock(), log }) });
    for (const n of [1, 2]) {
      const settled = queue.enqueue(insert(n));
      await settle();
      if (n === 1) await log.end();
      else void settled;
    }
    const commits = countRuns("COMMIT");
    const late = [3, 4].map(async (n) => {
      await settle();
      return queue.enqueue(insert(n));
    });
    await settle();
    await settle();
    expect([stored(), commits()]).toEqual([[1, 2], 0]);
    await log.end();
    expect([stored(), commits()]).toEqual([[1, 2, 3, 4], 1]);
    await log.end();
    await Promise.all(late);
  });

  it("does not begin any more when a flush has failed", async () => {
    const log = new HeldLog();
    queue = queueWith({ flushes: new Flushes({ clock: new VirtualClock(), log }) });
    const failed = expect(queue.enqueue(insert(1))).rejects.toMatchObject({ code: "storage_failed" });
    await settle();
    await log.fail();
    await failed;
    for (const durability of ["durable", "committed"] as const)
      await expect(queue.enqueue(insert(2), durability)).rejects.toMatchObject({ code: "storage_failed" });
    expect(stored()).toEqual([1]);
  });

  it("that is lost makes nothing known: neither one that failed nor one whose COMMIT did", async () => {
    const known = knowledge.state;
    const primary = { site: calgary, url: "https://calgary.example", lastPushAt: 0 };
    const change = inOneStep((tx) => tx.saveSite({ ...tx.site(), primary }));
    const failed = queue.enqueue(function* (tx) {
      yield* change(tx);
      throw new Error("a fault of its own");
    });
    await expect(failed).rejects.toThrow("a fault of its own");
    expect(knowledge.state).toBe(known);
    const lost = await Promise.allSettled([queue.enqueue(change), queue.enqueue(poison)]);
    expect(lost.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(knowledge.state).toEqual(known);
    await queue.enqueue(change);
    expect(knowledge.state.site.primary).toEqual(primary);
  });

  it("that is open is said to be, and by its COMMIT is not any more", async () => {
    expect(queue.isOpen).toBe(false);
    expect(await queue.enqueue(inOneStep(() => queue.isOpen))).toBe(true);
    expect(queue.isOpen).toBe(false);
    await expect(queue.enqueue(failing)).rejects.toThrow("a fault of its own");
    expect(queue.isOpen).toBe(false);
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
    queue = queueWith({ yields: true });
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
