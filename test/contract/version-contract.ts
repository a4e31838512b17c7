import { describe, expect, it } from "vitest";
import { bucketOf } from "../../src/core/digest.ts";
import { type EntryId, parseVersionId, versionIdOf } from "../../src/core/ids.ts";
import type { RowKey } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import { asideOf, asideSites, comeHome, rowAt } from "./aside-sites.ts";
import { guardOf, listBucket, repair } from "./repair-driver.ts";
import {
  allRows,
  batch,
  calgary,
  drain,
  fill,
  newEntry,
  newVault,
  newVersion,
  putAll,
  type StoreUnderTest,
  set,
  shared,
  zurich,
} from "./store-harness.ts";

type Entry = RowKey & { readonly kind: "entry" };

function numbers(rows: readonly { readonly key: RowKey }[]): number[] {
  return rows.map(({ key }) => (key.kind === "version" ? parseVersionId(key.versionId).version : Number.NaN));
}

/** What an entry was before: rows of their own, which are in every way rows like others. */
export function versionContract({ open, reopen, behind }: StoreUnderTest): void {
  const { pair } = asideSites({ open });
  const alone = (): Promise<Store> => open({ site: calgary, role: "primary", clock: new VirtualClock() });

  /** An entry of a vault with so many earlier versions. */
  const withHistory = async (store: Store, versions: number): Promise<{ vault: RowKey; entry: Entry }> => {
    const vault = newVault();
    await set(store, vault, "a vault");
    const entry = newEntry(vault.vaultId);
    await set(store, entry, "now");
    for (let version = 1; version <= versions; version += 1)
      await set(store, newVersion(entry, version), `at ${version}`);
    return { vault, entry };
  };

  describe("earlier versions of an entry", () => {
    it("are listed newest first, page after page, live ones alone, and no other entry's", async () => {
      const store = await alone();
      const { entry } = await withHistory(store, 12);
      const neighbour = newEntry(entry.vaultId);
      await set(store, newVersion(neighbour, 99), "another's");
      await set(store, newVersion(entry, 7), null);
      const listed: number[] = [];
      for (let before: number | undefined; ; before = listed.at(-1)) {
        const page = await store.read((r) => r.rows.versions(entry.vaultId, entry.entryId, before, 5));
        if (page.length === 0) break;
        listed.push(...numbers(page));
      }
      expect(listed).toEqual([12, 11, 10, 9, 8, 6, 5, 4, 3, 2, 1]);
      expect(
        await store.read((r) => r.rows.versions(newVault().vaultId, entry.entryId, undefined, 5)),
      ).toEqual([]);
    });

    it("have a newest one, by its number, and none is 0", async () => {
      const store = await alone();
      const { entry } = await withHistory(store, 11);
      const newest = (of: Entry): Promise<number> =>
        store.read((r) => r.rows.newestVersion(of.vaultId, of.entryId));
      expect(await newest(entry)).toBe(11);
      await set(store, newVersion(entry, 11), null);
      expect(await newest(entry)).toBe(10);
      expect(await newest(newEntry(entry.vaultId))).toBe(0);
      await set(store, newVersion(entry, 9_999_999_999), "the last there can be");
      expect(await newest(entry)).toBe(9_999_999_999);
    });

    it("of a whole vault, and its entries, are gone through in slices by their ids", async () => {
      const store = await alone();
      const { vault, keys } = await fill(store, 3);
      const entries = keys.filter((key) => key.kind === "entry");
      for (const entry of entries) for (const n of [2, 1]) await set(store, newVersion(entry, n), "x");
      await withHistory(store, 2);
      const [first] = entries;
      if (first) await set(store, newVersion(first, 1), null);
      for (const kind of ["entry", "version"] as const) {
        const found: string[] = [];
        for (let after: string | undefined; ; after = found.at(-1)) {
          const rows = await store.read((r) =>
            r.rows.vaultRows(vault.vaultId, kind, after as EntryId | undefined, 2),
          );
          if (rows.length === 0) break;
          found.push(...rows.map(({ key }) => itemOf(key)));
        }
        expect(found).toHaveLength(kind === "entry" ? 3 : 5);
        expect(found).toEqual(found.toSorted());
      }
    });

    it("are left of a deleted vault until they are buried too", async () => {
      const store = await alone();
      const { vault, entry } = await withHistory(store, 2);
      await set(store, vault, null);
      const keys = [entry, newVersion(entry, 1), newVersion(entry, 2)];
      expect(new Set(await store.read((r) => r.rows.orphans(10)))).toEqual(new Set(keys));
      for (const key of keys) await set(store, key, null);
      expect(await store.read((r) => r.rows.orphans(10))).toEqual([]);
    });
  });

  describe("a row of an earlier version", () => {
    it("goes to a backup with its vault in front, is in the digest, and is still there when the store is opened again", async () => {
      const { primary, backup } = await pair();
      const { vault, entry } = await withHistory(primary, 1);
      await drain(primary, backup);
      const before = (await primary.read((r) => r.site.record())).head.position;
      await set(primary, newVersion(entry, 2), "x");
      const { rows } = await primary.read((r) => r.replication.listAbove(before, batch));
      expect(rows.map(({ key }) => key)).toEqual([vault, newVersion(entry, 2)]);
      await drain(primary, backup);
      expect((await backup.read((r) => r.site.digest())).digest).toEqual(
        (await primary.read((r) => r.site.digest())).digest,
      );
      const again = await reopen(backup);
      expect(shared(await allRows(again))).toEqual(shared(await allRows(primary)));
      expect(
        numbers(await again.read((r) => r.rows.versions(entry.vaultId, entry.entryId, undefined, 5))),
      ).toEqual([2, 1]);
    });

    it("is dirty, counted, and held back by a peer that refuses it, like any other", async () => {
      const { primary } = await pair();
      const { entry } = await withHistory(primary, 1);
      const head = (await primary.read((r) => r.site.record())).head.position;
      const row = await set(primary, newVersion(entry, 2), "x");
      expect(row.dirty).toBe(true);
      const { rows, through } = await primary.read((r) => r.replication.listAbove(head, batch, zurich));
      const rejected = [{ ...row, code: "row_malformed" as const }];
      await primary.acknowledgements.take(zurich, { through, rows, rejected, verified: null });
      expect(await primary.read((r) => r.replication.backlog(zurich))).toMatchObject({
        dirty: 0,
        quarantined: 1,
      });
      const [quarantined] = await primary.read((r) =>
        r.replication.listQuarantined(zurich, { epoch: 0, seq: 0 }, 5),
      );
      expect(quarantined?.key).toEqual(row.key);
    });

    it("is found by a repair that lists its bucket a few rows at a time, and put in place", async () => {
      const { primary, backup } = await pair();
      const vault = newVault();
      const entry = newEntry(vault.vaultId);
      const keys = Array.from({ length: 600 }, (_, index) => newVersion(entry, index + 1));
      await primary.transact((tx) => tx.rows.write(putAll([vault, entry, ...keys], "x")));
      await drain(primary, backup);
      const bucket = bucketOf(sha256Hash, keys[0] ?? vault);
      const listed = await listBucket(primary, bucket, 1);
      expect(listed.map(({ key }) => key)).toContainEqual(keys[0]);
      const sql = "UPDATE rows SET body = ? WHERE kind = 'version' AND item_id = ?";
      await behind(backup, sql, Uint8Array.of(1), versionIdOf(entry.entryId, 1));
      const guard = await guardOf({ primary, backup });
      await backup.transact((tx) => tx.repair.apply(guard, [], keys.slice(3, 5)));
      await repair({ primary, backup });
      expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
    });
  });

  describe("a version that was put aside", () => {
    const far = { epoch: 1, seq: 90 };

    it("is struck where the entry has or had the same body here, under whatever number, and stranded otherwise", async () => {
      const store = await alone();
      const { entry } = await withHistory(store, 3);
      const decide = (version: number, text: string): Promise<readonly string[]> =>
        store.transact((tx) => tx.aside.take([asideOf(rowAt(newVersion(entry, version), text, far))]));
      expect(await decide(2, "now")).toEqual(["struck"]);
      expect(await decide(9, "at 1")).toEqual(["struck"]);
      expect(await decide(2, "something else")).toEqual(["stranded"]);
      await set(store, newVersion(entry, 1), null);
      expect(await decide(8, "at 1")).toEqual(["stranded"]);
      const other = newVersion(newEntry(entry.vaultId), 1);
      expect(await store.transact((tx) => tx.aside.take([asideOf(rowAt(other, "at 2", far))]))).toEqual([
        "stranded",
      ]);
    });

    it("is struck where its entry was purged: what is purged never comes back", async () => {
      const store = await alone();
      const { entry } = await withHistory(store, 1);
      await set(store, entry, null);
      expect(
        await store.transact((tx) => tx.aside.take([asideOf(rowAt(newVersion(entry, 4), "x", far))])),
      ).toEqual(["struck"]);
    });

    it("is purged with its entry, in whatever order the purges come, and by nothing else", async () => {
      for (const isEntryFirst of [true, false]) {
        const store = await alone();
        const { entry } = await withHistory(store, 2);
        const fork = (await store.read((r) => r.site.record())).head.position;
        const purges = [entry, newVersion(entry, 1)].map((key) => asideOf(rowAt(key, null, far), fork));
        const verdicts = await store.transact((tx) =>
          tx.aside.take(isEntryFirst ? purges : purges.toReversed()),
        );
        expect(verdicts.toSorted()).toEqual(["applied", "struck"]);
        expect((await store.read((r) => r.rows.row(entry)))?.body).toBeNull();
        expect(await store.read((r) => r.rows.newestVersion(entry.vaultId, entry.entryId))).toBe(0);
      }
      const store = await alone();
      const { entry } = await withHistory(store, 1);
      const fork = (await store.read((r) => r.site.record())).head.position;
      const purge = asideOf(rowAt(newVersion(entry, 1), null, far), fork);
      expect(await store.transact((tx) => tx.aside.take([purge]))).toEqual(["struck"]);
      expect((await store.read((r) => r.rows.row(newVersion(entry, 1))))?.body).not.toBeNull();
    });

    it("comes home with a site that was alone: what the winner has under another number is not told of", async () => {
      const { primary, backup } = await pair();
      const { entry } = await withHistory(primary, 0);
      await drain(primary, backup);
      const common = (await backup.read((r) => r.site.record())).head;
      // The state before, then the one after, as an edit writes them.
      await set(primary, newVersion(entry, 1), "now");
      await set(primary, entry, "alone");
      await backup.transact((tx) => tx.roles.promote());
      const epoch = (await backup.read((r) => r.site.record())).epoch;
      await primary.transact((tx) => tx.site.recordEpoch(epoch));
      await comeHome(backup, primary, common);
      const { rows } = await primary.read((r) => r.aside.waiting(10));
      expect(rows.map(({ key }) => key.kind).toSorted()).toEqual(["entry", "version"]);
      const verdicts = await backup.transact((tx) =>
        tx.aside.take(rows.toSorted((a, b) => a.position.seq - b.position.seq)),
      );
      expect(verdicts).toEqual(["struck", "stranded"]);
    });
  });
}

function itemOf(key: RowKey): string {
  if (key.kind === "entry") return key.entryId;
  if (key.kind === "version") return key.versionId;
  throw new Error(`a ${key.kind} is neither entry nor version`);
}
