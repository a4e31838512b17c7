import { describe, expect, it, vi } from "vitest";
import {
  countedDigest,
  fill,
  newEntry,
  newVault,
  put,
  putAll,
  set,
  zurich,
} from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { type Connections, openFile } from "./connection.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { partOf, readBuckets, writeBuckets } from "./stored-buckets.ts";

const { init, open } = sqliteSite();

/** A store whose connections a test can lay hands on. */
function opened(path: string): { store: SqliteStore; connections: Connections } {
  const connections = openFile(path);
  return { store: new SqliteStore({ connections, ...ports, checkRoom: () => {} }), connections };
}

/** The stored digest and the counted one: equal in every moment in which somebody can look. */
async function expectTrue(store: SqliteStore): Promise<void> {
  expect((await store.read((r) => r.site.digest())).digest).toEqual(await countedDigest(store));
}

describe("the stored buckets", () => {
  it("are as before when a COMMIT fails, and right after the next one", async () => {
    const { store, connections } = opened(init());
    const { keys } = await fill(store, 3);
    const before = (await store.read((r) => r.site.digest())).digest;
    const run = connections.writer.run.bind(connections.writer);
    const broken = vi.spyOn(connections.writer, "run").mockImplementation((sql, ...values) => {
      if (sql !== "COMMIT") return run(sql, ...values);
      throw Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR_FSYNC" });
    });
    const failed = await Promise.allSettled(keys.map((key) => set(store, key, "lost")));
    expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    broken.mockRestore();
    expect((await store.read((r) => r.site.digest())).digest).toEqual(before);
    await set(store, keys[0] ?? newVault(), "kept");
    await expectTrue(store);
    await store.close();
  });

  it("are right after the disk was full in the middle of a turn, and its transaction was undone", async () => {
    const path = init();
    const { store, connections } = opened(path);
    const { database } = connections.writer;
    const { vault } = await fill(store, 1);
    database.pragma(`max_page_count = ${Number(database.pragma("page_count", { simple: true })) + 20}`);
    const keys = Array.from({ length: 300 }, () => newEntry(vault.vaultId));
    const outcomes = await Promise.allSettled([
      store.transact((tx) => tx.rows.write(put(newVault(), "first"))),
      store.transact((tx) => tx.rows.write(putAll(keys, "x".repeat(2_000)))),
      store.transact((tx) => tx.rows.write(put(newVault(), "second"))),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    await expectTrue(store);
    await store.close();
    await expectTrue(open(path).store);
  });

  it("and the head belong together for whoever looks while a large write goes on", async () => {
    const { store } = open(init());
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    const { vault } = await fill(store, 1);
    const before = await store.read((r) => r.site.digest());
    const keys = Array.from({ length: 2_000 }, () => newEntry(vault.vaultId));
    const writing = store.transact((tx) => tx.rows.write(putAll(keys, "e")));
    let looksBefore = 0;
    for (;;) {
      const [listing, digest] = await Promise.all([
        store.read((r) => r.replication.listAbove(before.head.position, { rows: 1, bytes: 1 }, zurich)),
        store.read((r) => r.site.digest()),
      ]);
      // A look that begins when all is committed resolves when all is flushed, and shows it.
      if (!listing.isLast) {
        expect(digest.head.position.seq).toBe(before.head.position.seq + keys.length);
        break;
      }
      expect([digest, listing.digest]).toEqual([before, before.digest]);
      looksBefore += 1;
      await ports.clock.turn();
    }
    await writing;
    expect(looksBefore).toBeGreaterThan(5);
    await expectTrue(store);
  });

  it("cost a commit one page of the log for each part of them that changed", () => {
    const { writer, reader } = openFile(init());
    for (const bucket of [0, 100, 255]) {
      writer.database.pragma("wal_checkpoint(TRUNCATE)");
      const buckets = readBuckets(writer);
      buckets.bytes.fill(1, 32 * bucket, 32 * (bucket + 1));
      writeBuckets(writer, buckets, [partOf(bucket)]);
      const [checkpoint] = writer.database.pragma("wal_checkpoint(PASSIVE)") as { log: number }[];
      expect(checkpoint?.log).toBe(1);
      expect(readBuckets(reader).bytes).toEqual(buckets.bytes);
    }
    reader.close();
    writer.close();
  });
});
