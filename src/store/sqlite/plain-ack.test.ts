import { beforeEach, describe, expect, it, vi } from "vitest";
import { fill, newEntry, newVault, put, set, zurich } from "../../../test/contract/store-harness.ts";
import { HeldLog } from "../../../test/support/held-log.ts";
import { ports } from "../../../test/support/sqlite-site.ts";
import type { AuditHead } from "../../core/audit.ts";
import type { ChainId, SiteName } from "../../core/ids.ts";
import type { Point } from "../../core/position.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import type { Acknowledgement } from "../../core/store/replication.ts";
import { Connection } from "./connection.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";
import type { SqliteStore } from "./sqlite-store.ts";

const calgary = "calgary" as SiteName;

let store: SqliteStore;
let entries: readonly RowKey[];
let head: Point;

beforeEach(async () => {
  store = openMemoryStore({ image: siteImage({ site: calgary, role: "primary", ...ports }), ...ports });
  await store.transact((tx) => tx.replication.configurePeers([zurich]));
  ({ keys: entries } = await fill(store, 3));
  ({ head } = await store.read((r) => r.site.record()));
  return () => store.close();
});

async function rowsOf(from: SqliteStore = store): Promise<readonly (StoredRow | undefined)[]> {
  return Promise.all(entries.map((key) => from.read((r) => r.rows.row(key))));
}

async function ackOf(change: Partial<Acknowledgement> = {}): Promise<Acknowledgement> {
  const { rows } = await store.read((r) =>
    r.replication.listAbove({ epoch: 0, seq: 0 }, { rows: 10, bytes: 2 ** 20 }),
  );
  return { through: head, rows, rejected: [], verified: null, ...change };
}

function countTransactions(): () => number {
  const run = vi.spyOn(Connection.prototype, "run");
  return () => run.mock.calls.filter(([sql]) => sql === "BEGIN IMMEDIATE").length;
}

/** What is on the disk, as a process finds it that is started after this one was killed. */
function afterCrash(): SqliteStore {
  return openMemoryStore({ image: store.serialize(), ...ports });
}

describe("an ACK", () => {
  it("begins no transaction, and shows at once: of its peer, and as rows without marks", async () => {
    const ack = await ackOf({ verified: true });
    const transactions = countTransactions();
    expect(await store.acknowledgements.take(zurich, ack)).toBe("known");
    expect(transactions()).toBe(0);
    const verified = { position: head.position, at: ports.clock.now() };
    expect(await store.read((r) => r.replication.peers())).toMatchObject([
      { site: zurich, acked: head, verified },
    ]);
    for (const row of await rowsOf()) expect(row).toMatchObject({ dirty: false, dirtySince: null });
    expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({ dirty: 0 });
  });

  it("stays known where the COMMIT fails that was to store it, and is stored with the next: a worker that sleeps pushes nothing again", async () => {
    await store.acknowledgements.take(zurich, await ackOf());
    const original = Reflect.get(Connection.prototype, "run") as Connection["run"];
    const failing = vi.spyOn(Connection.prototype, "run").mockImplementation(function (
      this: Connection,
      sql,
      ...values
    ) {
      if (sql === "COMMIT") throw Object.assign(new Error("i/o error"), { code: "SQLITE_IOERR_FSYNC" });
      return original.call(this, sql, ...values);
    });
    await expect(store.acknowledgements.settle()).rejects.toMatchObject({ code: "storage_failed" });
    failing.mockRestore();
    expect(await store.read((r) => r.replication.peers())).toMatchObject([{ site: zurich, acked: head }]);
    await store.acknowledgements.settle();
    const after = afterCrash();
    expect((await rowsOf(after)).map((row) => row?.dirty)).toEqual([false, false, false]);
    await after.close();
  });

  it("is stored with the next write, whatever that is for", async () => {
    await store.acknowledgements.take(zurich, await ackOf());
    const transactions = countTransactions();
    await set(store, newVault(), "another");
    expect(transactions()).toBe(1);
    const after = afterCrash();
    expect(await after.read((r) => r.replication.peers())).toEqual(
      await store.read((r) => r.replication.peers()),
    );
    expect((await rowsOf(after)).map((row) => row?.dirty)).toEqual([false, false, false]);
    await after.close();
  });

  it("that no write stores is stored by settling, which waits for no flush, once", async () => {
    const log = new HeldLog();
    const here = openMemoryStore({ image: store.serialize(), log, ...ports });
    await here.acknowledgements.take(zurich, await ackOf());
    const transactions = countTransactions();
    await here.acknowledgements.settle();
    await here.acknowledgements.settle();
    expect([transactions(), log.begun]).toEqual([1, 0]);
    const after = openMemoryStore({ image: here.serialize(), ...ports });
    expect((await after.read((r) => r.replication.peers()))[0]?.acked).toEqual(head);
    await Promise.all([here.close(), after.close()]);
  });

  it("is lost in a crash, and nothing else is: the rows still have their marks, and are pushed again", async () => {
    await store.acknowledgements.take(zurich, await ackOf());
    const after = afterCrash();
    expect((await after.read((r) => r.replication.peers()))[0]?.acked).toBeNull();
    expect((await rowsOf(after)).map((row) => row?.dirty)).toEqual([true, true, true]);
    expect(await after.read((r) => r.site.digest())).toEqual(await store.read((r) => r.site.digest()));
    expect(await after.acknowledgements.take(zurich, await ackOf())).toBe("known");
    expect((await after.read((r) => r.replication.peers()))[0]?.acked).toEqual(head);
    await after.close();
  });

  it("leaves a row marked that was written after it", async () => {
    const ack = await ackOf();
    const [first] = entries;
    await set(store, first ?? newVault(), "later");
    await store.acknowledgements.take(zurich, ack);
    expect((await rowsOf()).map((row) => row?.dirty)).toEqual([true, false, false]);
    await store.acknowledgements.settle();
    expect((await rowsOf()).map((row) => row?.dirty)).toEqual([true, false, false]);
  });

  it("is not undone by a transaction that fails beside it", async () => {
    await store.acknowledgements.take(zurich, await ackOf());
    const failing = {
      keys: [],
      decide: () => {
        throw new Error("a fault of its own");
      },
    };
    await expect(store.transact((tx) => tx.rows.write(failing))).rejects.toThrow("a fault of its own");
    expect((await store.read((r) => r.replication.peers()))[0]?.acked).toEqual(head);
    await store.acknowledgements.settle();
    const after = afterCrash();
    expect((await after.read((r) => r.replication.peers()))[0]?.acked).toEqual(head);
    await after.close();
  });

  it("of a point that this history never went through changes nothing", async () => {
    const elsewhere = { ...head, chain: new Uint8Array(32) };
    expect(await store.acknowledgements.take(zurich, await ackOf({ through: elsewhere }))).toBe("unknown");
    expect((await store.read((r) => r.replication.peers()))[0]?.acked).toBeNull();
  });
});

