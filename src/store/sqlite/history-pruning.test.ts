import { describe, expect, it } from "vitest";
import {
  allRows,
  batch,
  drain,
  fill,
  newEntry,
  newVault,
  pushOf,
  set,
  shared,
  zurich,
} from "../../../test/contract/store-harness.ts";
import { ports } from "../../../test/support/sqlite-site.ts";
import { utf8 } from "../../core/bytes.ts";
import type { RowKey } from "../../core/row.ts";
import type { Store } from "../../core/store/store.ts";
import { type Connection, openImage } from "./connection.ts";
import { pruneHistory, pruneLeft } from "./history-pruning.ts";
import { Knowledge } from "./knowledge.ts";
import { siteImage } from "./new-site.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { loadState } from "./state.ts";
import { Transaction } from "./transaction.ts";

function memory(role: "primary" | "backup"): SqliteStore {
  const site = role === "primary" ? "calgary" : zurich;
  return memoryOf(siteImage({ site: site as typeof zurich, role, ...ports }));
}

const connections = new WeakMap<SqliteStore, Connection>();

function memoryOf(image: Buffer): SqliteStore {
  const opened = openImage(image);
  const store = new SqliteStore({ connections: opened, ...ports, checkRoom: () => {} });
  connections.set(store, opened.writer);
  return store;
}

function connectionOf(store: SqliteStore): Connection {
  const connection = connections.get(store);
  if (!connection) throw new Error("this store was not opened here");
  return connection;
}

/** A store as it is opened again, after its database was changed while it was closed. */
async function reopened(
  store: SqliteStore,
  change: (connection: Connection) => unknown,
): Promise<SqliteStore> {
  await store.acknowledgements.settle();
  const next = memoryOf(store.serialize());
  await store.close();
  change(connectionOf(next));
  return next;
}

/** A store opened again with its history pruned. */
function pruned(store: SqliteStore, changesKept: number, pointsMax = 1_000): Promise<SqliteStore> {
  return reopened(store, (connection) => {
    const tx = new Transaction({ connection, hash: ports.hash, knowledge: new Knowledge(connection) });
    pruneHistory(tx, { changesKept, pointsMax });
  });
}

function seqs(store: SqliteStore): number[] {
  const sql = "SELECT seq FROM history ORDER BY epoch, seq";
  return connectionOf(store)
    .all<{ seq: number }>(sql)
    .map(({ seq }) => seq);
}

/** The start of the first epoch is at 0; a vault at 1 and one entry, changed so often that the site stands at `last`. */
async function churn(store: Store, last: number): Promise<RowKey> {
  const { vault } = await fill(store, 0);
  const key = newEntry(vault.vaultId);
  for (let seq = 2; seq <= last; seq += 1) await set(store, key, `version ${seq}`);
  return key;
}

