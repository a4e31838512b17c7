import { describe, expect, it } from "vitest";
import type { AccessId, VaultId } from "../../src/core/ids.ts";
import type { RowKey } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import { roleSites, winnerOf } from "./role-sites.ts";
import {
  calgary,
  countedDigest,
  drain,
  fill,
  newAccess,
  newVault,
  newVersion,
  type StoreUnderTest,
  set,
} from "./store-harness.ts";

type Access = RowKey & { readonly kind: "access" };
const minuteMs = 60_000;

/** What a site knows of accesses: their rows, whom it refuses, and when each was last used. */
export function accessContract({ open, reopen }: StoreUnderTest): void {
  const { pair, apart } = roleSites({ open });
  const alone = (clock = new VirtualClock()): Promise<Store> =>
    open({ site: calgary, role: "primary", clock });

  const withAccess = async (store: Store): Promise<{ vaultId: VaultId; access: Access }> => {
    const { vaultId } = newVault();
    await set(store, { kind: "vault", vaultId }, "a vault");
    const access = newAccess(vaultId);
    await set(store, access, "a slot");
    return { vaultId, access };
  };

  describe("accesses", () => {
    it("of a vault are listed by id, page after page, live ones alone, and no other vault's", async () => {
      const store = await alone();
      const { vaultId, access } = await withAccess(store);
      const more = Array.from({ length: 4 }, () => newAccess(vaultId));
      for (const key of more) await set(store, key, "x");
      await withAccess(store);
      await set(store, access, null);
      const first = await store.read((r) => r.accesses.ofVault(vaultId, undefined, 3));
      const last = await store.read((r) => r.accesses.ofVault(vaultId, more[2]?.accessId, 3));
      expect([...first, ...last].map(({ key }) => key)).toEqual(more);
    });

    it("of one person are found by one id in every vault, revoked ones apart", async () => {
      const store = await alone();
      const { access } = await withAccess(store);
      const others = [newVault(), newVault()].map(({ vaultId }) => ({ ...access, vaultId }));
      for (const key of others) await set(store, key, "x");
      expect((await store.read((r) => r.accesses.everywhere(access.accessId))).map(({ key }) => key)).toEqual(
        [access, ...others],
      );
      await set(store, access, null);
      expect((await store.read((r) => r.accesses.everywhere(access.accessId))).map(({ key }) => key)).toEqual(
        others,
      );
      expect(await store.read((r) => r.accesses.everywhere(newAccess(access.vaultId).accessId))).toEqual([]);
    });
  });

  describe("an access that a site blocks", () => {
    it("is blocked there alone, until it is unblocked, also when the store is opened again", async () => {
      const { primary, backup } = await pair();
      const { access } = await withAccess(primary);
      await drain(primary, backup);
      await backup.transact((tx) => tx.accesses.block(access.accessId));
      const unknown = newAccess(access.vaultId).accessId;
      await backup.transact((tx) => tx.accesses.block(unknown));
      expect(await primary.read((r) => r.accesses.isBlocked(access.accessId))).toBe(false);
      const again = await reopen(backup);
      expect((await again.read((r) => r.accesses.blocked())).map(({ accessId }) => accessId)).toEqual(
        [access.accessId, unknown].toSorted(),
      );
      await again.transact((tx) => tx.accesses.unblock(access.accessId));
      await again.transact((tx) => tx.accesses.unblock(access.accessId));
      expect(await again.read((r) => r.accesses.isBlocked(access.accessId))).toBe(false);
      expect(await again.read((r) => r.accesses.isBlocked(unknown))).toBe(true);
    });

    it("is blocked since the first time, and is in no digest", async () => {
      const clock = new VirtualClock();
      const store = await alone(clock);
      const { access } = await withAccess(store);
      const before = await store.read((r) => r.site.digest());
      const at = clock.now();
      await store.transact((tx) => tx.accesses.block(access.accessId));
      await clock.advance(minuteMs);
      await store.transact((tx) => tx.accesses.block(access.accessId));
      expect(await store.read((r) => r.accesses.blocked())).toEqual([{ accessId: access.accessId, at }]);
      expect(await store.read((r) => r.site.digest())).toEqual(before);
    });

    it("stays blocked when the site comes home to another primary", async () => {
      const { primary, backup, fork } = await apart();
      const blocked = newAccess(newVault().vaultId).accessId;
      await primary.transact((tx) => tx.accesses.block(blocked));
      await primary.homecoming.rejoin(await winnerOf(backup, fork));
      await drain(backup, primary);
      expect(await primary.read((r) => r.accesses.isBlocked(blocked))).toBe(true);
    });
  });

  describe("the last use of an access", () => {
    const usedAt = async (store: Store, { vaultId, accessId }: Access): Promise<number | undefined> =>
      (await store.uses.last(vaultId)).get(accessId);

    it("is known at once, and is on the disk only with the next write of a client", async () => {
      const store = await alone();
      const { access } = await withAccess(store);
      store.uses.note(access.vaultId, access.accessId, 5_000);
      expect(await usedAt(store, access)).toBe(5_000);
      const forgotten = await reopen(store);
      expect(await usedAt(forgotten, access)).toBeUndefined();
      forgotten.uses.note(access.vaultId, access.accessId, 6_000);
      await fill(forgotten, 0);
      const kept = await reopen(forgotten);
      expect(await usedAt(kept, access)).toBe(6_000);
      expect((await kept.uses.last(newVault().vaultId)).size).toBe(0);
    });

    it("never goes back, and is written at most once a minute however often it is used", async () => {
      const store = await alone();
      const { access } = await withAccess(store);
      const note = (at: number): void => store.uses.note(access.vaultId, access.accessId, at);
      note(9_000);
      note(8_000);
      await fill(store, 0);
      note(9_000 + minuteMs - 1);
      await fill(store, 0);
      expect(await usedAt(store, access)).toBe(9_000 + minuteMs - 1);
      const again = await reopen(store);
      expect(await usedAt(again, access)).toBe(9_000);
      again.uses.note(access.vaultId, access.accessId, 7_000);
      await fill(again, 0);
      expect(await usedAt(again, access)).toBe(9_000);
    });

    it("changes no row and no digest, and stays when a backup is given the access anew", async () => {
      const { primary, backup } = await pair();
      const { access } = await withAccess(primary);
      await drain(primary, backup);
      const [before] = await primary.read((r) => r.repair.rowsOf([access]));
      primary.uses.note(access.vaultId, access.accessId, 5_000);
      await fill(primary, 0);
      expect(await primary.read((r) => r.repair.rowsOf([access]))).toEqual([before]);
      expect((await primary.read((r) => r.site.digest())).digest).toEqual(await countedDigest(primary));
      await set(primary, access, "a slot for another key");
      expect(await usedAt(await reopen(primary), access)).toBe(5_000);
    });

    it("is remembered of thousands of accesses, and the one that was used longest ago is forgotten first", async () => {
      const store = await alone();
      const { vaultId, access } = await withAccess(store);
      const ids = Array.from({ length: 3_000 }, (_, index) => `access ${index}` as AccessId);
      for (const [index, id] of [access.accessId, ...ids].entries()) store.uses.note(vaultId, id, index);
      const uses = await store.uses.last(vaultId);
      expect(uses.size).toBe(2_000);
      expect([uses.has(access.accessId), uses.has("access 2999" as AccessId)]).toEqual([false, true]);
    });
  });

  describe("what is taken away for good", () => {
    it("is known to remain, until it is erased: a purge, a revocation, what a vault's row was, what a write says", async () => {
      const store = await alone();
      const { vault, keys } = await fill(store, 2);
      const access = newAccess(vault.vaultId);
      await set(store, access, "a slot");
      expect(await store.erasure.hasRemains()).toBe(false);
      const [first, second] = keys as [RowKey, RowKey];
      const writes: readonly (() => Promise<unknown>)[] = [
        () => set(store, first, null),
        () => set(store, access, null),
        () => set(store, vault, "a vault with another key"),
        () =>
          store.transact((tx) =>
            tx.rows.write({
              keys: [],
              decide: () => [{ key: second, body: new Uint8Array(1) }],
              erases: true,
            }),
          ),
      ];
      for (const write of writes) {
        await write();
        expect(await store.erasure.hasRemains()).toBe(true);
        await store.erasure.eraseRemains();
        expect(await store.erasure.hasRemains()).toBe(false);
      }
    });

    it("is no edit, nor a version that is only one more than are kept, but one that goes with its entry is", async () => {
      const store = await alone();
      const { keys } = await fill(store, 1);
      const [entry] = keys;
      if (entry?.kind !== "entry") throw new Error("no entry");
      const version = (number: number): RowKey => newVersion(entry, number);
      for (const key of [version(1), version(2), entry]) await set(store, key, "x");
      await set(store, version(1), null);
      expect(await store.erasure.hasRemains()).toBe(false);
      await set(store, entry, null);
      await store.erasure.eraseRemains();
      await set(store, version(2), null);
      expect(await store.erasure.hasRemains()).toBe(true);
    });

    it("remains nowhere where its transaction failed, and everywhere that it was pushed to", async () => {
      const { primary, backup } = await pair();
      const { keys } = await fill(primary, 1);
      const [entry] = keys as [RowKey];
      await drain(primary, backup);
      const failing = primary.transact((tx) =>
        tx.rows.write({
          keys: [],
          decide: () => [
            { key: entry, body: null },
            { key: entry, body: 5 as unknown as Uint8Array },
          ],
        }),
      );
      await Promise.allSettled([failing, set(primary, newVault(), "x")]);
      expect(await primary.erasure.hasRemains()).toBe(false);
      await set(primary, entry, null);
      await drain(primary, backup);
      expect([await primary.erasure.hasRemains(), await backup.erasure.hasRemains()]).toEqual([true, true]);
      const again = await reopen(backup);
      expect(await again.erasure.hasRemains()).toBe(true);
      await again.erasure.eraseRemains();
      expect(await again.erasure.hasRemains()).toBe(false);
    });
  });
}