describe("an ACK takes a transaction of its own", () => {
  it("where rows were refused", async () => {
    const [refused] = await rowsOf();
    if (!refused) throw new Error("there is no row");
    const ack = await ackOf({
      rejected: [{ key: refused.key, position: refused.position, code: "row_malformed" }],
    });
    const transactions = countTransactions();
    await store.acknowledgements.take(zurich, ack);
    expect(transactions()).toBe(1);
    expect((await store.read((r) => r.rows.row(refused.key)))?.dirty).toBe(true);
  });

  it("where what it tells of an audit is new", async () => {
    const chain = "0193a5d0-0000-4000-8000-000000000001" as ChainId;
    const start = { seq: 0, hash: new Uint8Array(32) };
    const shown: AuditHead = { chain, site: zurich, anchor: start, head: start };
    const transactions = countTransactions();
    await store.acknowledgements.take(
      zurich,
      await ackOf({ audit: { heads: [shown], records: [], more: false } }),
    );
    expect(transactions()).toBe(1);
  });

  it("and is not lost where it comes while another is open, which would not know of it", async () => {
    const ack = await ackOf();
    let taken: Promise<unknown> | undefined;
    const decide = () => {
      taken = store.acknowledgements.take(zurich, ack);
      return [{ key: newEntry(newVault().vaultId), body: null }];
    };
    await store.transact((tx) => tx.rows.write({ keys: [], decide }));
    await taken;
    await store.acknowledgements.settle();
    expect((await store.read((r) => r.replication.peers()))[0]?.acked).toEqual(head);
    expect((await rowsOf()).map((row) => row?.dirty)).toEqual([false, false, false]);
  });
});

describe("what a process knows", () => {
  it("is what the disk holds, after any number of writes and ACKs: one that is started anew knows the same", async () => {
    await store.acknowledgements.take(zurich, await ackOf());
    await store.journal.record({
      actor: { kind: "anyone", id: null },
      action: "read",
      vaultId: null,
      itemId: null,
      address: null,
      result: "ok",
    });
    await store.transact((tx) => tx.alerts.add("replication_failed", "zurich", "m", {}));
    await store.transact((tx) => tx.rows.write(put(newVault(), "x")));
    const after = afterCrash();
    const known = (of: SqliteStore) =>
      Promise.all([
        of.read((r) => r.site.record()),
        of.read((r) => r.site.timeline()),
        of.read((r) => r.replication.peers()),
        of.read((r) => r.site.digest()),
        of.read((r) => r.audit.chains()),
        of.read((r) => r.alerts.openIncidents()),
      ]);
    expect(await known(after)).toEqual(await known(store));
    await after.close();
  });
});
