import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { bucketCount, bucketOf } from "../../src/core/digest.ts";
import type { RealmId } from "../../src/core/ids.ts";
import { origin } from "../../src/core/position.ts";
import { wireKeyOf } from "../../src/core/push.ts";
import type { RowSummary } from "../../src/core/repair.ts";
import { formatKey, hashRow, isIntact, type Row, type RowKey } from "../../src/core/row.ts";
import type { RepairGuard } from "../../src/core/store/repair.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import {
  entryId,
  expectTrueDigest,
  flipBody,
  flipHash,
  guardOf,
  listBucket,
  type Pair,
  repair,
} from "./repair-driver.ts";
import {
  allRows,
  batch,
  calgary,
  drain,
  expectApplied,
  fill,
  fillAtOnce,
  geneva,
  newAccess,
  newVault,
  pushOf,
  type StoreUnderTest,
  set,
  shared,
  zurich,
} from "./store-harness.ts";

/** A row as it would stand at a position, whatever made it. */
function rowAt(key: RowKey, text: string | null, seq: number): Row {
  const body = text === null ? null : utf8(text);
  return { key, position: { epoch: 1, seq }, hash: hashRow(sha256Hash, body), body };
}

async function listAll(store: Store, limit: number): Promise<readonly RowSummary[]> {
  const listed: RowSummary[] = [];
  for (let bucket = 0; bucket < bucketCount; bucket += 1)
    listed.push(...(await listBucket(store, bucket, limit)));
  return listed;
}