describe("the history", () => {
  it("loses points that no row stands at, but for those of the last changes", async () => {
    let store = memory("primary");
    await churn(store, 20);
    store = await pruned(store, 5);
    expect(seqs(store)).toEqual([0, 1, 16, 17, 18, 19, 20]);
  });

  it("loses nothing above the lowest acked, nor while a peer is unknown", async () => {
    let store = memory("primary");
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    await churn(store, 20);
    store = await pruned(store, 5);
    expect(seqs(store)).toHaveLength(21);
    const { head } = await store.read((r) => r.site.record());
    await store.acknowledgements.take(zurich, { through: head, rows: [], rejected: [], verified: null });
    store = await pruned(store, 5);
    expect(seqs(store)).toEqual([0, 1, 16, 17, 18, 19, 20]);
  });

  it("keeps for good every point that a backup stood at, and knows it", async () => {
    let store = memory("primary");
    const backup = memory("backup");
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    const key = await churn(store, 8);
    await drain(store, backup);
    const old = (await backup.read((r) => r.site.record())).head;
    for (let seq = 9; seq <= 30; seq += 1) await set(store, key, `version ${seq}`);
    await drain(store, backup);
    store = await pruned(store, 2);
    expect(seqs(store)).toEqual([0, 1, 8, 29, 30]);
    expect(await store.transact((tx) => tx.replication.resumeFrom(zurich, old, []))).toBe("known");
  });

  it.each(["by an acknowledgement", "by a backup that names it"])(
    "keeps a point that is known %s alone",
    async (how) => {
      let store = memory("primary");
      await store.transact((tx) => tx.replication.configurePeers([zurich]));
      const key = await churn(store, 7);
      const { head } = await store.read((r) => r.site.record());
      if (how === "by an acknowledgement")
        await store.acknowledgements.take(zurich, { through: head, rows: [], rejected: [], verified: null });
      else await store.transact((tx) => tx.replication.resumeFrom(zurich, head, []));
      for (let seq = 8; seq <= 20; seq += 1) await set(store, key, `version ${seq}`);
      await store.acknowledgements.take(zurich, {
        through: (await store.read((r) => r.site.record())).head,
        rows: [],
        rejected: [],
        verified: null,
      });
      store = await pruned(store, 5);
      expect(seqs(store)).toContain(7);
    },
  );

  it("goes on where it stopped, a bounded piece at a time", async () => {
    let store = memory("primary");
    await churn(store, 20);
    store = await pruned(store, 5, 4);
    expect(seqs(store)).toHaveLength(21 - 2);
    for (let piece = 0; piece < 5; piece += 1) store = await pruned(store, 5, 4);
    expect(seqs(store)).toEqual([0, 1, 16, 17, 18, 19, 20]);
  });

  it("loses the point that was kept for a row when the row leaves it, but none that it was not kept for", async () => {
    let store = memory("primary");
    await churn(store, 20);
    store = await pruned(store, 5);
    const vault = (await store.read((r) => r.rows.vaults()))[0]?.row.key ?? newVault();
    await set(store, vault, "renamed");
    expect(seqs(store)).toEqual([0, 16, 17, 18, 19, 20, 21]);
    const connection = connectionOf(store);
    pruneLeft({ connection, state: loadState(connection) }, { epoch: 1, seq: 16 });
    expect(seqs(store)).toEqual([0, 16, 17, 18, 19, 20, 21]);
  });

  it("is pruned on a site without peers as it writes, two points with each change", async () => {
    let store = memory("primary");
    const key = await churn(store, 20);
    store = await reopened(store, (connection) => connection.run("UPDATE site SET head_seq = 200000"));
    for (let change = 0; change < 11; change += 1) await set(store, key, "later");
    expect(seqs(store).filter((seq) => seq <= 20)).toEqual([0, 1]);
    expect(seqs(store)).toHaveLength(13);
  });
});

describe("the history of a backup", () => {
  it("is pruned as it takes pushes, whatever its peers have acknowledged, and as rows leave their places", async () => {
    let store = memory("primary");
    const backup = memory("backup");
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    await backup.transact((tx) => tx.replication.configurePeers(["calgary" as typeof zurich]));
    const key = await churn(store, 20);
    await drain(store, backup);
    expect(seqs(backup)).toHaveLength(21);
    store = await reopened(store, (connection) => connection.run("UPDATE site SET head_seq = 200000"));
    await set(store, key, "later");
    await drain(store, backup);
    // Of the vault, of the point at which this backup stood, and of the last changes.
    expect(seqs(backup)).toEqual([1, 20, 200_001]);
    const vault = (await store.read((r) => r.rows.vaults()))[0]?.row.key ?? newVault();
    await set(store, vault, "renamed");
    await drain(store, backup);
    expect(seqs(backup)).toEqual([20, 200_001, 200_002]);
  });

  it("keeps for good the point at which it handed over as a primary: the other went on from there", async () => {
    let store = memory("primary");
    const other = memory("backup");
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    const key = await churn(store, 3);
    await drain(store, other);
    store = await reopened(store, (connection) => connection.run("UPDATE history SET acknowledged = 0"));
    const { head } = await store.transact((tx) => tx.roles.grant(zurich));
    const grant = await store.transact((tx) => tx.roles.grant(zurich));
    await other.transact((tx) => tx.roles.promoteBy(grant, true));
    await set(other, key, "after");
    const push = await pushOf(other, await other.read((r) => r.replication.listAbove(head.position, batch)));
    expect(await store.transact((tx) => tx.replication.applyPush(push))).toMatchObject({
      kind: "applied",
    });
    const changes = Array.from({ length: 5 }, () => ({ key, body: utf8("later") }));
    await other.transact((tx) => tx.rows.write({ keys: [key], decide: () => changes }));
    const push2 = await pushOf(
      other,
      await other.read((r) => r.replication.listAbove({ epoch: 2, seq: 4 }, batch)),
    );
    await store.transact((tx) => tx.replication.applyPush(push2));
    store = await pruned(store, 1);
    expect(seqs(store)).toEqual([1, 3, 4, 9]);
  });

  it("is pruned of more points at a time than a push brings", async () => {
    let store = memory("primary");
    const backup = memory("backup");
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    const key = await churn(store, 2);
    const text = utf8("again");
    const changes = Array.from({ length: 900 }, () => ({ key, body: text }));
    await store.transact((tx) => tx.rows.write({ keys: [key], decide: () => changes }));
    await drain(store, backup);
    store = await reopened(store, (connection) => connection.run("UPDATE site SET head_seq = 200000"));
    const left: number[] = [];
    for (let push = 0; push < 6; push += 1) {
      await set(store, key, "later");
      await drain(store, backup);
      left.push(seqs(backup).filter((seq) => seq <= 902).length);
    }
    expect(left).toEqual([704, 504, 304, 104, 2, 2]);
  });
});

