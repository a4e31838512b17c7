import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { origin, type Point } from "../../src/core/position.ts";
import type { Push } from "../../src/core/push.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import {
  allRows,
  batch,
  calgary,
  drain,
  expectApplied,
  fill,
  geneva,
  newVault,
  pushOf,
  type StoreUnderTest,
  set,
  shared,
  zurich,
} from "./store-harness.ts";

const start = origin.position;

/** What sites know of the way that they went, and what follows from it when a role has changed. */
export function historyContract({ open, reopen }: StoreUnderTest): void {
  const pair = async (): Promise<{ primary: Store; backup: Store; clock: VirtualClock }> => {
    const clock = new VirtualClock();
    const primary = await open({ site: calgary, role: "primary", clock });
    await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
    const backup = await open({ site: zurich, role: "backup", clock });
    await backup.transact((tx) => tx.replication.configurePeers([calgary, geneva]));
    return { primary, backup, clock };
  };

  const seqs = (points: readonly Point[]): number[] => points.map(({ position }) => position.seq);

  const thirdSite = (): Promise<Store> => open({ site: geneva, role: "backup", clock: new VirtualClock() });

  describe("the points of a history", () => {
    it("are listed from a position downwards, a piece at a time, the origin last", async () => {
      const { primary } = await pair();
      await fill(primary, 4);
      const { head } = await primary.read((r) => r.site.record());
      const points = await primary.read((r) => r.site.pointsBelow(head.position, 100));
      expect(seqs(points)).toEqual([5, 4, 3, 2, 1, 0, 0]);
      expect([points[0], points.at(-1)]).toEqual([head, origin]);
      expect(seqs(await primary.read((r) => r.site.pointsBelow({ epoch: 1, seq: 3 }, 2)))).toEqual([3, 2]);
      expect(await primary.read((r) => r.site.pointsBelow(start, 2))).toEqual([origin]);
    });

    it("are known one by one: the first that this history went through is named", async () => {
      const { primary } = await pair();
      await fill(primary, 3);
      const [head, third, second] = await primary.read((r) => r.site.pointsBelow({ epoch: 1, seq: 9 }, 3));
      if (!head || !third || !second) throw new Error("no points");
      const other = { position: head.position, chain: new Uint8Array(32).fill(7) };
      expect(await primary.read((r) => r.site.firstKnown([other, third, second]))).toEqual(third);
      expect(await primary.read((r) => r.site.firstKnown([other, origin]))).toEqual(origin);
      expect(await primary.read((r) => r.site.firstKnown([other]))).toBeUndefined();
      expect(
        await (await open({ site: zurich, role: "backup", clock: new VirtualClock() })).read((r) =>
          r.site.firstKnown([other, origin]),
        ),
      ).toEqual(origin);
    });

    it("are named by a listing where they lie strictly between its ends", async () => {
      const { primary } = await pair();
      const { keys } = await fill(primary, 3);
      await set(primary, keys[0] ?? newVault(), "changed");
      const listing = await primary.read((r) => r.replication.listAbove({ epoch: 1, seq: 1 }, batch));
      expect([listing.after, ...listing.points, listing.through].map(({ position }) => position.seq)).toEqual(
        [1, 2, 3, 4, 5],
      );
      const next = await primary.read((r) => r.replication.listAbove(listing.through.position, batch));
      expect(next.points).toEqual([]);
    });

    it("are the newest 4,000 where one row was changed more often than that", async () => {
      const { primary } = await pair();
      const key = newVault();
      const changes = Array.from({ length: 4_100 }, (_, n) => ({ key, body: utf8(`${n}`) }));
      await primary.transact((tx) => tx.rows.write({ keys: [key], decide: () => changes }));
      const { points } = await primary.read((r) => r.replication.listAbove(start, batch));
      expect(seqs(points)).toEqual(Array.from({ length: 4_000 }, (_, n) => n + 100));
    });

    it("are as dense on a backup as on the primary, however few pushes it took", async () => {
      const { primary, backup } = await pair();
      const { vault, keys } = await fill(primary, 5);
      for (const key of keys) await set(primary, key, "changed");
      await drain(primary, backup);
      await set(primary, vault, "renamed");
      await drain(primary, backup);
      const { head } = await primary.read((r) => r.site.record());
      expect(await backup.read((r) => r.site.pointsBelow(head.position, 100))).toEqual(
        await primary.read((r) => r.site.pointsBelow(head.position, 100)),
      );
    });

    it("are taken from a push only where it goes: none at its ends or beyond", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 3);
      await drain(primary, backup);
      await fill(primary, 3);
      const { head } = await backup.read((r) => r.site.record());
      const listing = await primary.read((r) =>
        r.replication.listAbove(head.position, { rows: 2, bytes: 2 ** 20 }),
      );
      const strange = (seq: number): Point => ({ position: { epoch: 1, seq }, chain: new Uint8Array(32) });
      const points = [
        strange(2),
        strange(head.position.seq),
        ...listing.points,
        strange(listing.through.position.seq),
        strange(99),
      ];
      const push = await pushOf(primary, listing, { points });
      expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
      const known = await primary.read((r) => r.site.pointsBelow(listing.through.position, 100));
      expect(await backup.read((r) => r.site.pointsBelow({ epoch: 1, seq: 1_000 }, 100))).toEqual(known);
    });

    it("let a promoted backup carry on with another that stood between two of its own pushes", async () => {
      const { primary, backup } = await pair();
      const third = await thirdSite();
      await fill(primary, 3);
      await drain(primary, third);
      await fill(primary, 3);
      await drain(primary, backup);
      await backup.transact((tx) => tx.roles.promote());
      const { head } = await third.read((r) => r.site.record());
      expect(await backup.transact((tx) => tx.replication.resumeFrom(geneva, head, []))).toBe("known");
      await drain(backup, third);
      expect(shared(await allRows(third))).toEqual(shared(await allRows(backup)));
    });
  });

  describe("after a promotion", () => {
    it("a backup that went another way is foreign, and the site stays in its right", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 3);
      await drain(primary, backup);
      await backup.transact((tx) => tx.roles.promote());
      await fill(backup, 1);
      await fill(primary, 1);
      const { head: other } = await primary.read((r) => r.site.record());
      const [site, peers] = [
        await backup.read((r) => r.site.record()),
        await backup.read((r) => r.replication.peers()),
      ];
      expect(await backup.transact((tx) => tx.replication.resumeFrom(calgary, other, []))).toBe("foreign");
      expect([
        await backup.read((r) => r.site.record()),
        await backup.read((r) => r.replication.peers()),
      ]).toEqual([site, peers]);
      const ofThisEpoch = { position: { epoch: 2, seq: 99 }, chain: other.chain };
      expect(await backup.transact((tx) => tx.replication.resumeFrom(calgary, ofThisEpoch, []))).toBe(
        "unknown",
      );
      expect((await backup.read((r) => r.site.record())).fenced).toBe("primary_behind");
    });

    it("no row is marked for a peer that may hold everything, until it says what it holds", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 3);
      await drain(primary, backup);
      await backup.transact((tx) => tx.roles.promote());
      expect((await backup.transact((tx) => tx.replication.markDirtyAbove(null, 100))).marked).toBe(0);
      const changed = await set(backup, newVault(), "x");
      expect(changed.dirty).toBe(true);
      const [, half] = await primary.read((r) => r.site.pointsBelow({ epoch: 1, seq: 3 }, 2));
      expect(half && (await backup.transact((tx) => tx.replication.resumeFrom(geneva, half, [])))).toBe(
        "known",
      );
      expect((await backup.transact((tx) => tx.replication.markDirtyAbove(null, 100))).marked).toBe(2);
    });

    it("no mark is taken away while a peer is unknown", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 1);
      await drain(primary, backup);
      await backup.transact((tx) => tx.roles.promote());
      const row = await set(backup, newVault(), "x");
      const { head } = await backup.read((r) => r.site.record());
      await backup.acknowledgements.take(calgary, {
        through: head,
        rows: [row],
        rejected: [],
        verified: null,
      });
      expect((await backup.read((r) => r.rows.row(row.key)))?.dirty).toBe(true);
    });

    it("a peer that was never heard of is marked everything for, until it has answered", async () => {
      const { primary } = await pair();
      await fill(primary, 2);
      await primary.transact((tx) => tx.replication.configurePeers([]));
      await primary.transact((tx) => tx.replication.configurePeers([zurich]));
      expect((await primary.transact((tx) => tx.replication.markDirtyAbove(null, 100))).marked).toBe(3);
      await primary.transact((tx) => tx.replication.resumeFrom(zurich, origin, []));
      await primary.transact((tx) => tx.replication.configurePeers([zurich, "bern" as SiteName]));
      expect((await primary.transact((tx) => tx.replication.markDirtyAbove(null, 100))).marked).toBe(0);
    });
  });

  describe("a grant that was used", () => {
    /** Zurich was promoted by calgary's grant, and has a push ready that shows it. */
    const handedOver = async () => {
      const { primary, backup, clock } = await pair();
      await fill(primary, 3);
      await drain(primary, backup);
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      await backup.transact((tx) => tx.roles.promoteBy(grant, true));
      await set(backup, newVault(), "after");
      const push = await pushOf(
        backup,
        await backup.read((r) => r.replication.listAbove(grant.head.position, batch)),
      );
      return { primary, backup, grant, push, clock };
    };

    it("makes the site the backup of the one that used it, with the push that shows it", async () => {
      const { primary, backup, grant, push, clock } = await handedOver();
      expect((await allRows(primary)).some(({ dirty }) => dirty)).toBe(true);
      const outcome = expectApplied(await primary.transact((tx) => tx.replication.applyPush(push)));
      expect(outcome).toMatchObject({ receiver: { role: "backup" }, accepted: 1, verified: true });
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        role: "backup",
        fenced: null,
        grant: null,
        head: push.through,
        epoch: push.epoch,
        primary: { site: zurich, lastPushAt: clock.now() },
      });
      expect((await allRows(primary)).filter(({ dirty }) => dirty)).toEqual([]);
      expect(await primary.read((r) => r.site.firstKnown([grant.head]))).toEqual(grant.head);
      expect(await primary.read((r) => r.site.timeline())).toEqual(
        await backup.read((r) => r.site.timeline()),
      );
      const again = await reopen(primary);
      expect(await again.read((r) => r.site.record())).toMatchObject({ role: "backup", grant: null });
      await expect(set(again, newVault(), "x")).rejects.toMatchObject({ code: "read_only_backup" });
    });

    it("is followed also where the push itself is refused", async () => {
      const { primary, push } = await handedOver();
      const outcome = await primary.transact((tx) =>
        tx.replication.applyPush({ ...push, after: push.through }),
      );
      expect(outcome).toMatchObject({ kind: "refused", code: "resume", receiver: { role: "backup" } });
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        role: "backup",
        fenced: null,
        primary: { site: zurich },
      });
      expect(expectApplied(await primary.transact((tx) => tx.replication.applyPush(push))).accepted).toBe(1);
    });

    it("ends no other reign: not of another site, from another point, of no higher epoch, in another realm", async () => {
      const { primary, push, grant } = await handedOver();
      const site = await primary.read((r) => r.site.record());
      const last = push.timeline.at(-1);
      if (!last) throw new Error("no timeline");
      const lines = push.timeline.slice(0, -1);
      const elsewhere = { position: grant.head.position, chain: new Uint8Array(32) };
      const another = { epoch: { number: 3, id: "c" }, site: geneva, from: grant.head };
      const changes: readonly Partial<Push>[] = [
        { site: geneva },
        { timeline: [...lines, { ...last, site: geneva }] },
        { timeline: [...lines, { ...last, from: elsewhere }] },
        { timeline: lines },
        { timeline: [...lines, { ...last, epoch: { number: 0, id: "x" } }] },
        { realm: "7e0a0000-0000-4000-8000-000000000000" as Push["realm"] },
        // The grant was used, but this is another's reign.
        { timeline: [...lines, last, another], epoch: another.epoch },
      ];
      for (const change of changes) {
        expect((await primary.transact((tx) => tx.replication.applyPush({ ...push, ...change }))).kind).toBe(
          "refused",
        );
        const { epochSeen } = await primary.read((r) => r.site.record());
        expect(await primary.read((r) => r.site.record())).toEqual({ ...site, epochSeen });
      }
    });

    it("leaves a primary that went back where it is, above what it granted: it must rejoin", async () => {
      const { primary, backup } = await pair();
      await fill(primary, 3);
      await drain(primary, backup);
      const { head } = await backup.read((r) => r.site.record());
      await fill(primary, 1);
      const strange = { position: { epoch: 1, seq: 9 }, chain: new Uint8Array(32).fill(7) };
      await primary.transact((tx) => tx.replication.resumeFrom(zurich, strange, []));
      const grant = await primary.transact((tx) => tx.roles.grant(zurich, head));
      await backup.transact((tx) => tx.roles.promoteBy(grant, false));
      const push = await pushOf(
        backup,
        await backup.read((r) => r.replication.listAbove(head.position, batch)),
      );
      expect(await primary.transact((tx) => tx.replication.applyPush(push))).toMatchObject({
        kind: "refused",
        code: "not_a_backup",
      });
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        role: "primary",
        fenced: "primary_behind",
      });
    });

    it("keeps its fence when the higher epoch is met before the push", async () => {
      const { primary, backup, push } = await handedOver();
      const epoch = (await backup.read((r) => r.site.record())).epoch;
      expect(await primary.transact((tx) => tx.site.recordEpoch(epoch))).toEqual({ fencedNow: false });
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        fenced: "promotion_granted",
        epochSeen: push.epoch,
      });
      expect(
        expectApplied(await primary.transact((tx) => tx.replication.applyPush(push))).receiver.role,
      ).toBe("backup");
    });
  });

  describe("rows that a backup has put aside", () => {
    /** Calgary went on alone, came home to zurich, and stands where it left; two rows of its own are aside. */
    const home = async () => {
      const { primary, backup } = await pair();
      await fill(primary, 2);
      await drain(primary, backup);
      const { head } = await backup.read((r) => r.site.record());
      await fill(primary, 1);
      await backup.transact((tx) => tx.roles.promote());
      const { epoch } = await backup.read((r) => r.site.record());
      await primary.transact((tx) => tx.site.recordEpoch(epoch));
      await primary.homecoming.rejoin({
        epoch,
        timeline: await backup.read((r) => r.site.timeline()),
        common: head,
      });
      const next = async (): Promise<number> => {
        await set(backup, newVault(), "x");
        const { head: at } = await primary.read((r) => r.site.record());
        const push = await pushOf(
          backup,
          await backup.read((r) => r.replication.listAbove(at.position, batch)),
        );
        return expectApplied(await primary.transact((tx) => tx.replication.applyPush(push))).aside;
      };
      return { winner: backup, back: primary, next };
    };

    it("are counted in every answer until the primary has decided on them", async () => {
      const { back, next } = await home();
      expect(await next()).toBe(2);
      const { rows } = await back.read((r) => r.aside.waiting(10));
      await back.transact((tx) =>
        tx.aside.settle(
          [rows[0]?.id].filter((id) => id !== undefined),
          [],
        ),
      );
      expect(await next()).toBe(1);
      await back.transact((tx) =>
        tx.aside.settle(
          [],
          [rows[1]?.id].filter((id) => id !== undefined),
        ),
      );
      expect(await next()).toBe(0);
    });

    it("wait again with the first push of a higher epoch, unless their stranded rows have come", async () => {
      const { winner, back, next } = await home();
      await next();
      const { rows } = await back.read((r) => r.aside.waiting(10));
      const taken = rows.map(({ id }) => id);
      await winner.transact((tx) => tx.aside.take(rows.slice(0, 1)));
      await back.transact((tx) => tx.aside.settle([], taken));
      expect(await next()).toBe(0);
      const { head } = await back.read((r) => r.site.record());
      const epoch = { number: 9, id: "later" };
      const timeline = [
        ...(await winner.read((r) => r.site.timeline())),
        { epoch, site: geneva, from: head },
      ];
      const listing = await winner.read((r) => r.replication.listAbove(head.position, batch));
      const push = await pushOf(winner, listing, { site: geneva, epoch, timeline });
      expect(expectApplied(await back.transact((tx) => tx.replication.applyPush(push))).aside).toBe(1);
      expect((await back.read((r) => r.aside.waiting(10))).rows.map(({ id }) => id)).toEqual(taken.slice(1));
    });
  });
}
