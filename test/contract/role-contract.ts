import { describe, expect, it } from "vitest";
import { origin } from "../../src/core/position.ts";
import { formatKey } from "../../src/core/row.ts";
import type { Grant } from "../../src/core/store.ts";
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
      const { epoch, head } = await primary.site();
      const grant = await primary.grant(zurich);
      expect(grant).toEqual({ id: expect.any(String) as string, to: zurich, epoch, head });
      await expect(set(primary, newVault(), "x")).rejects.toMatchObject({ code: "site_fenced" });
      const again = await reopen(primary);
      expect(await again.site()).toMatchObject({ role: "primary", fenced: "promotion_granted", grant });
      expect(await again.grant(zurich)).toEqual(grant);
    });

    it("is refused to a second site, to a stranger, on a backup and on a superseded primary", async () => {
      const { primary, backup } = await pair();
      await expect(primary.grant(backupOf("stranger"))).rejects.toMatchObject({ code: "peer_unknown" });
      await expect(backup.grant(calgary)).rejects.toMatchObject({ code: "read_only_backup" });
      await primary.grant(zurich);
      await expect(primary.grant(geneva)).rejects.toMatchObject({ code: "grant_open" });
      const { primary: superseded } = await apart();
      await expect(superseded.grant(zurich)).rejects.toMatchObject({ code: "site_fenced" });
    });

    it("is refused by name while the other site refuses rows", async () => {
      const { primary } = await pair();
      const row = await set(primary, newVault(), "refused");
      const { rows, through } = await primary.listAbove(origin.position, batch);
      const rejected = [{ ...row, code: "row_malformed" as const }];
      await primary.acknowledge(zurich, { through, rows, rejected, verified: null });
      await expect(primary.grant(zurich)).rejects.toMatchObject({
        code: "rows_quarantined",
        mistakes: [{ path: formatKey(row.key) }],
      });
      expect((await primary.site()).fenced).toBeNull();
    });

    it("that was given back lets the site take writes again, and the next is another", async () => {
      const { primary } = await pair();
      const first = await primary.grant(zurich);
      for (let times = 0; times < 2; times += 1) await primary.endGrant(first.id, "declined");
      expect(await primary.site()).toMatchObject({ fenced: null, grant: null });
      await set(primary, newVault(), "x");
      const second = await primary.grant(geneva);
      expect(second.id).not.toBe(first.id);
      await primary.endGrant(first.id, "declined");
      expect((await primary.site()).grant).toEqual(second);
    });

    it("that was used is not given back, whatever is said later", async () => {
      const { primary } = await pair();
      const grant = await primary.grant(zurich);
      await primary.endGrant(grant.id, "promoted");
      await primary.endGrant(grant.id, "declined");
      expect(await primary.site()).toMatchObject({ fenced: "promotion_granted", grant });
    });

    it("that is given back leaves a site fenced that was superseded meanwhile", async () => {
      const { primary } = await pair();
      const grant = await primary.grant(zurich);
      await primary.recordEpoch({ number: 2, id: "another" });
      expect((await primary.site()).fenced).toBe("promotion_granted");
      await primary.endGrant(grant.id, "declined");
      expect(await primary.site()).toMatchObject({ fenced: "primary_superseded", grant: null });
    });

    it("at another site's point is for a primary that went back, which stays fenced for that", async () => {
      const { primary, backup } = await pair();
      const { head } = await backup.site();
      await expect(primary.grant(zurich, head)).rejects.toMatchObject({ code: "not_behind" });
      await primary.resumeFrom(zurich, strange, []);
      await expect(primary.grant(zurich)).rejects.toMatchObject({ code: "site_fenced" });
      const grant = await primary.grant(zurich, head);
      expect(await primary.site()).toMatchObject({ fenced: "primary_behind", grant });
      await primary.endGrant(grant.id, "declined");
      expect(await primary.site()).toMatchObject({ fenced: "primary_behind", grant: null });
    });
  });

  describe("a promotion by a grant", () => {
    it("makes the backup primary of the next epoch, from exactly where both stood", async () => {
      const { primary, backup } = await pair();
      const before = await primary.timeline();
      const grant = await primary.grant(zurich);
      const promotion = await backup.promoteBy(grant, false);
      expect(promotion).toMatchObject({ epoch: { number: 2 }, site: zurich, from: grant.head });
      expect(await backup.timeline()).toEqual([...before, promotion]);
      expect(await backup.site()).toMatchObject({
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
      const grant = await primary.grant(zurich);
      const promotion = await backup.promoteBy(grant, false);
      await fill(backup, 1);
      expect(await backup.promoteBy(grant, true)).toEqual(promotion);
      const again = await reopen(backup);
      expect(await again.promoteBy(grant, false)).toEqual(promotion);
      expect(await again.timeline()).toHaveLength(2);
      expect(await again.decline(grant.id, { site: calgary, epoch: grant.epoch })).toBe("promoted");
    });

    it("is refused to a site that is not exactly what the grant names", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.grant(zurich);
      const wrong: readonly Partial<Grant>[] = [
        { to: geneva },
        { epoch: { ...grant.epoch, id: "another" } },
        { head: { ...grant.head, chain: strange.chain } },
        { head: { ...grant.head, position: { epoch: 1, seq: 99 } } },
      ];
      for (const change of wrong) {
        const changed = { ...grant, ...change };
        await expect(backup.promoteBy(changed, false)).rejects.toMatchObject({ code: "grant_unmet" });
      }
      await expect(primary.promoteBy({ ...grant, to: calgary }, false)).rejects.toMatchObject({
        code: "grant_unmet",
      });
      await backup.recordEpoch({ number: 2, id: "another" });
      await expect(backup.promoteBy(grant, false)).rejects.toMatchObject({ code: "grant_unmet" });
      expect((await backup.site()).role).toBe("backup");
    });

    it("that was declined is refused for good", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.grant(zurich);
      const of = { site: calgary, epoch: grant.epoch };
      expect([await backup.decline(grant.id, of), await backup.decline(grant.id, of)]).toEqual([
        "declined",
        "declined",
      ]);
      const again = await reopen(backup);
      await expect(again.promoteBy(grant, false)).rejects.toMatchObject({ code: "grant_declined" });
      expect((await again.site()).role).toBe("backup");
    });

    it("needs a proof at that very point, and a backup that refuses nothing", async () => {
      const { primary, backup } = await pair();
      const vault = await set(primary, newVault(), "x");
      const listing = await primary.listAbove((await backup.site()).head.position, batch);
      await backup.applyPush(await pushOf(primary, { ...listing, digest: null }));
      const grant = await primary.grant(zurich);
      await expect(backup.promoteBy(grant, true)).rejects.toMatchObject({ code: "not_proved" });
      const proof = await primary.listAbove(grant.head.position, batch, zurich);
      await backup.applyPush(await pushOf(primary, proof));
      expect((await backup.site()).verified?.position).toEqual(grant.head.position);
      const bad = { ...vault, position: grant.head.position, hash: new Uint8Array(32) };
      const row = { kind: "row" as const, row: { ...bad, key: newVault() } };
      await backup.applyPush({ ...(await pushOf(primary, proof)), rows: [row], digest: null });
      await expect(backup.promoteBy(grant, true)).rejects.toMatchObject({ code: "rows_quarantined" });
      const promotion = await backup.promoteBy(grant, false);
      expect((await backup.timeline()).at(-1)).toEqual(promotion);
      expect(await backup.promoteBy(grant, false)).toEqual(promotion);
    });
  });

  describe("a forced promotion", () => {
    it("takes the number above the highest that was seen, and an id of its own", async () => {
      const { backup } = await pair();
      await backup.recordEpoch({ number: 4, id: "another" });
      const { epoch } = await backup.promote();
      expect(epoch.number).toBe(5);
      const { primary, backup: other } = await pair();
      expect((await other.promote()).epoch.id).not.toBe((await primary.site()).epoch.id);
    });

    it("is refused on a primary in its right, and on a backup that belongs to no installation", async () => {
      const { primary } = await pair();
      await expect(primary.promote()).rejects.toMatchObject({ code: "already_primary" });
      const empty = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      await expect(empty.promote()).rejects.toMatchObject({ code: "not_ready" });
    });

    it("takes a grant back by a number that no use of it can reach", async () => {
      const { primary, backup } = await pair();
      const grant = await primary.grant(zurich);
      const used = await backup.promoteBy(grant, false);
      const taken = await primary.promote();
      expect([used.epoch.number, taken.epoch.number]).toEqual([2, 3]);
      expect(await primary.site()).toMatchObject({ role: "primary", fenced: null, grant: null });
      await primary.endGrant(grant.id, "promoted");
      expect((await primary.site()).fenced).toBeNull();
    });

    it("of a primary that went back, or was superseded, goes on from its own head", async () => {
      for (const fenced of [await behind(), await apart()]) {
        const { head, epochSeen } = await fenced.primary.site();
        const { epoch, from } = await fenced.primary.promote();
        expect({ number: epoch.number, from }).toEqual({ number: epochSeen.number + 1, from: head });
        expect(await fenced.primary.firstKnown([head])).toEqual(head);
      }
    });

    it("forgets what was known of the peers, but not that they were known", async () => {
      const { primary, backup } = await pair();
      const row = await set(primary, newVault(), "x");
      const { rows, through } = await primary.listAbove(origin.position, batch);
      const rejected = [{ ...row, code: "row_malformed" as const }];
      await primary.acknowledge(zurich, { through, rows, rejected, verified: true });
      await primary.grant(geneva);
      await primary.promote();
      const [, known] = await primary.peers();
      expect(known).toMatchObject({ site: zurich, acked: null, verified: null, diverged: false, repairs: 0 });
      expect(await primary.listQuarantined(zurich, origin.position, 10)).toEqual([]);
      await backup.promote();
      expect((await backup.peers()).map(({ site, acked }) => [site, acked])).toEqual([
        [calgary, null],
        [geneva, null],
      ]);
    });

    it("of a site that refused a row parts from the history that has it, and loses nobody's state of that row", async () => {
      const { primary, backup, clock } = await pair(1);
      const third = await open({ site: geneva, role: "backup", clock });
      const before = (await primary.site()).head;
      const key = newVault();
      await set(primary, key, "what only the others have");
      await set(primary, newVault(), "what all have");
      await drain(primary, third);
      const listing = await primary.listAbove(before.position, batch);
      const rows = listing.rows.map((row) =>
        formatKey(row.key) === formatKey(key) ? { ...row, hash: new Uint8Array(32) } : row,
      );
      const push = await pushOf(primary, { ...listing, rows, digest: null });
      expect(expectApplied(await backup.applyPush(push)).rejected).toHaveLength(1);
      const { from } = await backup.promote();
      expect(from).toEqual(before);
      await set(backup, key, "written without having seen it");
      for (const store of [primary, third]) {
        const { head } = await store.site();
        expect(await backup.firstKnown(await store.pointsBelow(head.position, 100))).toEqual(before);
        await store.recordEpoch((await backup.site()).epoch);
        await store.rejoin(await winnerOf(backup, before));
        await drain(backup, store);
        const { rows: aside } = await store.aside(10);
        const verdicts = await backup.takeAside(aside);
        const of = aside.findIndex((row) => formatKey(row.key) === formatKey(key));
        expect(verdicts[of]).toBe(store === primary ? "stranded" : "struck");
        expect(verdicts.filter((verdict) => verdict === "stranded").length).toBeLessThan(2);
      }
      expect((await backup.stranded(null, 10)).total).toBe(1);
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
        await primary.configurePeers([zurich, geneva]);
        await backup.configurePeers([calgary, geneva]);
        await fill(primary, 2);
        if (proved === "was proved lower down") await drain(primary, backup);
        const whole = (await backup.site()).head;
        await fill(primary, 2);
        await drain(primary, third);
        const listing = await primary.listAbove(whole.position, batch);
        expectApplied(await backup.applyPush(await pushOf(primary, { ...listing, digest: null })));
        const { head } = await primary.site();
        expect((await backup.site()).head).toEqual(head);

        const { from } = await backup.promote();
        expect(from).toEqual(whole);
        expect(await backup.firstKnown(await primary.pointsBelow(head.position, 100))).toEqual(whole);
        const own = (await backup.site()).head;
        expect(own.position).toEqual(head.position);
        expect(await backup.firstKnown([own])).toEqual(own);
        expect(await backup.resumeFrom(geneva, head, [])).toBe("foreign");
        await third.recordEpoch((await backup.site()).epoch);
        await third.rejoin(await winnerOf(backup, whole));
        await drain(backup, third);
        expect(shared(await allRows(third))).toEqual(shared(await allRows(backup)));
      },
    );

    it("is followed by the backups that it did not leave behind", async () => {
      const { primary, backup } = await pair();
      const third = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
      await drain(primary, third);
      await backup.promote();
      await fill(backup, 2);
      await drain(backup, third);
      expect(await third.site()).toMatchObject({ epoch: (await backup.site()).epoch });
      expect(shared(await allRows(third))).toEqual(shared(await allRows(backup)));
    });
  });
}

function backupOf(name: string): typeof zurich {
  return name as typeof zurich;
}
