import { describe, expect, it } from "vitest";
import type { StrandedId } from "../../src/core/ids.ts";
import type { Position } from "../../src/core/position.ts";
import type { Peer } from "../../src/core/store/replication.ts";
import {
  batch,
  fill,
  geneva,
  newEntry,
  newVault,
  putAll,
  type StoreUnderTest,
  set,
  zurich,
} from "./store-harness.ts";
import { primarySites } from "./primary-sites.ts";

const start: Position = { epoch: 0, seq: 0 };

/** A peer that has not answered yet. */
const unheardOf: Peer = {
  site: zurich,
  acked: null,
  lastAckAt: null,
  verified: null,
  diverged: false,
  repairs: 0,
};

/** What a primary keeps of its backups: marks, acked, listing, history. */
export function primaryContract({ open, reopen }: StoreUnderTest): void {
  const { primary, acknowledgeAll, dirtyRows } = primarySites(open);

  describe("a mark", () => {
    it("is made with the change, and not at all without a peer", async () => {
      const { store } = await primary();
      expect((await set(store, newVault(), "x")).dirty).toBe(false);
      await store.transact((tx) => tx.replication.configurePeers([zurich]));
      expect(await set(store, newVault(), "x")).toMatchObject({ dirty: true, replicatedAt: null });
    });

    it("is made from the change on that comes after a first peer, also within one turn", async () => {
      const { store } = await primary();
      const [before, , after] = await Promise.all([
        set(store, newVault(), "x"),
        store.transact((tx) => tx.replication.configurePeers([zurich])),
        set(store, newVault(), "x"),
      ]);
      expect([before.dirty, after.dirty]).toEqual([false, true]);
    });

    it("keeps the time of the first change through later ones", async () => {
      const { store, clock } = await primary(zurich);
      const key = newVault();
      const since = (await set(store, key, "a")).dirtySince;
      await clock.advance(5_000);
      const row = await set(store, key, "b");
      expect(row.dirtySince).toBe(since);
      expect(await store.read((r) => r.rows.row(key))).toEqual(row);
    });

    it("is cleared by an acknowledgement that covers the row, with the time of it", async () => {
      const { store, clock } = await primary(zurich);
      const { keys } = await fill(store, 2);
      await clock.advance(1_000);
      await acknowledgeAll(store);
      expect(await dirtyRows(store)).toEqual([]);
      const row = await store.read((r) => r.rows.row(keys[0] ?? newVault()));
      expect(row).toMatchObject({ dirty: false, dirtySince: null, replicatedAt: clock.now() });
    });

    it("stays on a row that was changed while its push was on the way", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 2);
      const pushed = await store.read((r) => r.replication.listAbove(start, batch));
      const changed = await set(store, keys[0] ?? newVault(), "changed");
      await store.acknowledgements.take(zurich, {
        through: pushed.through,
        rows: pushed.rows,
        rejected: [],
        verified: null,
      });
      expect((await dirtyRows(store)).map(({ position }) => position)).toEqual([changed.position]);
    });

    it("is cleared only when the last of several peers has acknowledged", async () => {
      const { store } = await primary(zurich, geneva);
      await fill(store, 2);
      await acknowledgeAll(store, zurich);
      expect(await dirtyRows(store)).toHaveLength(3);
      await acknowledgeAll(store, geneva);
      expect(await dirtyRows(store)).toEqual([]);
    });

    it("waits for a second peer from the moment of its coming", async () => {
      const { store } = await primary(zurich);
      await fill(store, 2);
      await store.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
      await acknowledgeAll(store, zurich);
      expect(
        (await store.read((r) => r.replication.peers())).map(({ site, acked }) => [site, acked === null]),
      ).toEqual([
        [geneva, true],
        [zurich, false],
      ]);
      expect(await dirtyRows(store)).toHaveLength(3);
    });

    it("that waited only for a peer that is gone is cleared with it", async () => {
      const { store } = await primary(zurich, geneva);
      await fill(store, 2);
      await acknowledgeAll(store, zurich);
      await store.transact((tx) => tx.replication.configurePeers([zurich]));
      expect(await dirtyRows(store)).toEqual([]);
      await fill(store, 1);
      await store.transact((tx) => tx.replication.configurePeers([]));
      expect(await dirtyRows(store)).toEqual([]);
      expect(await store.read((r) => r.replication.peers())).toEqual([]);
    });

    it("is set on what a new peer lacks, piece by piece, until nothing lacks one", async () => {
      const { store } = await primary();
      await fill(store, 4);
      await store.transact((tx) => tx.replication.configurePeers([zurich]));
      expect(await dirtyRows(store)).toEqual([]);
      const first = await store.transact((tx) => tx.replication.markDirtyAbove(null, 3));
      const second = await store.transact((tx) => tx.replication.markDirtyAbove(first.next, 3));
      expect([first.marked, second]).toEqual([3, { marked: 2, next: null }]);
      expect((await store.transact((tx) => tx.replication.markDirtyAbove(null, 100))).marked).toBe(0);
      expect(await dirtyRows(store)).toHaveLength(5);
    });

    it("comes back on what a backup has lost", async () => {
      const { store } = await primary(zurich);
      await fill(store, 4);
      const half = await store.read((r) => r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }));
      await store.acknowledgements.take(zurich, {
        through: half.through,
        rows: half.rows,
        rejected: [],
        verified: null,
      });
      await acknowledgeAll(store);
      await store.acknowledgements.settle();
      expect(await store.transact((tx) => tx.replication.resumeFrom(zurich, half.through, []))).toBe("known");
      expect((await store.transact((tx) => tx.replication.markDirtyAbove(null, 100))).marked).toBe(3);
      expect((await store.read((r) => r.replication.backlog(zurich))).dirty).toBe(3);
    });
  });

  describe("a backlog", () => {
    it("is everything for a peer of whom nothing is known, also without marks", async () => {
      const { store } = await primary();
      await fill(store, 4);
      await store.transact((tx) => tx.replication.configurePeers([zurich]));
      const expected = { dirty: 5, oldestDirtySince: null, quarantined: 0 };
      expect(await store.read((r) => r.replication.backlog(zurich))).toEqual(expected);
      expect(await store.read((r) => r.replication.backlogOfAll())).toEqual(expected);
    });

    it("has the age of its oldest mark", async () => {
      const { store, clock } = await primary(zurich);
      const first = await set(store, newVault(), "a");
      await clock.advance(9_000);
      await set(store, newVault(), "b");
      expect((await store.read((r) => r.replication.backlog(zurich))).oldestDirtySince).toBe(
        first.dirtySince,
      );
      await store.acknowledgements.take(zurich, {
        through: (await store.read((r) => r.replication.listAbove(start, { rows: 1, bytes: 100 }))).through,
        rows: [],
        rejected: [],
        verified: null,
      });
      expect(await store.read((r) => r.replication.backlog(zurich))).toEqual({
        dirty: 1,
        oldestDirtySince: clock.now(),
        quarantined: 0,
      });
    });

    it("is counted for each peer, and once for all", async () => {
      const { store } = await primary(zurich, geneva);
      await fill(store, 3);
      await acknowledgeAll(store, zurich);
      expect((await store.read((r) => r.replication.backlog(zurich))).dirty).toBe(0);
      expect((await store.read((r) => r.replication.backlog(geneva))).dirty).toBe(4);
      expect((await store.read((r) => r.replication.backlogOfAll())).dirty).toBe(4);
    });

    it("of a stranger is nothing", async () => {
      const { store } = await primary(zurich);
      await fill(store, 1);
      expect(await store.read((r) => r.replication.backlog(geneva))).toEqual({
        dirty: 0,
        oldestDirtySince: null,
        quarantined: 0,
      });
    });
  });

  describe("a listing", () => {
    it("goes up in position order to the limit of rows, and says where it ends", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 5);
      const listing = await store.read((r) =>
        r.replication.listAbove({ epoch: 1, seq: 1 }, { rows: 3, bytes: 2 ** 20 }),
      );
      expect(listing.rows.slice(1).map(({ key }) => key)).toEqual(keys.slice(0, 3));
      expect(listing).toMatchObject({ isLast: false, through: { position: { epoch: 1, seq: 4 } } });
    });

    it("stops before the limit of bytes, but never without a row", async () => {
      const { store } = await primary(zurich);
      const vaults = [newVault(), newVault(), newVault()];
      for (const vault of vaults) await set(store, vault, "x".repeat(600));
      const seqs = async (bytes: number): Promise<number[]> =>
        (await store.read((r) => r.replication.listAbove(start, { rows: 100, bytes }))).rows.map(
          ({ position }) => position.seq,
        );
      expect(await seqs(1)).toEqual([1]);
      expect(await seqs(1_199)).toEqual([1]);
      expect(await seqs(1_200)).toEqual([1, 2]);
      expect(await seqs(10_000)).toEqual([1, 2, 3]);
    });

    it("reaches the head where everything fits, also where nothing is left", async () => {
      const { store } = await primary(zurich);
      await fill(store, 2);
      const { head } = await store.read((r) => r.site.record());
      expect(await store.read((r) => r.replication.listAbove(start, batch))).toMatchObject({
        isLast: true,
        through: head,
      });
      const none = await store.read((r) => r.replication.listAbove(head.position, batch));
      expect(none).toMatchObject({ isLast: true, through: head, after: head, rows: [] });
    });

    it("ends at the last position even where later changes moved the rows between", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 3);
      await set(store, keys[0] ?? newVault(), "changed");
      const seqs: number[] = [];
      for (let after = start, isLast = false; !isLast; ) {
        const listing = await store.read((r) => r.replication.listAbove(after, { rows: 1, bytes: 2 ** 20 }));
        ({ isLast } = listing);
        after = listing.through.position;
        seqs.push(after.seq);
      }
      expect(seqs).toEqual([1, 3, 4, 5]);
    });

    it("puts the vaults of its rows in front, even those renamed after everything listed", async () => {
      const { store } = await primary(zurich);
      const { vault, keys } = await fill(store, 150);
      const renamed = await set(store, vault, "renamed");
      const { rows, through } = await store.read((r) => r.replication.listAbove(start, batch));
      expect(rows[0]).toEqual(renamed);
      expect(rows.slice(1).map(({ key }) => key)).toEqual(keys.slice(0, 100));
      expect(through.position.seq).toBe(101);
    });

    it("puts no vault in front of a stranded row, which is for the operator and not for who opens that vault", async () => {
      const { store } = await primary(zurich);
      const { vault } = await fill(store, 1);
      const { vaultId } = vault;
      const strandedId = "019b76da-0000-8000-8000-000000000000" as StrandedId;
      const stranded = await set(store, { kind: "stranded", vaultId, strandedId }, "a row");
      const { rows } = await store.read((r) => r.replication.listAbove({ epoch: 1, seq: 2 }, batch));
      expect(rows).toEqual([stranded]);
    });

    it("names no vault twice, and every vault once", async () => {
      const { store } = await primary(zurich);
      const [first, second] = [await fill(store, 2), await fill(store, 2)];
      const { rows } = await store.read((r) => r.replication.listAbove(start, batch));
      expect(rows.map(({ key }) => key)).toEqual([first.vault, second.vault, ...first.keys, ...second.keys]);
    });

    it("names the chain that this history has where it continues from", async () => {
      const { store } = await primary(zurich);
      await fill(store, 3);
      const first = await store.read((r) => r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }));
      const second = await store.read((r) => r.replication.listAbove(first.through.position, batch));
      expect(second.after).toEqual(first.through);
      const { head } = await store.read((r) => r.site.record());
      expect((await store.read((r) => r.replication.listAbove({ epoch: 1, seq: 99 }, batch))).after).toEqual(
        head,
      );
    });
  });

  describe("an acknowledgement", () => {
    it("moves acked up, never down, and keeps the time", async () => {
      const { store, clock } = await primary(zurich);
      await fill(store, 3);
      const half = await store.read((r) => r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }));
      expect(await store.read((r) => r.replication.peers())).toEqual([unheardOf]);
      await acknowledgeAll(store);
      await clock.advance(500);
      await store.acknowledgements.take(zurich, {
        through: half.through,
        rows: half.rows,
        rejected: [],
        verified: null,
      });
      const { head } = await store.read((r) => r.site.record());
      expect(await store.read((r) => r.replication.peers())).toEqual([
        { ...unheardOf, acked: head, lastAckAt: clock.now() },
      ]);
    });

    it("of a point of another history, or by a stranger, changes nothing", async () => {
      const { store } = await primary(zurich);
      await fill(store, 1);
      const { head } = await store.read((r) => r.site.record());
      const other = { position: head.position, chain: new Uint8Array(32).fill(7) };
      expect(
        await store.acknowledgements.take(zurich, { through: other, rows: [], rejected: [], verified: null }),
      ).toBe("unknown");
      expect(
        await store.acknowledgements.take(geneva, { through: head, rows: [], rejected: [], verified: null }),
      ).toBe("unknown");
      expect(await store.read((r) => r.replication.peers())).toEqual([unheardOf]);
      expect(await dirtyRows(store)).toHaveLength(2);
    });

    it("is kept when the store is opened again", async () => {
      const { store } = await primary(zurich);
      await fill(store, 1);
      await acknowledgeAll(store);
      const peers = await store.read((r) => r.replication.peers());
      expect(await (await reopen(store)).read((r) => r.replication.peers())).toEqual(peers);
    });

    it("of thousands of rows clears every mark", async () => {
      const { store } = await primary(zurich);
      const vault = newVault();
      await set(store, vault, "v");
      await store.transact((tx) =>
        tx.rows.write(
          putAll(
            Array.from({ length: 2_500 }, () => newEntry(vault.vaultId)),
            "e",
          ),
        ),
      );
      await acknowledgeAll(store);
      expect(await dirtyRows(store)).toEqual([]);
    });
  });

  describe("a point that a backup names", () => {
    it("is known along this history: the origin, any point passed, the head", async () => {
      const { store } = await primary(zurich);
      await fill(store, 3);
      const half = await store.read((r) => r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }));
      const { head } = await store.read((r) => r.site.record());
      const origin = { position: start, chain: new Uint8Array(32) };
      for (const point of [half.through, head, origin]) {
        expect(await store.transact((tx) => tx.replication.resumeFrom(zurich, point, []))).toBe("known");
        expect((await store.read((r) => r.replication.peers()))[0]?.acked).toEqual(point);
      }
      expect((await store.read((r) => r.site.record())).fenced).toBeNull();
    });

    it.each([
      ["above the head", { epoch: 1, seq: 9 }],
      ["under another chain", { epoch: 1, seq: 2 }],
      ["of an epoch still to come", { epoch: 2, seq: 2 }],
    ])("fences the site when it is %s", async (_, position) => {
      const { store } = await primary(zurich);
      await fill(store, 3);
      const point = { position, chain: new Uint8Array(32).fill(1) };
      expect(await store.transact((tx) => tx.replication.resumeFrom(zurich, point, []))).toBe("unknown");
      expect((await store.read((r) => r.site.record())).fenced).toBe("primary_behind");
      expect((await store.read((r) => r.replication.peers()))[0]?.acked).toBeNull();
      await expect(set(store, newVault(), "x")).rejects.toMatchObject({ code: "site_fenced" });
    });

    it("of an earlier epoch is foreign: that backup went another way, and this site is in its right", async () => {
      const { store } = await primary(zurich);
      await fill(store, 3);
      const [site, peers] = [
        await store.read((r) => r.site.record()),
        await store.read((r) => r.replication.peers()),
      ];
      const point = { position: { epoch: 0, seq: 2 }, chain: new Uint8Array(32).fill(1) };
      expect(await store.transact((tx) => tx.replication.resumeFrom(zurich, point, []))).toBe("foreign");
      expect([
        await store.read((r) => r.site.record()),
        await store.read((r) => r.replication.peers()),
      ]).toEqual([site, peers]);
    });

    it("leaves a site superseded that was so before", async () => {
      const { store } = await primary(zurich);
      await store.transact((tx) => tx.site.recordEpoch({ number: 2, id: "x" }));
      await store.transact((tx) =>
        tx.replication.resumeFrom(zurich, { position: { epoch: 1, seq: 9 }, chain: new Uint8Array(32) }, []),
      );
      expect((await store.read((r) => r.site.record())).fenced).toBe("primary_superseded");
    });
  });
}
