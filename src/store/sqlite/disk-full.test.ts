import { describe, expect, it } from "vitest";
import { newEntry, newVault, put, putAll, set } from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { type Connections, openFile } from "./connection.ts";
import { SqliteStore } from "./sqlite-store.ts";

const { init, open } = sqliteSite();

/** A store on a disk with room for so many more pages. */
function crowded(path: string, pages: number): { store: SqliteStore; connections: Connections } {
  const connections = openFile(path);
  const { database } = connections.writer;
  const used = Number(database.pragma("page_count", { simple: true }));
  database.pragma(`max_page_count = ${used + pages}`);
  return { store: new SqliteStore({ connections, ...ports, checkRoom: () => {} }), connections };
}

describe("a full disk", () => {
  it("refuses the write that does not fit, and keeps everything before it and nothing of it", async () => {
    const path = init();
    const { store } = crowded(path, 40);
    const vault = newVault();
    await set(store, vault, "v");
    const acknowledged = [];
    let refused: unknown;
    while (refused === undefined) {
      const key = newEntry(vault.vaultId);
      try {
        await store.transact((tx) => tx.rows.write(put(key, "x".repeat(3_000))));
        acknowledged.push(key);
      } catch (error) {
        refused = error;
      }
    }
    expect(refused).toMatchObject({ code: "disk_full" });
    const head = (await store.read((r) => r.site.record())).head.position.seq;
    expect(head).toBe(acknowledged.length + 1);
    await store.close();
    const again = open(path).store;
    expect(
      (await again.read((r) => r.rows.entries(vault.vaultId, undefined, 1_000))).map(({ key }) => key),
    ).toEqual(acknowledged.toReversed());
    expect((await set(again, newVault(), "room again")).position.seq).toBe(head + 1);
  });

  it("refuses a large write alone: small ones of the same turn are kept", async () => {
    const { store, connections } = crowded(init(), 20);
    const [vault, other] = [newVault(), newVault()];
    const keys = Array.from({ length: 300 }, () => newEntry(vault.vaultId));
    const outcomes = await Promise.allSettled([
      store.transact((tx) => tx.rows.write(put(vault, "v"))),
      store.transact((tx) => tx.rows.write(putAll(keys, "x".repeat(2_000)))),
      store.transact((tx) => tx.alerts.add("disk_low", "", "The disk is nearly full", {})),
      store.transact((tx) => tx.rows.write(put(other, "w"))),
    ]);
    expect(outcomes).toMatchObject([
      { status: "fulfilled" },
      { status: "rejected", reason: { code: "disk_full" } },
      { status: "fulfilled" },
      { status: "fulfilled" },
    ]);
    expect((await store.read((r) => r.rows.vaults())).map(({ entries }) => entries)).toEqual([0, 0]);
    connections.writer.database.pragma("max_page_count = 100000");
    expect(await store.transact((tx) => tx.rows.write(putAll(keys, "x".repeat(2_000))))).toHaveLength(300);
    await store.close();
  });
});
