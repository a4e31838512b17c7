import { copyFileSync, existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { describe, expect, it, vi } from "vitest";
import { newVault, put, set } from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import type { RowKey } from "../../core/row.ts";
import { type Connections, openFile } from "./connection.ts";
import { Flushes } from "./flushes.ts";
import { LogFile } from "./log-file.ts";
import { SqliteStore } from "./sqlite-store.ts";

const { folder, init, open } = sqliteSite();

/** A database and its log as they lie on the disk in this moment. */
function copyOf(path: string): string {
  const copy = join(folder(), "dormouse.db");
  for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, copy + suffix);
  return copy;
}

/** Files of a database that this process has open. */
function openFilesOf(path: string): string[] {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith(path));
}

/** A database whose log the test keeps long, and how many pages of it are not copied back. */
function logged(path: string) {
  const connections = openFile(path);
  const log = new LogFile(path);
  const { database } = connections.writer;
  database.exec("CREATE TABLE filler (bytes BLOB)");
  const left = (): number => {
    const [found] = database.pragma("wal_checkpoint(NOOP)") as { log: number; checkpointed: number }[];
    return found ? found.log - found.checkpointed : 0;
  };
  const grow = (pages: number): void => {
    const insert = database.prepare("INSERT INTO filler VALUES (zeroblob(4000))");
    database.transaction(() => {
      for (let page = 0; page < pages; page += 1) insert.run();
    })();
  };
  const close = async (): Promise<void> => {
    await log.idle();
    connections.reader.close();
    connections.writer.close();
    await log.close();
  };
  return { ...connections, log, left, grow, close };
}

/** So many commits have been: the next look at the log's length has been had. */
function commitOften(
  { log, writer }: ReturnType<typeof logged>,
  hold: Parameters<LogFile["committed"]>[1],
): void {
  for (let commit = 0; commit < 16; commit += 1) log.committed(writer, hold);
}

const neverHeld = () => Promise.reject(new Error("no transaction is to wait"));

describe("a durable write", () => {
  it("is in the log on the disk when it is acknowledged", async () => {
    const path = init();
    const { store } = open(path);
    for (const text of ["first", "second"]) {
      const key = newVault();
      const copy = await store.transact((tx) => tx.rows.write(put(key, text))).then(() => copyOf(path));
      expect((await open(copy).store.read((r) => r.rows.row(key)))?.body).toEqual(
        new Uint8Array(Buffer.from(text)),
      );
    }
  });

  it("is flushed, and nothing but the log is: neither by its COMMIT nor by a look at it", async () => {
    const path = init();
    const { store } = open(path);
    const flush = vi.spyOn(LogFile.prototype, "flush");
    const key: RowKey = newVault();
    const before = statSync(path).mtimeMs;
    await set(store, key, "x");
    await store.read((r) => r.rows.row(key));
    expect(flush).toHaveBeenCalledTimes(1);
    expect(statSync(path).mtimeMs).toBe(before);
  });
});

describe("a log that is long", () => {
  it("is copied back in a thread, while transactions go on", async () => {
    const path = init();
    const file = logged(path);
    file.grow(8_200);
    commitOften(file, neverHeld);
    // Nothing has been copied by the commits themselves.
    expect(file.left()).toBeGreaterThan(8_000);
    await file.log.idle();
    expect(file.left()).toBe(0);
    await file.close();
  });

  it("is left alone while it is short", async () => {
    const file = logged(init());
    file.grow(100);
    commitOften(file, neverHeld);
    await file.log.idle();
    expect(file.left()).toBeGreaterThan(100);
    await file.close();
  });

  it("keeps transactions from beginning where it has become much too long", async () => {
    const file = logged(init());
    file.grow(16_100);
    const held: number[] = [];
    commitOften(file, async (work) => {
      held.push(file.left());
      await work();
      held.push(file.left());
    });
    await file.log.idle();
    expect(held).toEqual([expect.any(Number), 0]);
    expect(held[0]).toBeGreaterThan(16_000);
    await file.close();
  });

  it("is tried again at a later commit where a thread could not copy it", async () => {
    const file = logged(init());
    file.grow(4_200);
    // Whoever reads an older state keeps the pages behind it from being copied.
    const reader = new Sqlite(file.reader.database.name, { readonly: true });
    reader.exec("BEGIN; SELECT count(*) FROM filler");
    file.grow(8_200);
    commitOften(file, neverHeld);
    await file.log.idle();
    expect(file.left()).toBeGreaterThan(8_000);
    reader.close();
    commitOften(file, neverHeld);
    await file.log.idle();
    expect(file.left()).toBe(0);
    await file.close();
  });
});

describe("a store that is closed", () => {
  it("has no file open, and leaves no log", async () => {
    const path = init();
    const { store } = open(path);
    await set(store, newVault(), "x");
    expect(openFilesOf(path).length).toBeGreaterThan(0);
    await store.close();
    expect([openFilesOf(path), existsSync(`${path}-wal`)]).toEqual([[], false]);
  });

  it("has let its last flush end, also where it is abandoned in the middle of one", async () => {
    const path = init();
    const connections: Connections = openFile(path);
    const log = new LogFile(path);
    const store = new SqliteStore({
      connections,
      file: { path, log, refuseReplaced: () => {} },
      ...ports,
      checkRoom: () => {},
    });
    const begun = Promise.withResolvers<void>();
    const flush = log.flush.bind(log);
    vi.spyOn(log, "flush").mockImplementation(() => {
      begun.resolve();
      return flush();
    });
    const write = store.transact((tx) => tx.rows.write(put(newVault(), "x")));
    await begun.promise;
    store.abandon();
    await write;
    await store.close();
    await vi.waitFor(() => expect(openFilesOf(path)).toEqual([]));
  });
});

describe("a log that cannot be flushed", () => {
  it("is said so, once for all: what the kernel has dropped, no second flush brings back", async () => {
    const flushes = new Flushes({
      clock: ports.clock,
      log: new LogFile(join(folder(), "nowhere", "dormouse.db")),
    });
    const failure = { code: "storage_failed", message: expect.stringContaining("ENOENT") };
    await expect(flushes.reach(flushes.committed())).rejects.toMatchObject(failure);
    expect(flushes.failure).toMatchObject(failure);
  });
});