describe("a listing from a pruned history", () => {
  it("ends only where the chain is known, and in the end has everything", async () => {
    let store = memory("primary");
    const backup = memory("backup");
    const { vault, keys } = await fill(store, 30);
    for (const key of keys.slice(5, 20)) await set(store, key, "changed");
    store = await pruned(store, 3);
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    await set(store, vault, "renamed");
    expect(await drain(store, backup, { rows: 4, bytes: 2 ** 20 })).toBeGreaterThan(7);
    expect(shared(await allRows(backup))).toEqual(shared(await allRows(store)));
    expect((await backup.read((r) => r.site.record())).head).toEqual(
      (await store.read((r) => r.site.record())).head,
    );
  });

  /** Sizes of the batches with which a former backup of 29 entries would fill another site, at most four rows each. */
  const sizesOfFormer = async (spoil: (connection: Connection) => unknown): Promise<number[]> => {
    const [store, other] = [memory("primary"), memory("backup")];
    let former = memory("backup");
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    await fill(store, 29);
    await drain(store, former, { rows: 10, bytes: 2 ** 20 });
    await former.transact((tx) => tx.roles.promote());
    former = await reopened(former, spoil);
    await former.transact((tx) => tx.replication.configurePeers([zurich]));
    const sizes: number[] = [];
    for (let after = { epoch: 0, seq: 0 }, isLast = false; !isLast; ) {
      const listing = await former.read((r) => r.replication.listAbove(after, { rows: 4, bytes: 2 ** 20 }));
      ({ isLast } = listing);
      after = listing.through.position;
      sizes.push(listing.rows.filter(({ key }) => key.kind === "entry").length);
    }
    await drain(former, other, { rows: 4, bytes: 2 ** 20 });
    expect(shared(await allRows(other))).toEqual(shared(await allRows(store)));
    return sizes;
  };

  it("of a former backup ends wherever the primary's could: it was told every point", async () => {
    expect(await sizesOfFormer(() => undefined)).toEqual([3, 4, 4, 4, 4, 4, 4, 2]);
  });

  it("of one that knows only what it was pushed to goes on to such a point, where none lies within the limit", async () => {
    const forget = "DELETE FROM history WHERE acknowledged = 0";
    expect(await sizesOfFormer((connection) => connection.run(forget))).toEqual([9, 10, 10]);
  });
});

describe("a database that is put back to an older copy", () => {
  it("is met as it is: head, peers and rows are those of the older copy", async () => {
    const newer = memory("primary");
    await newer.transact((tx) => tx.replication.configurePeers([zurich]));
    const { keys } = await fill(newer, 3);
    const [image, site] = [newer.serialize(), await newer.read((r) => r.site.record())];
    const lost = await set(newer, keys[0] ?? newVault(), "lost");
    const { head } = await newer.read((r) => r.site.record());
    const store = memoryOf(image);
    expect(await store.read((r) => r.site.record())).toEqual(site);
    expect((await store.read((r) => r.replication.peers()))[0]?.acked).toBeNull();
    const again = await set(store, keys[1] ?? newVault(), "another");
    expect(again.position).toEqual(lost.position);
    expect((await store.read((r) => r.site.record())).head).not.toEqual(head);
    expect(
      await store.acknowledgements.take(zurich, { through: head, rows: [], rejected: [], verified: null }),
    ).toBe("unknown");
    expect(await store.transact((tx) => tx.replication.resumeFrom(zurich, head, []))).toBe("unknown");
    expect((await store.read((r) => r.site.record())).fenced).toBe("primary_behind");
  });

  it("is never pushed from as if it were the newer one: the listing names its own chain", async () => {
    const [newer, backup] = [memory("primary"), memory("backup")];
    await newer.transact((tx) => tx.replication.configurePeers([zurich]));
    const { keys } = await fill(newer, 3);
    const image = newer.serialize();
    await set(newer, keys[0] ?? newVault(), "lost");
    await drain(newer, backup);
    const { head } = await backup.read((r) => r.site.record());
    const store = memoryOf(image);
    for (const key of keys) await set(store, key, "another history");
    const listing = await store.read((r) => r.replication.listAbove(head.position, batch));
    expect(listing.after.position).toEqual(head.position);
    expect(listing.after.chain).not.toEqual(head.chain);
  });
});
