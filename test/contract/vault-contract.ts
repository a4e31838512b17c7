import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { Refusal } from "../../src/core/errors.ts";
import { extendChain, hashRow } from "../../src/core/row.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import {
  calgary,
  fill,
  newAccess,
  newEntry,
  newVault,
  put,
  putAll,
  type StoreUnderTest,
  set,
  zurich,
} from "./store-harness.ts";

/** The site's record, client writes and reads. */
export function vaultContract({ open, reopen }: StoreUnderTest): void {
  const primary = () => open({ site: calgary, role: "primary", clock: new VirtualClock() });
  const backup = () => open({ site: zurich, role: "backup", clock: new VirtualClock() });

  describe("a new site", () => {
    it("is, as a primary, at the start of epoch 1 of a realm of its own", async () => {
      const store = await primary();
      const site = await store.read((r) => r.site.record());
      expect(site).toMatchObject({ site: calgary, role: "primary", fenced: null, primary: null });
      expect(site.realm).not.toBeNull();
      expect(site.epoch.number).toBe(1);
      expect(site.epochSeen).toEqual(site.epoch);
      expect(site.head).toEqual({ position: { epoch: 1, seq: 0 }, chain: new Uint8Array(32) });
      const origin = { position: { epoch: 0, seq: 0 }, chain: new Uint8Array(32) };
      expect(await store.read((r) => r.site.timeline())).toEqual([
        { epoch: site.epoch, site: calgary, from: origin },
      ]);
    });

    it("has, as a backup, neither realm nor epoch nor timeline", async () => {
      const store = await backup();
      const none = { number: 0, id: "" };
      expect(await store.read((r) => r.site.record())).toMatchObject({
        role: "backup",
        realm: null,
        epoch: none,
        epochSeen: none,
      });
      expect(await store.read((r) => r.site.timeline())).toEqual([]);
    });
  });

  describe("a write", () => {
    it("takes the next position, its hash, and the chain after it", async () => {
      const store = await primary();
      const key = newVault();
      const before = await store.read((r) => r.site.record());
      const row = await set(store, key, "{}");
      expect(row).toMatchObject({ key, position: { epoch: 1, seq: 1 }, body: utf8("{}"), dirty: false });
      expect(row.hash).toEqual(hashRow(sha256Hash, utf8("{}")));
      const { head } = await store.read((r) => r.site.record());
      expect(head).toEqual({
        position: row.position,
        chain: extendChain(sha256Hash, before.head.chain, row),
      });
    });

    it("is still there when the store is opened again", async () => {
      const store = await primary();
      const { keys } = await fill(store, 3);
      const [head, key] = [(await store.read((r) => r.site.record())).head, keys[0]];
      const again = await reopen(store);
      expect((await again.read((r) => r.site.record())).head).toEqual(head);
      expect(key && (await again.read((r) => r.rows.row(key)))?.body).toEqual(utf8("an entry"));
    });

    it("gives decide the rows in the order of the keys: live, tombstone, unknown", async () => {
      const store = await primary();
      const { vault, keys } = await fill(store, 1);
      const [known] = keys;
      const purged = newEntry(vault.vaultId);
      await set(store, purged, "gone soon");
      await set(store, purged, null);
      const unknown = newEntry(vault.vaultId);
      const seen: unknown[] = [];
      await store.transact((tx) =>
        tx.rows.write({
          keys: [unknown, purged, known ?? unknown],
          decide: (rows) => {
            seen.push(...rows.map((row) => row && row.body));
            return [];
          },
        }),
      );
      expect(seen).toEqual([undefined, null, utf8("an entry")]);
    });

    it("leaves nothing of itself where decide refuses, and nothing else is held up", async () => {
      const store = await primary();
      const [first, second, third] = [newVault(), newVault(), newVault()];
      const refused = {
        keys: [second],
        decide: () => {
          throw new Refusal("stale_match");
        },
      };
      const outcomes = await Promise.allSettled([
        store.transact((tx) => tx.rows.write(put(first, "1"))),
        store.transact((tx) => tx.rows.write(refused)),
        store.transact((tx) => tx.rows.write(put(third, "3"))),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect(await store.read((r) => r.rows.row(second))).toBeUndefined();
      expect((await store.read((r) => r.rows.row(third)))?.position.seq).toBe(2);
      expect((await store.read((r) => r.site.record())).head.position.seq).toBe(2);
    });

    it("that changes several rows is all there or not at all", async () => {
      const store = await primary();
      const keys = [newVault(), newVault()];
      const body = 5 as unknown as Uint8Array;
      const write = {
        keys,
        decide: () => [
          { key: keys[0] ?? newVault(), body: utf8("x") },
          { key: keys[1] ?? newVault(), body },
        ],
      };
      const head = (await store.read((r) => r.site.record())).head;
      await expect(store.transact((tx) => tx.rows.write(write))).rejects.toBeInstanceOf(TypeError);
      expect(await store.read((r) => r.rows.vaults())).toEqual([]);
      expect((await store.read((r) => r.site.record())).head).toEqual(head);
    });

    it("that fails after some of its changes gives back their positions and chain to the next of its turn", async () => {
      const [store, other] = [await primary(), await primary()];
      const [first, second, third] = [newVault(), newVault(), newVault()];
      const half = {
        keys: [second],
        decide: () => [
          { key: second, body: utf8("x") },
          { key: second, body: 5 as unknown as Uint8Array },
        ],
      };
      const outcomes = await Promise.allSettled([
        store.transact((tx) => tx.rows.write(put(first, "1"))),
        store.transact((tx) => tx.rows.write(half)),
        store.transact((tx) => tx.rows.write(put(third, "3"))),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      await set(other, first, "1");
      await set(other, third, "3");
      expect((await store.read((r) => r.site.record())).head).toEqual(
        (await other.read((r) => r.site.record())).head,
      );
    });

    it("of one row twice keeps both changes in the chain and the last in the row", async () => {
      const store = await primary();
      const key = newVault();
      const rows = await store.transact((tx) =>
        tx.rows.write({
          keys: [key],
          decide: () => [
            { key, body: utf8("a") },
            { key, body: utf8("b") },
          ],
        }),
      );
      expect(rows.map(({ position }) => position.seq)).toEqual([1, 2]);
      expect((await store.read((r) => r.rows.row(key)))?.body).toEqual(utf8("b"));
    });

    it("keeps an empty body apart from a purge", async () => {
      const store = await primary();
      const key = newVault();
      await set(store, key, "");
      expect((await store.read((r) => r.rows.row(key)))?.body).toEqual(new Uint8Array(0));
      await set(store, key, null);
      expect((await store.read((r) => r.rows.row(key)))?.body).toBeNull();
    });

    it("of thousands of rows lets others read, who see nothing of it before it is there", async () => {
      const store = await primary();
      const vault = newVault();
      await set(store, vault, "v");
      const keys = Array.from({ length: 1000 }, () => newEntry(vault.vaultId));
      let isDone = false;
      const writing = store
        .transact((tx) => tx.rows.write(putAll(keys, "e")))
        .then(() => {
          isDone = true;
        });
      const counts = new Set<number>();
      while (!isDone) {
        counts.add((await store.read((r) => r.rows.vaults()))[0]?.entries ?? -1);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await writing;
      counts.add((await store.read((r) => r.rows.vaults()))[0]?.entries ?? -1);
      expect([...counts]).toEqual([0, 1000]);
    });

    it("is refused by a backup", async () => {
      const store = await backup();
      await expect(store.transact((tx) => tx.rows.write(put(newVault(), "x")))).rejects.toMatchObject({
        code: "read_only_backup",
      });
    });

    it("is refused by a fenced primary, also when it was queued behind the fence", async () => {
      const store = await primary();
      const higher = { number: 2, id: "b" };
      const [, late] = await Promise.allSettled([
        store.transact((tx) => tx.site.recordEpoch(higher)),
        store.transact((tx) => tx.rows.write(put(newVault(), "x"))),
      ]);
      expect(late).toMatchObject({ status: "rejected", reason: { code: "site_fenced" } });
      expect((await store.read((r) => r.site.record())).head.position.seq).toBe(0);
    });
  });

  describe("a read", () => {
    it("finds rows of every kind by their key, and an access by its id alone", async () => {
      const store = await primary();
      const { vault, keys } = await fill(store, 1);
      const access = newAccess(vault.vaultId);
      await set(store, access, "a token");
      expect((await store.read((r) => r.rows.row(vault)))?.key).toEqual(vault);
      expect((await store.read((r) => r.rows.row(keys[0] ?? vault)))?.key).toEqual(keys[0]);
      expect((await store.read((r) => r.accesses.find(access.accessId)))?.key).toEqual(access);
      await set(store, access, null);
      expect((await store.read((r) => r.accesses.find(access.accessId)))?.body).toBeNull();
      expect(await store.read((r) => r.accesses.find(newAccess(vault.vaultId).accessId))).toBeUndefined();
    });

    it("lists live entries newest first, page after page, and no other vault's", async () => {
      const store = await primary();
      const { vault, keys } = await fill(store, 7);
      await fill(store, 2);
      const purged = keys[3] ?? vault;
      await set(store, purged, null);
      const expected = keys.filter((key) => key !== purged).toReversed();
      const listed = [];
      for (
        let before, page = await store.read((r) => r.rows.entries(vault.vaultId, undefined, 2));
        page.length > 0;
      ) {
        listed.push(...page.map(({ key }) => key));
        before = page.at(-1)?.key;
        page =
          before?.kind === "entry"
            ? await store.read((r) => r.rows.entries(vault.vaultId, before.entryId, 2))
            : [];
      }
      expect(listed).toEqual(expected);
    });

    it("counts live entries of live vaults, oldest vault first", async () => {
      const store = await primary();
      const [first, second, third] = [await fill(store, 2), await fill(store, 0), await fill(store, 3)];
      await set(store, third.keys[0] ?? third.vault, null);
      await set(store, second.vault, null);
      const vaults = await store.read((r) => r.rows.vaults());
      expect(vaults.map(({ row, entries }) => [row.key.vaultId, entries])).toEqual([
        [first.vault.vaultId, 2],
        [third.vault.vaultId, 2],
      ]);
    });

    it("finds what a deleted vault left, a piece at a time, until nothing is left", async () => {
      const store = await primary();
      const { vault, keys } = await fill(store, 3);
      const access = newAccess(vault.vaultId);
      await set(store, access, "a token");
      await fill(store, 2);
      expect(await store.read((r) => r.rows.orphans(10))).toEqual([]);
      await set(store, vault, null);
      expect(await store.read((r) => r.rows.orphans(2))).toHaveLength(2);
      const orphans = await store.read((r) => r.rows.orphans(10));
      expect(new Set(orphans)).toEqual(new Set([...keys, access]));
      for (const key of orphans) await set(store, key, null);
      expect(await store.read((r) => r.rows.orphans(10))).toEqual([]);
    });

    it("finds an operator's token by its id", async () => {
      const store = await primary();
      const token = {
        tokenId: "00ff",
        verifier: Uint8Array.of(1, 2),
        label: "init",
        createdAt: 5,
        expiresAt: null,
      };
      await store.transact((tx) => tx.operators.add(token));
      expect(await store.read((r) => r.operators.find("00ff"))).toEqual(token);
      expect(await store.read((r) => r.operators.find("ff00"))).toBeUndefined();
    });
  });

  describe("an epoch met", () => {
    it("fences a primary when it is higher, once", async () => {
      const store = await primary();
      expect(await store.transact((tx) => tx.site.recordEpoch({ number: 2, id: "a" }))).toEqual({
        fencedNow: true,
      });
      expect(await store.transact((tx) => tx.site.recordEpoch({ number: 2, id: "a" }))).toEqual({
        fencedNow: false,
      });
      expect(await store.transact((tx) => tx.site.recordEpoch({ number: 3, id: "a" }))).toEqual({
        fencedNow: false,
      });
      expect(await store.read((r) => r.site.record())).toMatchObject({
        fenced: "primary_superseded",
        epochSeen: { number: 3, id: "a" },
      });
    });

    it("of the same number fences the lower id, and the higher id stays", async () => {
      const [low, high] = [await primary(), await primary()];
      await low.transact((tx) => tx.site.recordEpoch({ number: 1, id: "z" }));
      await high.transact((tx) => tx.site.recordEpoch({ number: 1, id: "" }));
      expect((await low.read((r) => r.site.record())).fenced).toBe("primary_superseded");
      expect((await high.read((r) => r.site.record())).fenced).toBeNull();
    });

    it("far above all that were seen is refused and changes nothing: it would leave no numbers for promotions", async () => {
      for (const store of [await primary(), await backup()]) {
        const before = await store.read((r) => r.site.record());
        for (const number of [Number.MAX_SAFE_INTEGER, 2_000_000]) {
          const met = store.transact((tx) => tx.site.recordEpoch({ number, id: "z" }));
          await expect(met).rejects.toMatchObject({ code: "invalid_request" });
        }
        expect(await store.read((r) => r.site.record())).toEqual(before);
      }
    });

    it("is recorded by a backup, which has nothing to fence", async () => {
      const store = await backup();
      expect(await store.transact((tx) => tx.site.recordEpoch({ number: 4, id: "a" }))).toEqual({
        fencedNow: false,
      });
      expect(await store.read((r) => r.site.record())).toMatchObject({
        fenced: null,
        epoch: { number: 0 },
        epochSeen: { number: 4 },
      });
    });
  });

  describe("a closed store", () => {
    it("has finished what was queued, refuses what comes later, and may be closed again", async () => {
      const store = await primary();
      const queued = store.transact((tx) => tx.rows.write(put(newVault(), "x")));
      await store.close();
      await expect(queued).resolves.toHaveLength(1);
      await expect(store.read((r) => r.site.record())).rejects.toMatchObject({ code: "shutting_down" });
      await expect(store.transact((tx) => tx.rows.write(put(newVault(), "y")))).rejects.toMatchObject({
        code: "shutting_down",
      });
      await store.close();
    });
  });
}
