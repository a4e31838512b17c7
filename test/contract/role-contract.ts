import { describe, expect, it } from "vitest";
import { origin } from "../../src/core/position.ts";
import { formatKey } from "../../src/core/row.ts";
import type { Grant } from "../../src/core/store/roles.ts";
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
  newVault,
  pushOf,
  type StoreUnderTest,
  set,
  shared,
  zurich,
} from "./store-harness.ts";

/** The only ways to change a site's role, and everything that each of them is in one transaction. */
export function roleContract({ open, reopen }: StoreUnderTest): void {
  const { pair, apart, behind } = roleSites({ open });

  describe("a grant", () => {
    it("names what the other site must hold, fences this one, and stays through a restart", async () => {
      const { primary } = await pair();
      const { epoch, head } = await primary.read((r) => r.site.record());
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      expect(grant).toEqual({ id: expect.any(String) as string, to: zurich, epoch, head });
      await expect(set(primary, newVault(), "x")).rejects.toMatchObject({ code: "site_fenced" });
      const again = await reopen(primary);
      expect(await again.read((r) => r.site.record())).toMatchObject({
        role: "primary",
        fenced: "promotion_granted",
        grant,
      });
      expect(await again.transact((tx) => tx.roles.grant(zurich))).toEqual(grant);
    });

    it("is refused to a second site, to a stranger, on a backup and on a superseded primary", async () => {
      const { primary, backup } = await pair();
      await expect(primary.transact((tx) => tx.roles.grant(backupOf("stranger")))).rejects.toMatchObject({
        code: "peer_unknown",
      });
      await expect(backup.transact((tx) => tx.roles.grant(calgary))).rejects.toMatchObject({
        code: "read_only_backup",
      });
      await primary.transact((tx) => tx.roles.grant(zurich));
      await expect(primary.transact((tx) => tx.roles.grant(geneva))).rejects.toMatchObject({
        code: "grant_open",
      });
      const { primary: superseded } = await apart();
      await expect(superseded.transact((tx) => tx.roles.grant(zurich))).rejects.toMatchObject({
        code: "site_fenced",
      });
    });

    it("is refused by name while the other site refuses rows", async () => {
      const { primary } = await pair();
      const row = await set(primary, newVault(), "refused");
      const { rows, through } = await primary.read((r) => r.replication.listAbove(origin.position, batch));
      const rejected = [{ ...row, code: "row_malformed" as const }];
      await primary.acknowledgements.take(zurich, { through, rows, rejected, verified: null });
      await expect(primary.transact((tx) => tx.roles.grant(zurich))).rejects.toMatchObject({
        code: "rows_quarantined",
        mistakes: [{ path: formatKey(row.key) }],
      });
      expect((await primary.read((r) => r.site.record())).fenced).toBeNull();
    });

    it("that was given back lets the site take writes again, and the next is another", async () => {
      const { primary } = await pair();
      const first = await primary.transact((tx) => tx.roles.grant(zurich));
      for (let times = 0; times < 2; times += 1)
        await primary.transact((tx) => tx.roles.endGrant(first.id, "declined"));
      expect(await primary.read((r) => r.site.record())).toMatchObject({ fenced: null, grant: null });
      await set(primary, newVault(), "x");
      const second = await primary.transact((tx) => tx.roles.grant(geneva));
      expect(second.id).not.toBe(first.id);
      await primary.transact((tx) => tx.roles.endGrant(first.id, "declined"));
      expect((await primary.read((r) => r.site.record())).grant).toEqual(second);
    });

    it("that was used is not given back, whatever is said later", async () => {
      const { primary } = await pair();
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      await primary.transact((tx) => tx.roles.endGrant(grant.id, "promoted"));
      await primary.transact((tx) => tx.roles.endGrant(grant.id, "declined"));
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        fenced: "promotion_granted",
        grant,
      });
    });

    it("that is given back leaves a site fenced that was superseded meanwhile", async () => {
      const { primary } = await pair();
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      await primary.transact((tx) => tx.site.recordEpoch({ number: 2, id: "another" }));
      expect((await primary.read((r) => r.site.record())).fenced).toBe("promotion_granted");
      await primary.transact((tx) => tx.roles.endGrant(grant.id, "declined"));
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        fenced: "primary_superseded",
        grant: null,
      });
    });

    it("at another site's point is for a primary that went back, which stays fenced for that", async () => {
      const { primary, backup } = await pair();
      const { head } = await backup.read((r) => r.site.record());
      await expect(primary.transact((tx) => tx.roles.grant(zurich, head))).rejects.toMatchObject({
        code: "not_behind",
      });
      await primary.transact((tx) => tx.replication.resumeFrom(zurich, strange, []));
      await expect(primary.transact((tx) => tx.roles.grant(zurich))).rejects.toMatchObject({
        code: "site_fenced",
      });
      const grant = await primary.transact((tx) => tx.roles.grant(zurich, head));
      expect(await primary.read((r) => r.site.record())).toMatchObject({ fenced: "primary_behind", grant });
      await primary.transact((tx) => tx.roles.endGrant(grant.id, "declined"));
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        fenced: "primary_behind",
        grant: null,
      });
    });
  });

  describe("a promotion by a grant", () => {
    it("makes the backup primary of the next epoch, from exactly where both stood", async () => {
      const { primary, backup } = await pair();
      const before = await primary.read((r) => r.site.timeline());
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      const promotion = await backup.transact((tx) => tx.roles.promoteBy(grant, false));
      expect(promotion).toMatchObject({ epoch: { number: 2 }, site: zurich, from: grant.head });
      expect(await backup.read((r) => r.site.timeline())).toEqual([...before, promotion]);
      expect(await backup.read((r) => r.site.record())).toMatchObject({
        role: "primary",
        fenced: null,
        epoch: promotion.epoch,
        epochSeen: promotion.epoch,
        head: grant.head,
        primary: null,
        verified: null,
      });
      const { position } = await set(backup, newVault(), "x");
      expect(position).toEqual({ epoch: 2, seq: grant.head.position.seq + 1 });
    });

    it("repeated, also after a restart and later writes, is the promotion that it was", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      const promotion = await backup.transact((tx) => tx.roles.promoteBy(grant, false));
      await fill(backup, 1);
      expect(await backup.transact((tx) => tx.roles.promoteBy(grant, true))).toEqual(promotion);
      const again = await reopen(backup);
      expect(await again.transact((tx) => tx.roles.promoteBy(grant, false))).toEqual(promotion);
      expect(await again.read((r) => r.site.timeline())).toHaveLength(2);
      expect(
        await again.transact((tx) => tx.roles.decline(grant.id, { site: calgary, epoch: grant.epoch })),
      ).toBe("promoted");
    });

    it("is refused to a site that is not exactly what the grant names", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      const wrong: readonly Partial<Grant>[] = [
        { to: geneva },
        { epoch: { ...grant.epoch, id: "another" } },
        { head: { ...grant.head, chain: strange.chain } },
        { head: { ...grant.head, position: { epoch: 1, seq: 99 } } },
      ];
      for (const change of wrong) {
        const changed = { ...grant, ...change };
        await expect(backup.transact((tx) => tx.roles.promoteBy(changed, false))).rejects.toMatchObject({
          code: "grant_unmet",
        });
      }
      await expect(
        primary.transact((tx) => tx.roles.promoteBy({ ...grant, to: calgary }, false)),
      ).rejects.toMatchObject({
        code: "grant_unmet",
      });
      await backup.transact((tx) => tx.site.recordEpoch({ number: 2, id: "another" }));
      await expect(backup.transact((tx) => tx.roles.promoteBy(grant, false))).rejects.toMatchObject({
        code: "grant_unmet",
      });
      expect((await backup.read((r) => r.site.record())).role).toBe("backup");
    });

    it("that was declined is refused for good", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      const of = { site: calgary, epoch: grant.epoch };
      expect([
        await backup.transact((tx) => tx.roles.decline(grant.id, of)),
        await backup.transact((tx) => tx.roles.decline(grant.id, of)),
      ]).toEqual(["declined", "declined"]);
      const again = await reopen(backup);
      await expect(again.transact((tx) => tx.roles.promoteBy(grant, false))).rejects.toMatchObject({
        code: "grant_declined",
      });
      expect((await again.read((r) => r.site.record())).role).toBe("backup");
    });

    it("needs a proof at that very point, and a backup that refuses nothing", async () => {
      const { primary, backup } = await pair();
      const vault = await set(primary, newVault(), "x");
      const after = (await backup.read((r) => r.site.record())).head.position;
      const listing = await primary.read((r) => r.replication.listAbove(after, batch));
      const push = await pushOf(primary, { ...listing, digest: null });
      await backup.transact((tx) => tx.replication.applyPush(push));
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      await expect(backup.transact((tx) => tx.roles.promoteBy(grant, true))).rejects.toMatchObject({
        code: "not_proved",
      });
      const proof = await primary.read((r) => r.replication.listAbove(grant.head.position, batch, zurich));
      const push2 = await pushOf(primary, proof);
      await backup.transact((tx) => tx.replication.applyPush(push2));
      expect((await backup.read((r) => r.site.record())).verified?.position).toEqual(grant.head.position);
      const bad = { ...vault, position: grant.head.position, hash: new Uint8Array(32) };
      const row = { kind: "row" as const, row: { ...bad, key: newVault() } };
      const push3 = { ...(await pushOf(primary, proof)), rows: [row], digest: null };
      await backup.transact((tx) => tx.replication.applyPush(push3));
      await expect(backup.transact((tx) => tx.roles.promoteBy(grant, true))).rejects.toMatchObject({
        code: "rows_quarantined",
      });
      const promotion = await backup.transact((tx) => tx.roles.promoteBy(grant, false));
      expect((await backup.read((r) => r.site.timeline())).at(-1)).toEqual(promotion);
      expect(await backup.transact((tx) => tx.roles.promoteBy(grant, false))).toEqual(promotion);
    });
  });

  describe("a forced promotion", () => {
    it("takes the number above the highest that was seen, and an id of its own", async () => {
      const { backup } = await pair();
      await backup.transact((tx) => tx.site.recordEpoch({ number: 4, id: "another" }));
      const { epoch } = await backup.transact((tx) => tx.roles.promote());
      expect(epoch.number).toBe(5);
      const { primary, backup: other } = await pair();
      expect((await other.transact((tx) => tx.roles.promote())).epoch.id).not.toBe(
        (await primary.read((r) => r.site.record())).epoch.id,
      );
    });

    it("is refused on a primary in its right, and on a backup that belongs to no installation", async () => {
      const { primary } = await pair();
      await expect(primary.transact((tx) => tx.roles.promote())).rejects.toMatchObject({
        code: "already_primary",
      });
      const empty = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      await expect(empty.transact((tx) => tx.roles.promote())).rejects.toMatchObject({ code: "not_ready" });
    });

    it("takes a grant back by a number that no use of it can reach", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.transact((tx) => tx.roles.grant(zurich));
      const used = await backup.transact((tx) => tx.roles.promoteBy(grant, false));
      const taken = await primary.transact((tx) => tx.roles.promote());
      expect([used.epoch.number, taken.epoch.number]).toEqual([2, 3]);
      expect(await primary.read((r) => r.site.record())).toMatchObject({
        role: "primary",
        fenced: null,
        grant: null,
      });
      await primary.transact((tx) => tx.roles.endGrant(grant.id, "promoted"));
      expect((await primary.read((r) => r.site.record())).fenced).toBeNull();
    });

    it("of a primary that went back, or was superseded, goes on from its own head", async () => {
      for (const fenced of [await behind(), await apart()]) {
        const { head, epochSeen } = await fenced.primary.read((r) => r.site.record());
        const { epoch, from } = await fenced.primary.transact((tx) => tx.roles.promote());
        expect({ number: epoch.number, from }).toEqual({ number: epochSeen.number + 1, from: head });
        expect(await fenced.primary.read((r) => r.site.firstKnown([head]))).toEqual(head);
      }
    });

    it("forgets what was known of the peers, but not that they were known", async () => {
      const { primary, backup } = await pair();
      const row = await set(primary, newVault(), "x");
      const { rows, through } = await primary.read((r) => r.replication.listAbove(origin.position, batch));
      const rejected = [{ ...row, code: "row_malformed" as const }];
      await primary.acknowledgements.take(zurich, { through, rows, rejected, verified: true });
      await primary.transact((tx) => tx.roles.grant(geneva));
      await primary.transact((tx) => tx.roles.promote());
      const [, known] = await primary.read((r) => r.replication.peers());
      expect(known).toMatchObject({ site: zurich, acked: null, verified: null, diverged: false, repairs: 0 });
      expect(await primary.read((r) => r.replication.listQuarantined(zurich, origin.position, 10))).toEqual(
        [],
      );
      await backup.transact((tx) => tx.roles.promote());
      expect(
        (await backup.read((r) => r.replication.peers())).map(({ site, acked }) => [site, acked]),
      ).toEqual([
        [calgary, null],
        [geneva, null],
      ]);
    });

    it("of a site that refused a row parts from the history that has it, and loses nobody's state of that row", async () => {
      const { primary, backup, clock } = await pair(1);
      const third = await open({ site: geneva, role: "backup", clock });
      const before = (await primary.read((r) => r.site.record())).head;
      const key = newVault();
      await set(primary, key, "what only the others have");
      await set(primary, newVault(), "what all have");
      await drain(primary, third);
      const listing = await primary.read((r) => r.replication.listAbove(before.position, batch));
      const rows = listing.rows.map((row) =>
        formatKey(row.key) === formatKey(key) ? { ...row, hash: new Uint8Array(32) } : row,
      );
      const push = await pushOf(primary, { ...listing, rows, digest: null });
      expect(
        expectApplied(await backup.transact((tx) => tx.replication.applyPush(push))).rejected,
      ).toHaveLength(1);
      const { from } = await backup.transact((tx) => tx.roles.promote());
      expect(from).toEqual(before);
      await set(backup, key, "written without having seen it");
      for (const store of [primary, third]) {
        const { head } = await store.read((r) => r.site.record());
        const points = await store.read((r) => r.site.pointsBelow(head.position, 100));
        expect(await backup.read((r) => r.site.firstKnown(points))).toEqual(before);
        const epoch = (await backup.read((r) => r.site.record())).epoch;
        await store.transact((tx) => tx.site.recordEpoch(epoch));
        await store.homecoming.rejoin(await winnerOf(backup, before));
        await drain(backup, store);
        const { rows: aside } = await store.read((r) => r.aside.waiting(10));
        const verdicts = await backup.transact((tx) => tx.aside.take(aside));
        const of = aside.findIndex((row) => formatKey(row.key) === formatKey(key));
        expect(verdicts[of]).toBe(store === primary ? "stranded" : "struck");
        expect(verdicts.filter((verdict) => verdict === "stranded").length).toBeLessThan(2);
      }
      expect((await backup.read((r) => r.aside.stranded(null, 10))).total).toBe(1);
      expect(shared(await allRows(primary)).length).toBe(shared(await allRows(backup)).length - 1);
    });

    it.each(["was never proved", "was proved lower down"])(
      "of a site that %s goes on from where it is known to be whole, and what is above gets chains of its own",
      async (proved) => {
        const clock = new VirtualClock();
        const primary = await open({ site: calgary, role: "primary", clock });
        const [backup, third] = [
          await open({ site: zurich, role: "backup", clock }),
          await open({ site: geneva, role: "backup", clock }),
        ];
        await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
        await backup.transact((tx) => tx.replication.configurePeers([calgary, geneva]));
        await fill(primary, 2);
        if (proved === "was proved lower down") await drain(primary, backup);
        const whole = (await backup.read((r) => r.site.record())).head;
        await fill(primary, 2);
        await drain(primary, third);
        const listing = await primary.read((r) => r.replication.listAbove(whole.position, batch));
        const push = await pushOf(primary, { ...listing, digest: null });
        expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
        const { head } = await primary.read((r) => r.site.record());
        expect((await backup.read((r) => r.site.record())).head).toEqual(head);

        const { from } = await backup.transact((tx) => tx.roles.promote());
        expect(from).toEqual(whole);
        const points = await primary.read((r) => r.site.pointsBelow(head.position, 100));
        expect(await backup.read((r) => r.site.firstKnown(points))).toEqual(whole);
        const own = (await backup.read((r) => r.site.record())).head;
        expect(own.position).toEqual(head.position);
        expect(await backup.read((r) => r.site.firstKnown([own]))).toEqual(own);
        expect(await backup.transact((tx) => tx.replication.resumeFrom(geneva, head, []))).toBe("foreign");
        const epoch = (await backup.read((r) => r.site.record())).epoch;
        await third.transact((tx) => tx.site.recordEpoch(epoch));
        await third.homecoming.rejoin(await winnerOf(backup, whole));
        await drain(backup, third);
        expect(shared(await allRows(third))).toEqual(shared(await allRows(backup)));
      },
    );

    it("is followed by the backups that it did not leave behind", async () => {
      const { primary, backup } = await pair();
      const third = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      await drain(primary, third);
      await backup.transact((tx) => tx.roles.promote());
      await fill(backup, 2);
      await drain(backup, third);
      expect(await third.read((r) => r.site.record())).toMatchObject({
        epoch: (await backup.read((r) => r.site.record())).epoch,
      });
      expect(shared(await allRows(third))).toEqual(shared(await allRows(backup)));
    });
  });
}

function backupOf(name: string): typeof zurich {
  return name as typeof zurich;
}
