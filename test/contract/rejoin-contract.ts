import { describe, expect, it } from "vitest";
import { origin, type Point } from "../../src/core/position.ts";
import { formatKey } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import { roleSites, strange, winnerOf } from "./role-sites.ts";
import {
  allRows,
  batch,
  calgary,
  drain,
  expectApplied,
  fill,
  geneva,
  newEntry,
  newVault,
  pushOf,
  type StoreUnderTest,
  set,
  shared,
} from "./store-harness.ts";

/** The way home of a site that went another way than the winner. */
export function rejoinContract({ open, reopen }: StoreUnderTest): void {
  const { pair, apart } = roleSites({ open });

  describe("coming home", () => {
    it("puts the rows above the common point aside and leaves a backup at that point", async () => {
      const { primary, backup, fork, clock } = await apart();
      const alone = (await allRows(primary)).filter(({ position }) => position.seq > fork.position.seq);
      expect(await primary.homecoming.rejoin(await winnerOf(backup, fork))).toEqual({
        putAside: alone.length,
      });
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        role: "backup",
        fenced: null,
        head: fork,
        epochSeen: (await backup.read((r) => r.site.record())).epoch,
        verified: null,
        isComplete: false,
        primary: null,
        grant: null,
      });
      expect(await primary.read((r) => r.site.timeline())).toEqual(
        await backup.read((r) => r.site.timeline()),
      );
      const { rows, waiting } = await primary.read((r) => r.aside.waiting(100));
      expect(waiting).toBe(alone.length);
      expect(rows.map(({ key }) => formatKey(key)).toSorted()).toEqual(
        alone.map(({ key }) => formatKey(key)).toSorted(),
      );
      for (const row of rows)
        expect(row).toMatchObject({ fork: fork.position, site: calgary, at: clock.now() });
    });

    it("lets the winner's pushes in, which make both sites equal", async () => {
      const { primary, backup, fork } = await apart();
      await fill(backup, 2);
      await primary.homecoming.rejoin(await winnerOf(backup, fork));
      await drain(backup, primary);
      expect(shared(await allRows(primary))).toEqual(shared(await allRows(backup)));
      expect((await primary.read((r) => r.site.digest())).digest).toEqual(
        (await backup.read((r) => r.site.digest())).digest,
      );
    });

    it("repeated puts nothing aside twice, also after a restart", async () => {
      const { primary, backup, fork } = await apart();
      const winner = await winnerOf(backup, fork);
      const { putAside } = await primary.homecoming.rejoin(winner);
      expect(await primary.homecoming.rejoin(winner)).toEqual({ putAside: 0 });
      const again = await reopen(primary);
      expect(await again.homecoming.rejoin(winner)).toEqual({ putAside: 0 });
      expect((await again.read((r) => r.aside.waiting(100))).waiting).toBe(putAside);
    });

    it("forgets the way that was gone alone: its points, its marks, what its peers had acknowledged", async () => {
      const { primary, backup, fork } = await apart();
      const alone = (await primary.read((r) => r.site.record())).head;
      await primary.homecoming.rejoin(await winnerOf(backup, fork));
      expect(await primary.read((r) => r.site.firstKnown([alone]))).toBeUndefined();
      expect(await primary.read((r) => r.site.firstKnown([fork]))).toEqual(fork);
      expect((await allRows(primary)).filter(({ dirty }) => dirty)).toEqual([]);
      expect((await primary.read((r) => r.replication.peers())).map(({ acked }) => acked)).toEqual([
        null,
        null,
      ]);
    });

    it("goes back to the origin where nothing is common", async () => {
      const { primary, backup } = await apart();
      const rows = await allRows(primary);
      expect(await primary.homecoming.rejoin(await winnerOf(backup, origin))).toEqual({
        putAside: rows.length,
      });
      expect((await primary.read((r) => r.site.record())).head).toEqual(origin);
      await drain(backup, primary);
      expect(shared(await allRows(primary))).toEqual(shared(await allRows(backup)));
    });

    it("is for a backup too that went another way than the winner", async () => {
      const { primary, backup } = await pair();
      const third = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      await fill(primary, 2);
      await drain(primary, third);
      const fork = (await backup.transact((tx) => tx.roles.promote())).from;
      expect(await third.homecoming.rejoin(await winnerOf(backup, fork))).toEqual({ putAside: 3 });
      await drain(backup, third);
      expect(shared(await allRows(third))).toEqual(shared(await allRows(backup)));
    });

    it("of a backup ends what it refused of the way that is not the winner's, and nothing else", async () => {
      const { primary, backup } = await pair();
      const third = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      const refuse = async (on: Store, point: Point): Promise<void> => {
        const row = { key: newVault(), position: point.position, hash: new Uint8Array(32), body: null };
        const listing = await primary.read((r) => r.replication.listAbove(point.position, batch));
        const rows = [{ kind: "row" as const, row }];
        const push = await pushOf(primary, { ...listing, digest: null }, { rows });
        expectApplied(await on.transact((tx) => tx.replication.applyPush(push)));
      };
      await drain(primary, third);
      const fork = (await third.read((r) => r.site.record())).head;
      await refuse(third, fork);
      await fill(primary, 1);
      await drain(primary, third);
      await refuse(third, (await third.read((r) => r.site.record())).head);
      await backup.transact((tx) => tx.roles.promote());
      await third.homecoming.rejoin(await winnerOf(backup, fork));
      const push = await pushOf(
        backup,
        await backup.read((r) => r.replication.listAbove(fork.position, batch)),
      );
      const { rejected } = expectApplied(await third.transact((tx) => tx.replication.applyPush(push)));
      expect(rejected.map(({ position }) => position)).toEqual([fork.position]);
    });

    it("of hundreds of rows is one step to everybody else", async () => {
      const { primary, backup, fork } = await apart();
      const { keys } = await fill(primary, 0).catch(() => ({ keys: [] }));
      expect(keys).toEqual([]);
      await primary.transact((tx) => tx.roles.promote());
      const vault = newVault();
      await set(primary, vault, "v");
      const many = Array.from({ length: 450 }, () => newEntry(vault.vaultId));
      await primary.transact((tx) =>
        tx.rows.write({
          keys: many,
          decide: () => many.map((key) => ({ key, body: new Uint8Array(9) })),
        }),
      );
      const epoch = (await primary.read((r) => r.site.record())).epoch;
      await backup.transact((tx) => tx.site.recordEpoch(epoch));
      await backup.transact((tx) => tx.roles.promote());
      const epoch2 = (await backup.read((r) => r.site.record())).epoch;
      await primary.transact((tx) => tx.site.recordEpoch(epoch2));
      const rejoining = primary.homecoming.rejoin(await winnerOf(backup, fork));
      expect(await rejoining).toEqual({ putAside: 454 });
      await drain(backup, primary);
      expect((await primary.read((r) => r.site.digest())).digest).toEqual(
        (await backup.read((r) => r.site.digest())).digest,
      );
    });

    it("is refused to a primary in its right, to a lower epoch, and to a point it never stood at", async () => {
      const { primary, backup } = await pair();
      const timeline = await primary.read((r) => r.site.timeline());
      const { head } = await primary.read((r) => r.site.record());
      const winner = { epoch: { number: 9, id: "nine" }, timeline, common: head };
      await expect(primary.homecoming.rejoin(winner)).rejects.toMatchObject({ code: "not_fenced" });
      await primary.transact((tx) => tx.site.recordEpoch({ number: 2, id: "two" }));
      const wrong = [
        { ...winner, epoch: { number: 1, id: "zzz" } },
        { ...winner, epoch: (await primary.read((r) => r.site.record())).epoch },
        { ...winner, epoch: { number: Number.MAX_SAFE_INTEGER, id: "z" } },
        { ...winner, common: strange },
        { ...winner, common: { ...head, position: { epoch: 1, seq: 99 } } },
      ];
      for (const one of wrong) {
        await expect(primary.homecoming.rejoin(one)).rejects.toMatchObject({ code: "winner_unknown" });
      }
      expect((await primary.read((r) => r.site.record())).role).toBe("primary");
      for (const one of [
        { ...winner, common: strange },
        { ...winner, epoch: (await backup.read((r) => r.site.record())).epoch },
      ]) {
        await expect(backup.homecoming.rejoin(one)).rejects.toMatchObject({ code: "winner_unknown" });
      }
    });
  });
}
