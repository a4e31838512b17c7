import { describe, expect, it } from "vitest";
import type { Position } from "../../src/core/position.ts";
import type { StoredRow } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { batch, fill, geneva, newVault, type StoreUnderTest, set, zurich } from "./store-harness.ts";
import { primarySites } from "./primary-sites.ts";

const start: Position = { epoch: 0, seq: 0 };

/** Rows that a backup has refused. */
export function quarantineContract({ open }: StoreUnderTest): void {
  const { primary, acknowledgeAll, dirtyRows } = primarySites(open);

  describe("quarantine", () => {
    const refuse = async (store: Store, row: StoredRow, peer = zurich): Promise<void> => {
      const { rows, through } = await store.read((r) =>
        r.replication.listAbove(start, { rows: 10_000, bytes: 2 ** 40 }),
      );
      const { key, position } = row;
      await store.acknowledgements.take(peer, {
        through,
        rows,
        rejected: [{ key, position, code: "row_too_large" }],
        verified: null,
      });
    };

    it("holds a row that a peer refused, dirty but counted apart", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 3);
      const row = await set(store, keys[1] ?? newVault(), "bad");
      await refuse(store, row);
      expect(await store.read((r) => r.replication.backlog(zurich))).toEqual({
        dirty: 0,
        oldestDirtySince: null,
        quarantined: 1,
      });
      expect(await store.read((r) => r.replication.backlogOfAll())).toEqual({
        dirty: 0,
        oldestDirtySince: null,
        quarantined: 1,
      });
      expect(await dirtyRows(store)).toEqual([row]);
      expect(await store.read((r) => r.replication.listQuarantined(zurich, start, 10))).toEqual([row]);
    });

    it("holds a row above the watermark too, which then is not behind", async () => {
      const { store } = await primary(zurich);
      await fill(store, 1);
      await acknowledgeAll(store);
      const { head } = await store.read((r) => r.site.record());
      const row = await set(store, newVault(), "bad");
      const { key, position } = row;
      const rejected = [{ key, position, code: "too_large" as const }];
      await store.acknowledgements.take(zurich, { through: head, rows: [], rejected, verified: null });
      expect(await store.read((r) => r.replication.backlog(zurich))).toEqual({
        dirty: 0,
        oldestDirtySince: null,
        quarantined: 1,
      });
      expect(await store.read((r) => r.replication.backlogOfAll())).toEqual({
        dirty: 0,
        oldestDirtySince: null,
        quarantined: 1,
      });
    });

    it("lets go of a row that changes, which is then dirty like any other", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 1);
      const key = keys[0] ?? newVault();
      await refuse(store, await set(store, key, "bad"));
      await set(store, key, "better");
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 1,
        quarantined: 0,
      });
      await acknowledgeAll(store);
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 0,
        quarantined: 0,
      });
      expect(await dirtyRows(store)).toEqual([]);
    });

    it("lets go of what lies above the point that a backup names: it is pushed again like any other", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 3);
      const below = await store.read((r) => r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }));
      const row = await set(store, keys[2] ?? newVault(), "bad");
      await refuse(store, row);
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 0,
        quarantined: 1,
      });
      await store.transact((tx) => tx.replication.resumeFrom(zurich, below.through, []));
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 2,
        quarantined: 0,
      });
      await acknowledgeAll(store);
      expect(await dirtyRows(store)).toEqual([]);
    });

    it("lets go of a row that is taken after all, and its mark with it", async () => {
      const { store } = await primary(zurich);
      const { keys } = await fill(store, 1);
      const row = await set(store, keys[0] ?? newVault(), "bad");
      await refuse(store, row);
      const { head } = await store.read((r) => r.site.record());
      await store.acknowledgements.take(zurich, { through: head, rows: [row], rejected: [], verified: null });
      expect(await store.read((r) => r.replication.listQuarantined(zurich, start, 10))).toEqual([]);
      expect(await dirtyRows(store)).toEqual([]);
    });

    it("does not take in a row that changed while its push was on the way", async () => {
      const { store } = await primary(zurich);
      const key = newVault();
      const pushed = await set(store, key, "bad");
      const { through } = await store.read((r) => r.replication.listAbove(start, batch));
      await set(store, key, "better");
      await store.acknowledgements.take(zurich, {
        through,
        rows: [pushed],
        rejected: [{ ...pushed, code: "row_malformed" }],
        verified: null,
      });
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 1,
        quarantined: 0,
      });
    });

    it("is not left by a late answer about the row as it was before", async () => {
      const { store } = await primary(zurich);
      const key = newVault();
      const older = await set(store, key, "fine");
      const { through } = await store.read((r) => r.replication.listAbove(start, batch));
      await refuse(store, await set(store, key, "bad"));
      await store.acknowledgements.take(zurich, { through, rows: [older], rejected: [], verified: null });
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({ quarantined: 1 });
      await store.acknowledgements.take(zurich, {
        through,
        rows: [older],
        rejected: [{ ...older, code: "row_malformed" }],
        verified: null,
      });
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({ quarantined: 1 });
    });

    it("of one peer leaves the row dirty for another", async () => {
      const { store } = await primary(zurich, geneva);
      const row = await set(store, newVault(), "bad");
      await refuse(store, row, zurich);
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 0,
        quarantined: 1,
      });
      expect(await store.read((r) => r.replication.backlog(geneva))).toMatchObject({
        dirty: 1,
        quarantined: 0,
      });
      expect(await store.read((r) => r.replication.backlogOfAll())).toMatchObject({
        dirty: 1,
        quarantined: 1,
      });
      await acknowledgeAll(store, geneva);
      expect(await dirtyRows(store)).toHaveLength(1);
      await store.transact((tx) => tx.replication.configurePeers([geneva]));
      expect(await dirtyRows(store)).toEqual([]);
    });

    it("does not count a vault twice that was refused in front of its entries", async () => {
      const { store } = await primary(zurich);
      const { vault } = await fill(store, 3);
      const renamed = await set(store, vault, "renamed");
      const { rows, through } = await store.read((r) =>
        r.replication.listAbove(start, { rows: 2, bytes: 2 ** 20 }),
      );
      await store.acknowledgements.take(zurich, {
        through,
        rows,
        rejected: [{ ...renamed, code: "row_malformed" }],
        verified: null,
      });
      expect(await store.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 1,
        quarantined: 1,
      });
      expect(await store.read((r) => r.replication.backlogOfAll())).toMatchObject({
        dirty: 1,
        quarantined: 1,
      });
    });
  });
}
