import { statSync } from "node:fs";
import Sqlite from "better-sqlite3";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { allRows, fill, newEntry, newVault, putAll, set } from "../../../test/contract/store-harness.ts";
import { sqliteSite } from "../../../test/support/sqlite-site.ts";
import { origin } from "../../core/position.ts";
import type { Winner } from "../../core/store/roles.ts";
import { Connection } from "./connection.ts";
import type { SqliteStore } from "./sqlite-store.ts";

const { init, open } = sqliteSite();

const epoch = { number: 2, id: "two" };
let path: string;
let store: SqliteStore;
let winner: Winner;

/** A primary with a vault and three entries that has heard of an epoch above its own. */
beforeEach(async () => {
  path = init();
  store = open(path).store;
  await fill(store, 3);
  winner = { epoch, timeline: await store.read((r) => r.site.timeline()), common: origin };
});

describe("a rejoin of a site in a file", () => {
  it("writes through a connection of its own, beside the event loop", async () => {
    await store.transact((tx) => tx.site.recordEpoch(epoch));
    const run = vi.spyOn(Connection.prototype, "run");
    expect(await store.homecoming.rejoin(winner)).toEqual({ putAside: 4 });
    expect(run).not.toHaveBeenCalled();
    expect((await store.read((r) => r.aside.waiting(10))).waiting).toBe(4);
  });

  it("comes after what was queued before it, and before what is queued while it is at work", async () => {
    const order: string[] = [];
    const before = store.transact((tx) => tx.site.recordEpoch(epoch)).then(() => order.push("before"));
    const home = store.homecoming.rejoin(winner).then(() => order.push("home"));
    await before;
    const after = set(store, newVault(), "late").catch((error: unknown) => {
      order.push("after");
      return error;
    });
    expect(await after).toMatchObject({ code: "read_only_backup" });
    await home;
    expect(order).toEqual(["before", "home", "after"]);
  });

  it("that fails in the thread changes nothing, and what comes after it finds the site as it was", async () => {
    await store.transact((tx) => tx.site.recordEpoch(epoch));
    const rows = await allRows(store);
    const database = new Sqlite(path);
    database.exec(
      "CREATE TRIGGER fails BEFORE INSERT ON timeline BEGIN SELECT RAISE(ABORT, 'the disk failed'); END",
    );
    await expect(store.homecoming.rejoin(winner)).rejects.toThrow("the disk failed");
    expect(await store.read((r) => r.site.record())).toMatchObject({
      role: "primary",
      fenced: "primary_superseded",
    });
    expect(await allRows(store)).toEqual(rows);
    database.exec("DROP TRIGGER fails");
    database.close();
    expect(await store.homecoming.rejoin(winner)).toEqual({ putAside: 4 });
  });

  it("that a crash cuts short leaves the site as it was", async () => {
    const vault = newVault();
    const many = Array.from({ length: 3_000 }, () => newEntry(vault.vaultId));
    await store.transact((tx) => tx.rows.write(putAll([vault, ...many], "e".repeat(4_000))));
    await store.transact((tx) => tx.site.recordEpoch(epoch));
    // Also waits for the thread that copies the log back.
    await store.close();
    store = open(path).store;
    const rows = await allRows(store);
    const logWritten = (): bigint => statSync(`${path}-wal`, { bigint: true }).mtimeNs;
    const writtenBefore = logWritten();
    const home = store.homecoming.rejoin(winner).catch((error: unknown) => error);
    // What does not fit into its connection's memory goes to the log before the COMMIT.
    while (logWritten() === writtenBefore) await new Promise((resolve) => setImmediate(resolve));
    store.abandon();
    expect(await home).toMatchObject({ code: "shutting_down" });
    const again = open(path).store;
    expect(await again.read((r) => r.site.record())).toMatchObject({
      role: "primary",
      fenced: "primary_superseded",
    });
    expect(await allRows(again)).toEqual(rows);
  });

  it("is waited for by whoever closes the store", async () => {
    await store.transact((tx) => tx.site.recordEpoch(epoch));
    const home = store.homecoming.rejoin(winner);
    await store.close();
    expect(await home).toEqual({ putAside: 4 });
    expect((await open(path).store.read((r) => r.site.record())).role).toBe("backup");
  });
});