/** Finding out what two sites hold, and making one as the other. */
export function repairContract({ open, reopen, behind, threadedRuns }: StoreUnderTest): void {
  const alone = async (): Promise<Store> =>
    open({ site: calgary, role: "primary", clock: new VirtualClock() });

  const pair = async (entries = 4): Promise<Pair & { keys: readonly RowKey[] }> => {
    const primary = await alone();
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    const backup = await open({ site: zurich, role: "backup", clock: new VirtualClock() });
    const { keys } = await fillAtOnce(primary, entries);
    await drain(primary, backup);
    return { primary, backup, keys };
  };

  describe("the rows of a bucket", () => {
    it("are listed once, page after page, each with whether it is intact", async () => {
      const store = await alone();
      const { vault, keys } = await fillAtOnce(store, 600);
      await set(store, newAccess(vault.vaultId), "token");
      await set(store, keys[1] ?? vault, null);
      await behind(store, flipBody, entryId(keys[0]));
      const stored = await allRows(store);
      for (const limit of [1, 2, 1_000]) {
        const listed = await listAll(store, limit);
        const names = listed.map(({ key }) => formatKey(key));
        expect(names.toSorted()).toEqual(stored.map(({ key }) => formatKey(key)).toSorted());
        expect(listed.filter(({ isIntact: intact }) => !intact).map(({ key }) => key)).toEqual([keys[0]]);
      }
      const [first] = await store.survey.bucketRows(bucketOf(sha256Hash, vault), null, 1);
      expect(first).toMatchObject({ key: vault, position: { epoch: 1, seq: 1 }, isIntact: true });
    });

    it("are listed whole where there are many or large ones of them, and others work in between", async () => {
      const store = await alone();
      const { keys } = await fillAtOnce(store, 450);
      for (const key of keys.slice(0, 5)) await set(store, key, "x".repeat(600_000));
      await behind(store, "UPDATE rows SET bucket = 7 WHERE kind = 'entry'");
      const listing = store.survey.bucketRows(7, null, 1_000);
      let isListed = false;
      void listing.then(() => {
        isListed = true;
      });
      await store.transact((tx) => tx.alerts.add("test", "", "meanwhile", {}));
      expect(isListed).toBe(false);
      expect((await listing).map(({ key }) => key)).toEqual(keys);
      expect(await listBucket(store, 7, 300)).toEqual(await listing);
    });

    it("are found by their keys, damaged or not, where they are there", async () => {
      const store = await alone();
      const { vault, keys } = await fill(store, 2);
      await behind(store, flipBody, entryId(keys[0]));
      const rows = await store.read((r) => r.repair.rowsOf([...keys, newVault(), vault]));
      expect(rows.map(({ key }) => key)).toEqual([...keys, vault]);
      expect(rows.map((row) => isIntact(sha256Hash, row))).toEqual([false, true, true]);
    });
  });

  describe("a repair of a backup", () => {
    it("puts rows in place whatever stood there, and keeps what it replaced", async () => {
      const { primary, backup, keys } = await pair();
      const before = await backup.read((r) => r.repair.rowsOf(keys));
      const [older, newer] = [
        rowAt(keys[0] ?? newVault(), "older", 1),
        rowAt(keys[1] ?? newVault(), "newer", 5),
      ];
      const unknown = rowAt(newVault(), "unknown", 4);
      const { head } = await backup.read((r) => r.site.record());
      const guard = await guardOf({ primary, backup });
      const outcome = await backup.transact((tx) => tx.repair.apply(guard, [older, newer, unknown], []));
      expect(outcome).toMatchObject({ kind: "applied", replaced: 3, removed: 0, refused: 0 });
      expect(await backup.read((r) => r.repair.rowsOf([older.key, newer.key, unknown.key]))).toEqual([
        older,
        newer,
        unknown,
      ]);
      expect((await backup.read((r) => r.site.record())).head).toEqual(head);
      await expectTrueDigest(backup);
      const { rows, waiting } = await backup.read((r) => r.aside.waiting(10));
      expect(waiting).toBe(2);
      expect(shared(rows as never).toSorted(byName)).toEqual(before.slice(0, 2).toSorted(byName));
      for (const row of rows) expect(row).toMatchObject({ fork: head.position, site: zurich });
    });

    it("removes rows, keeps what was intact of them, and nothing of what is not there", async () => {
      const { primary, backup, keys } = await pair();
      await behind(backup, flipBody, entryId(keys[0]));
      const remove = [...keys.slice(0, 2), newVault()];
      const guard = await guardOf({ primary, backup });
      const outcome = await backup.transact((tx) => tx.repair.apply(guard, [], remove));
      expect(outcome).toMatchObject({ replaced: 0, removed: 2 });
      expect(await backup.read((r) => r.repair.rowsOf(remove))).toEqual([]);
      expect((await backup.read((r) => r.aside.waiting(10))).rows.map(({ key }) => key)).toEqual([keys[1]]);
    });

    it("changes nothing where everything is there, and mends in place what was flipped", async () => {
      const { primary, backup, keys } = await pair();
      await behind(backup, flipBody, entryId(keys[0]));
      const rows = await primary.read((r) => r.repair.rowsOf(keys));
      const guard = await guardOf({ primary, backup });
      expect(await backup.transact((tx) => tx.repair.apply(guard, rows, []))).toMatchObject({
        replaced: 1,
        removed: 0,
      });
      expect(await backup.transact((tx) => tx.repair.apply(guard, rows, []))).toMatchObject({
        replaced: 0,
        removed: 0,
      });
      expect(await backup.read((r) => r.repair.rowsOf(keys))).toEqual(rows);
      expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(0);
    });

    it("takes no row that fails its own hash or is too large, and all others", async () => {
      const { primary, backup, keys } = await pair();
      const [wrong, right] = await primary.read((r) => r.repair.rowsOf(keys));
      if (!wrong || !right) throw new Error("no rows");
      const large = rowAt(newVault(), "x".repeat(1024 * 1024 + 1), 3);
      const rows = [{ ...wrong, hash: right.hash, body: utf8("x") }, large, rowAt(right.key, "y", 3)];
      const guard = await guardOf({ primary, backup });
      const outcome = await backup.transact((tx) => tx.repair.apply(guard, rows, []));
      expect(outcome).toMatchObject({ replaced: 1, refused: 2 });
      expect(await backup.read((r) => r.repair.rowsOf([wrong.key]))).toEqual([wrong]);
    });

    it("ends the rejection of a row that it puts in place", async () => {
      const { primary, backup } = await pair();
      const key = newVault();
      const row = await set(primary, key, "x");
      const after = (await backup.read((r) => r.site.record())).head.position;
      const listing = await primary.read((r) => r.replication.listAbove(after, batch));
      const bad = { kind: "row" as const, row: { ...row, hash: new Uint8Array(32) } };
      const push = await pushOf(primary, { ...listing, digest: null }, { rows: [bad] });
      expect(
        expectApplied(await backup.transact((tx) => tx.replication.applyPush(push))).rejected,
      ).toMatchObject([{ key: wireKeyOf(key) }]);
      const guard = await guardOf({ primary, backup });
      await backup.transact((tx) => tx.repair.apply(guard, [row], []));
      const next = await pushOf(
        primary,
        await primary.read((r) => r.replication.listAbove(row.position, batch)),
      );
      expect(expectApplied(await backup.transact((tx) => tx.replication.applyPush(next))).rejected).toEqual(
        [],
      );
    });

    it("is refused where the two do not stand as the sender believes, and changes nothing", async () => {
      const { primary, backup, keys } = await pair();
      const guard = await guardOf({ primary, backup });
      const { from } = guard;
      const lower = { number: 0, id: "" };
      const wrong: readonly [RepairGuard, string][] = [
        [{ ...guard, from: { ...from, realm: "another" as RealmId, epoch: lower } }, "other_realm"],
        [{ ...guard, from: { ...from, site: geneva } }, "other_primary"],
        [{ ...guard, from: { ...from, epoch: lower } }, "stale_epoch"],
        [{ ...guard, at: origin }, "resume"],
        [{ ...guard, at: { ...guard.at, chain: new Uint8Array(32) } }, "resume"],
        [{ ...guard, from: { ...from, epoch: { number: 2, id: "two" } } }, "resume"],
        // The last one told of a higher epoch, after which the first is none any more.
        [guard, "stale_epoch"],
      ];
      const before = await allRows(backup);
      for (const [changed, code] of wrong) {
        expect((await backup.transact((tx) => tx.repair.judge(changed))).code).toBe(code);
        const outcome = await backup.transact((tx) =>
          tx.repair.apply(changed, [rowAt(newVault(), "x", 1)], keys),
        );
        expect(outcome).toMatchObject({ kind: "refused", code });
      }
      expect((await backup.read((r) => r.site.record())).epochSeen).toEqual({ number: 2, id: "two" });
      expect(await allRows(backup)).toEqual(before);
    });

    it("is refused by a primary and by an empty backup, and allowed where all is as named", async () => {
      const { primary, backup } = await pair();
      const guard = await guardOf({ primary, backup });
      expect(await backup.transact((tx) => tx.repair.judge(guard))).toMatchObject({
        code: undefined,
        receiver: { site: zurich },
      });
      expect((await primary.transact((tx) => tx.repair.judge(guard))).code).toBe("not_a_backup");
      const empty = await open({ site: zurich, role: "backup", clock: new VirtualClock() });
      expect((await empty.transact((tx) => tx.repair.judge({ ...guard, at: origin }))).code).toBe(
        "other_realm",
      );
      expect((await empty.read((r) => r.site.record())).epochSeen.number).toBe(0);
    });

    it("repeated after a restart, as when its answer was lost, puts nothing aside twice", async () => {
      const { primary, backup, keys } = await pair();
      await set(primary, keys[0] ?? newVault(), "changed");
      const rows = [rowAt(keys[1] ?? newVault(), "older", 1)];
      const guard = await guardOf({ primary, backup });
      await backup.transact((tx) => tx.repair.apply(guard, rows, [keys[2] ?? newVault()]));
      const aside = await backup.read((r) => r.aside.waiting(10));
      const again = await reopen(backup);
      expect(
        await again.transact((tx) => tx.repair.apply(guard, rows, [keys[2] ?? newVault()])),
      ).toMatchObject({
        replaced: 0,
        removed: 0,
      });
      expect(await again.read((r) => r.aside.waiting(10))).toEqual(aside);
      expect(aside.waiting).toBe(2);
    });

    it("of hundreds of rows is applied whole", async () => {
      const { primary, backup } = await pair(450);
      await behind(backup, "DELETE FROM rows WHERE kind = 'entry'");
      expect(await repair({ primary, backup })).toEqual({ replaced: 450, removed: 0, healed: 0 });
      expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
    });
  });

  describe("a healing of a primary", () => {
    it("takes the peer's intact row where its own was flipped, in body or hash, and nothing else changes", async () => {
      const { primary, backup, keys } = await pair();
      await set(primary, keys[0] ?? newVault(), "changed");
      const before = await allRows(primary);
      const { head, digest } = await primary.read((r) => r.site.digest());
      await drain(primary, backup);
      await behind(primary, flipBody, entryId(keys[0]));
      await behind(primary, flipHash, entryId(keys[1]));
      expect(await repair({ primary, backup })).toEqual({ replaced: 0, removed: 0, healed: 2 });
      expect(shared(await allRows(primary))).toEqual(shared(before));
      expect(await primary.read((r) => r.site.digest())).toEqual({ head, digest });
    });

    it("leaves marks as they were", async () => {
      const { primary, backup, keys } = await pair();
      const rows = await backup.read((r) => r.repair.rowsOf(keys));
      await primary.transact((tx) => tx.replication.resumeFrom(zurich, origin, []));
      await primary.transact((tx) => tx.replication.markDirtyAbove(null, 100));
      await behind(primary, flipBody, entryId(keys[0]));
      const marked = await primary.read((r) => r.rows.row(keys[0] ?? newVault()));
      expect(await primary.transact((tx) => tx.repair.heal(rows))).toBe(1);
      const { dirty, dirtySince, replicatedAt } = marked ?? {};
      expect(await primary.read((r) => r.rows.row(keys[0] ?? newVault()))).toEqual({
        ...rows[0],
        dirty,
        dirtySince,
        replicatedAt,
      });
      expect(dirty).toBe(true);
    });

    it("touches no intact row, none of another position, and nothing on a backup", async () => {
      const { primary, backup, keys } = await pair();
      const [first, second] = await backup.read((r) => r.repair.rowsOf(keys));
      if (!first || !second) throw new Error("no rows");
      await behind(primary, flipBody, entryId(keys[0]));
      await behind(backup, flipBody, entryId(keys[0]));
      const elsewhere = rowAt(first.key, "x", 90);
      const damaged = { ...first, body: utf8("x") };
      const forged = rowAt(second.key, "forged", second.position.seq);
      expect(
        await primary.transact((tx) =>
          tx.repair.heal([elsewhere, damaged, forged, rowAt(newVault(), "x", 1)]),
        ),
      ).toBe(0);
      expect(await backup.transact((tx) => tx.repair.heal([first]))).toBe(0);
      expect(await primary.transact((tx) => tx.repair.heal([first]))).toBe(1);
    });
  });

  describe("two sites however different", () => {
    it("are made equal, and every intact row that went is kept", async () => {
      const damage = fc.record({
        row: fc.nat(5),
        how: fc.constantFrom("lost", "older", "other", "body", "hash") as fc.Arbitrary<Damage>,
        where: fc.constantFrom("primary", "backup") as fc.Arbitrary<"primary" | "backup">,
      });
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(damage, { selector: ({ row }) => row, maxLength: 6 }),
          async (damages) => {
            const { primary, backup, keys } = await pair(6);
            for (const { row, how, where } of damages) {
              await damageRow({ primary, backup }[where], entryId(keys[row]), how);
            }
            const rows = [...(await allRows(backup))];
            await repair({ primary, backup });
            expect(shared(await allRows(backup)).toSorted(byName)).toEqual(
              shared(await allRows(primary)).toSorted(byName),
            );
            expect(await backup.read((r) => r.site.digest())).toEqual(
              await primary.read((r) => r.site.digest()),
            );
            expect((await allRows(backup)).every((row) => isIntact(sha256Hash, row))).toBe(true);
            const kept = new Set(
              [...(await backup.read((r) => r.aside.waiting(100))).rows, ...(await allRows(backup))].map(
                identityOf,
              ),
            );
            const lost = rows.filter((row) => isIntact(sha256Hash, row) && !kept.has(identityOf(row)));
            expect(lost).toEqual([]);
          },
        ),
        { numRuns: threadedRuns },
      );
    });
  });

  type Damage = "lost" | "older" | "other" | "body" | "hash";

  async function damageRow(store: Store, id: string, how: Damage): Promise<void> {
    const other = utf8("other");
    switch (how) {
      case "lost":
        return behind(store, "DELETE FROM rows WHERE kind = 'entry' AND item_id = ?", id);
      case "older":
        return behind(store, "UPDATE rows SET seq = seq - 1 WHERE kind = 'entry' AND item_id = ?", id);
      case "other":
        return behind(
          store,
          "UPDATE rows SET body = ?, hash = ? WHERE kind = 'entry' AND item_id = ?",
          other,
          hashRow(sha256Hash, other),
          id,
        );
      case "body":
        return behind(store, flipBody, id);
      case "hash":
        return behind(store, flipHash, id);
    }
  }
}

function identityOf({ key, position, hash }: Row): string {
  return `${formatKey(key)} ${position.epoch}:${position.seq} ${hash.join()}`;
}

function byName(a: object, b: object): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
