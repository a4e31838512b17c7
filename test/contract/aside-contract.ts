import { describe, expect, it } from "vitest";
import { type AsideRow, decodeStranded, strandedIdOf } from "../../src/core/aside.ts";
import { utf8 } from "../../src/core/bytes.ts";
import type { StrandedId } from "../../src/core/ids.ts";
import { rowBodyBytesMax, type RowKey } from "../../src/core/row.ts";
import { discardStranded } from "../../src/core/stranded.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash } from "../support/ports.ts";
import { asideOf, asideSites, rowAt, strandedKey } from "./aside-sites.ts";
import { entryId, flipBody, flipHash, guardOf } from "./repair-driver.ts";
import {
  allRows,
  drain,
  geneva,
  newEntry,
  newVault,
  type StoreUnderTest,
  set,
  shared,
  zurich,
} from "./store-harness.ts";

/** That nothing which was acknowledged to a client is discarded silently (I11). */
export function asideContract({ open, reopen, behind }: StoreUnderTest): void {
  const { alone, pair, withAside } = asideSites({ open });

  describe("rows put aside", () => {
    it("are listed oldest first, so many at a time, with how many wait; also after a restart", async () => {
      const { backup, rows } = await withAside();
      expect(rows.map(({ at }) => at)).toEqual(rows.map(({ at }) => at).toSorted((a, b) => a - b));
      expect(rows.map(({ id }) => id)).toEqual(rows.map((row) => strandedIdOf(sha256Hash, row)));
      expect(await backup.read((r) => r.aside.waiting(2))).toEqual({ rows: rows.slice(0, 2), waiting: 3 });
      expect(await (await reopen(backup)).read((r) => r.aside.waiting(10))).toEqual({ rows, waiting: 3 });
    });

    it("are forgotten when struck, and wait no more when taken", async () => {
      const { primary, backup, rows } = await withAside();
      const [first, second, third] = rows.map(({ id }) => id) as [StrandedId, StrandedId, StrandedId];
      for (let times = 0; times < 2; times += 1)
        await backup.transact((tx) => tx.aside.settle([first], [second]));
      expect((await backup.read((r) => r.aside.waiting(10))).rows.map(({ id }) => id)).toEqual([third]);
      await drain(primary, backup);
      expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(1);
    });

    it("that were taken wait again at every change of reign before they came back: here, elsewhere, at coming home", async () => {
      const first = await withAside();
      await first.backup.transact((tx) =>
        tx.aside.settle(
          [],
          first.rows.map(({ id }) => id),
        ),
      );
      await first.backup.transact((tx) => tx.roles.promote());
      expect(await first.backup.read((r) => r.aside.waiting(10))).toEqual({ rows: first.rows, waiting: 3 });
      const { primary, backup, rows } = await withAside();
      await backup.transact((tx) =>
        tx.aside.settle(
          [],
          rows.map(({ id }) => id),
        ),
      );
      await primary.transact((tx) => tx.site.recordEpoch({ number: 2, id: "two" }));
      await primary.transact((tx) => tx.roles.promote());
      await drain(primary, backup);
      expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(3);
      const third = await withAside();
      await third.backup.transact((tx) =>
        tx.aside.settle(
          [],
          third.rows.map(({ id }) => id),
        ),
      );
      const { head } = await third.backup.read((r) => r.site.record());
      await third.backup.homecoming.rejoin({ epoch: { number: 9, id: "nine" }, timeline: [], common: head });
      expect((await third.backup.read((r) => r.aside.waiting(10))).waiting).toBe(3);
    });

    it("that were taken are let go when the stranded row comes, by push or by repair or before", async () => {
      const { primary, backup, rows } = await withAside();
      const [first, second, third] = rows as [AsideRow, AsideRow, AsideRow];
      // Removed on the primary too, as if it had never got them: its own row would strike them.
      const other = await alone();
      expect(await other.transact((tx) => tx.aside.take(rows))).toEqual(["stranded", "stranded", "stranded"]);
      const stranded = await other.read((r) => r.repair.rowsOf(rows.map(strandedKey)));
      await backup.transact((tx) => tx.aside.settle([], [first.id]));
      const guard = await guardOf({ primary, backup });
      await backup.transact((tx) => tx.repair.apply(guard, stranded.slice(0, 1), []));
      await backup.transact((tx) => tx.repair.apply(guard, stranded.slice(1, 2), []));
      await backup.transact((tx) => tx.aside.settle([], [second.id]));
      await primary.transact((tx) =>
        tx.rows.write({
          keys: [],
          decide: () => [{ key: strandedKey(third), body: stranded[2]?.body ?? null }],
        }),
      );
      await backup.transact((tx) => tx.aside.settle([], [third.id]));
      await drain(primary, backup);
      await backup.transact((tx) => tx.roles.promote());
      expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(0);
    });
  });

  it("a row put aside and taken is not let go for a purge of its key", async () => {
    const { primary, backup, rows } = await withAside();
    await backup.transact((tx) =>
      tx.aside.settle(
        [],
        rows.map(({ id }) => id),
      ),
    );
    for (const { key } of rows) await set(primary, key, null);
    await drain(primary, backup);
    await backup.transact((tx) => tx.roles.promote());
    expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(3);
  });

  describe("a purge put aside and taken", () => {
    /** A backup on which a purge was put aside, which the primary has made again and not shipped yet. */
    const withPurge = async () => {
      const { primary, backup, keys } = await pair();
      const [purged, other] = keys as [RowKey, RowKey];
      const guard = await guardOf({ primary, backup });
      await backup.transact((tx) => tx.repair.apply(guard, [rowAt(purged, null, guard.at.position)], []));
      const rows2 = await primary.read((r) => r.repair.rowsOf([purged]));
      await backup.transact((tx) => tx.repair.apply(guard, rows2, []));
      const { rows } = await backup.read((r) => r.aside.waiting(10));
      const waiting = rows.filter(({ body }) => body === null);
      await backup.transact((tx) =>
        tx.aside.settle(
          rows.filter(({ body }) => body !== null).map(({ id }) => id),
          [],
        ),
      );
      expect(await primary.transact((tx) => tx.aside.take(waiting))).toEqual(["applied"]);
      return { primary, backup, guard, other, ids: waiting.map(({ id }) => id) };
    };

    it("waits again where only another row's purge has come", async () => {
      const { primary, backup, guard, other, ids } = await withPurge();
      await backup.transact((tx) => tx.aside.settle([], ids));
      await set(primary, other, null);
      const rows = await primary.read((r) => r.repair.rowsOf([other]));
      await backup.transact((tx) => tx.repair.apply(guard, rows, []));
      const waitingIds = async () => (await backup.read((r) => r.aside.waiting(10))).rows.map(({ id }) => id);
      expect(await waitingIds()).not.toContain(ids[0]);
      await backup.transact((tx) => tx.roles.promote());
      expect(await waitingIds()).toContain(ids[0]);
    });

    it("is let go when the purge that was made again comes, also where that was here before", async () => {
      for (const isBefore of [true, false]) {
        const { primary, backup, ids } = await withPurge();
        if (!isBefore) await backup.transact((tx) => tx.aside.settle([], ids));
        await drain(primary, backup);
        if (isBefore) await backup.transact((tx) => tx.aside.settle([], ids));
        await backup.transact((tx) => tx.roles.promote());
        expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(0);
      }
    });
  });

  describe("a primary strikes a row that was put aside", () => {
    const decide = async (store: Store, ...rows: AsideRow[]): Promise<readonly string[]> => {
      const before = await store.read((r) => r.site.record());
      const verdicts = await store.transact((tx) => tx.aside.take(rows));
      const changed = verdicts.filter((verdict) => verdict !== "struck").length;
      expect((await store.read((r) => r.site.record())).head.position.seq).toBe(
        before.head.position.seq + changed,
      );
      return verdicts;
    };

    it("where it has that very row", async () => {
      const store = await alone();
      const row = await set(store, newVault(), "x");
      expect(await decide(store, asideOf(row))).toEqual(["struck"]);
      expect(await decide(store, asideOf(rowAt(row.key, "y", row.position)))).toEqual(["stranded"]);
    });

    it("where it has that very row and a bit of its body or of its stored hash has flipped", async () => {
      for (const flip of [flipBody, flipHash]) {
        const { primary, keys } = await pair();
        const key = keys.find(({ kind }) => kind === "entry");
        const [row] = await primary.read((r) => r.repair.rowsOf(key ? [key] : []));
        if (!row) throw new Error("the primary holds no entry");
        await behind(primary, flip, entryId(key));
        // It came to this row on another chain, as a site does that was promoted before it was proved.
        await behind(primary, "DELETE FROM history");
        expect(await decide(primary, asideOf(row))).toEqual(["struck"]);
      }
    });

    it("where its history went through that change, and a later state of the row is here", async () => {
      const store = await alone();
      const first = await set(store, newVault(), "first");
      const second = await set(store, first.key, "second");
      await set(store, first.key, "third");
      expect(await decide(store, asideOf(first), asideOf(second))).toEqual(["struck", "struck"]);
      const forged = rowAt(first.key, "forged", second.position);
      const elsewhere = { ...second, key: newVault() };
      expect(await decide(store, asideOf(forged), asideOf(elsewhere))).toEqual(["stranded", "stranded"]);
    });

    it("also where that change was the first of a reign", async () => {
      const { backup } = await pair();
      const { epoch } = await backup.transact((tx) => tx.roles.promote());
      const first = await set(backup, newVault(), "first of its reign");
      await set(backup, first.key, "later");
      expect(first.position.epoch).toBe(epoch.number);
      expect(await decide(backup, asideOf(first))).toEqual(["struck"]);
    });

    it("and by whatever it was written over, once that is told by a push", async () => {
      const { primary, backup } = await pair();
      const passed = await set(primary, newVault(), "passed");
      await set(primary, passed.key, "last");
      await drain(primary, backup);
      await backup.transact((tx) => tx.roles.promote());
      expect(await decide(backup, asideOf(passed))).toEqual(["struck"]);
    });

    it("but not what it never got, though its history went through that change", async () => {
      const { primary, backup, keys } = await pair();
      const [lost] = await primary.read((r) => r.repair.rowsOf(keys.slice(0, 1)));
      if (!lost) throw new Error("no row");
      const fork = (await backup.read((r) => r.site.record())).head;
      await set(primary, lost.key, "alone");
      await backup.transact((tx) => tx.roles.promote());
      const epoch2 = (await backup.read((r) => r.site.record())).epoch;
      await primary.transact((tx) => tx.site.recordEpoch(epoch2));
      const winner = {
        epoch: (await backup.read((r) => r.site.record())).epoch,
        timeline: await backup.read((r) => r.site.timeline()),
        common: fork,
      };
      await primary.homecoming.rejoin(winner);
      // Promoted again before the winner could fill what the rejoin left open.
      await primary.transact((tx) => tx.roles.promote());
      expect(await primary.read((r) => r.rows.row(lost.key))).toBeUndefined();
      expect(await decide(primary, asideOf(lost))).toEqual(["stranded"]);
    });

    it("where it knows the row to be stranded, or to have been settled", async () => {
      const store = await alone();
      const row = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 }));
      expect(await decide(store, row, row)).toEqual(["stranded", "struck"]);
      await store.transact((tx) => tx.rows.write(discardStranded([strandedKey(row)])));
      expect(await decide(store, { ...row, site: zurich, at: 5 })).toEqual(["struck"]);
      expect((await store.read((r) => r.aside.stranded(null, 10))).total).toBe(0);
    });
  });

  describe("a purge that was put aside", () => {
    const far = { epoch: 1, seq: 90 };

    it("is made again where the row has not changed since, or is not known", async () => {
      const store = await alone();
      const row = await set(store, newVault(), "x");
      const unknown = newEntry(newVault().vaultId);
      const rows = [asideOf(rowAt(row.key, null, far), row.position), asideOf(rowAt(unknown, null, far))];
      expect(await store.transact((tx) => tx.aside.take(rows))).toEqual(["applied", "applied"]);
      for (const key of [row.key, unknown])
        expect((await store.read((r) => r.rows.row(key)))?.body).toBeNull();
      expect(await store.transact((tx) => tx.aside.take(rows))).toEqual(["struck", "struck"]);
    });

    it("is stranded where the row was changed after the fork, and struck where it was purged", async () => {
      const store = await alone();
      const changed = await set(store, newVault(), "x");
      const purged = await set(store, newVault(), null);
      const rows = [asideOf(rowAt(changed.key, null, far)), asideOf(rowAt(purged.key, null, far))];
      expect(await store.transact((tx) => tx.aside.take(rows))).toEqual(["stranded", "struck"]);
      expect((await store.read((r) => r.rows.row(changed.key)))?.body).toEqual(utf8("x"));
      const [{ body } = { body: null }] = (await store.read((r) => r.aside.stranded(null, 10))).rows;
      expect(decodeStranded(body ?? new Uint8Array()).row.body).toBeNull();
    });
  });

  describe("what a primary takes of rows put aside", () => {
    it("are changes of its own: positions, marks, digest; and every backup gets them", async () => {
      const { primary, backup } = await pair();
      const { head } = await primary.read((r) => r.site.record());
      const rows = ["a", "b"].map((text) => asideOf(rowAt(newVault(), text, { epoch: 1, seq: 90 })));
      await primary.transact((tx) => tx.aside.take(rows));
      const { rows: stranded, total } = await primary.read((r) => r.aside.stranded(null, 10));
      expect(total).toBe(2);
      for (const row of rows) {
        const found = stranded.find(({ key }) => key.kind === "stranded" && key.strandedId === row.id);
        expect(found).toMatchObject({ key: strandedKey(row), dirty: true });
        const { key, position, hash, body } = row;
        expect(decodeStranded(found?.body ?? new Uint8Array())).toEqual({
          row: { key, position, hash, body },
          site: geneva,
          at: 1_000,
        });
      }
      expect((await primary.read((r) => r.site.record())).head.position.seq).toBe(head.position.seq + 2);
      await drain(primary, backup);
      expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
      expect(await backup.read((r) => r.aside.stranded(null, 10))).toMatchObject({ total: 2 });
      expect(
        (await primary.read((r) => r.replication.peers())).find(({ site }) => site === zurich)?.diverged,
      ).toBe(false);
    });

    it("are one row of each identity, whoever put it aside and in whatever order", async () => {
      const store = await alone();
      const row = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 }));
      const again = { ...row, site: zurich, at: 7, fork: { epoch: 1, seq: 3 } };
      expect(await store.transact((tx) => tx.aside.take([row, again]))).toEqual(["stranded", "struck"]);
      const reopened = await reopen(store);
      expect(await reopened.transact((tx) => tx.aside.take([again, row]))).toEqual(["struck", "struck"]);
      expect((await reopened.read((r) => r.aside.stranded(null, 10))).total).toBe(1);
    });

    it("bear the name that follows from the row, whatever name they came under", async () => {
      const store = await alone();
      const row = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 }));
      await store.transact((tx) =>
        tx.aside.take([{ ...row, id: "00000000-0000-8000-8000-000000000000" as StrandedId }]),
      );
      expect(await store.read((r) => r.aside.strandedById(row.id))).toBeDefined();
    });

    it("of stranded rows stay under their own names, and their settling settles them here", async () => {
      const [first, second] = [await alone(), await alone()];
      const row = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 }));
      await first.transact((tx) => tx.aside.take([row]));
      const [live] = await first.read((r) => r.repair.rowsOf([strandedKey(row)]));
      if (!live) throw new Error("not stranded");
      const aside = asideOf(live);
      expect(aside.id).toBe(row.id);
      expect(await second.transact((tx) => tx.aside.take([aside, aside, row]))).toEqual([
        "stranded",
        "struck",
        "struck",
      ]);
      expect((await second.read((r) => r.aside.strandedById(row.id)))?.body).toEqual(live.body);
      await first.transact((tx) => tx.rows.write(discardStranded([strandedKey(row)])));
      const [settled] = await first.read((r) => r.repair.rowsOf([strandedKey(row)]));
      if (!settled) throw new Error("no tombstone");
      expect(
        await second.transact((tx) => tx.aside.take([asideOf(settled), asideOf(settled), aside])),
      ).toEqual(["applied", "struck", "struck"]);
      expect((await second.read((r) => r.aside.strandedById(row.id)))?.body).toBeNull();
    });

    it("of a site's own are what it put aside before its promotion", async () => {
      const { backup, rows } = await withAside();
      await backup.transact((tx) => tx.roles.promote());
      expect(await backup.transact((tx) => tx.aside.take(rows))).toEqual([
        "stranded",
        "stranded",
        "stranded",
      ]);
      await backup.transact((tx) =>
        tx.aside.settle(
          [],
          rows.map(({ id }) => id),
        ),
      );
      expect((await backup.read((r) => r.aside.waiting(10))).waiting).toBe(0);
      expect((await backup.read((r) => r.aside.stranded(null, 10))).total).toBe(3);
    });

    it("may be of the largest size: every backup takes the stranded row too, and hands it back as it was", async () => {
      const { primary, backup } = await pair();
      const largest = rowAt(newVault(), "x".repeat(rowBodyBytesMax), { epoch: 1, seq: 90 });
      expect(await primary.transact((tx) => tx.aside.take([asideOf(largest)]))).toEqual(["stranded"]);
      await drain(primary, backup);
      expect(await backup.read((r) => r.replication.rejections())).toEqual([]);
      const [stranded] = (await backup.read((r) => r.aside.stranded(null, 1))).rows;
      expect(decodeStranded(stranded?.body ?? new Uint8Array()).row).toEqual(largest);
    });

    it("where a stranded row cannot be read: it is kept as it is, by every site, and holds up none behind it", async () => {
      const { primary, backup } = await pair();
      const { vaultId } = newVault();
      const rows = ["", "{}", "no json\nx"].map((text, n) => {
        const strandedId = `00000000-0000-8000-8000-00000000000${n}` as StrandedId;
        return asideOf(rowAt({ kind: "stranded", vaultId, strandedId }, text, { epoch: 1, seq: 90 }));
      });
      const behind = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 91 }));
      const all = [...rows, behind];
      expect(await primary.transact((tx) => tx.aside.take(all))).toEqual(all.map(() => "stranded"));
      expect(await primary.transact((tx) => tx.aside.take(all))).toEqual(all.map(() => "struck"));
      await drain(primary, backup);
      expect(await backup.read((r) => r.replication.rejections())).toEqual([]);
      for (const { id, body } of rows)
        expect((await backup.read((r) => r.aside.strandedById(id)))?.body).toEqual(body);
      expect((await backup.read((r) => r.aside.stranded(null, 10))).total).toBe(4);
    });

    it("is nothing on a backup or a fenced primary", async () => {
      const { primary, backup } = await pair();
      const row = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 }));
      await expect(backup.transact((tx) => tx.aside.take([row]))).rejects.toMatchObject({
        code: "read_only_backup",
      });
      await primary.transact((tx) => tx.roles.grant(zurich));
      await expect(primary.transact((tx) => tx.aside.take([row]))).rejects.toMatchObject({
        code: "site_fenced",
      });
    });

    it("may be hundreds in one transaction", async () => {
      const store = await alone();
      const rows = Array.from({ length: 450 }, (_, n) =>
        asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 + n })),
      );
      expect(await store.transact((tx) => tx.aside.take(rows))).toEqual(rows.map(() => "stranded"));
      expect((await store.read((r) => r.aside.stranded(null, 10))).total).toBe(450);
      expect((await store.survey.recount()).buckets.digest(sha256Hash)).toEqual(
        (await store.read((r) => r.site.digest())).digest,
      );
    });
  });
}
