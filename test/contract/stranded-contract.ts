import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeStranded, strandedIdOf } from "../../src/core/aside.ts";
import { utf8 } from "../../src/core/bytes.ts";
import type { StrandedId } from "../../src/core/ids.ts";
import { comparePositions } from "../../src/core/position.ts";
import { formatKey, type Row } from "../../src/core/row.ts";
import { discardStranded, reapplyStranded } from "../../src/core/stranded.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import { asideOf, asideSites, collect, comeHome, rowAt, strandedKey } from "./aside-sites.ts";
import {
  allRows,
  drain,
  geneva,
  newEntry,
  newVault,
  type StoreUnderTest,
  set,
  shared,
} from "./store-harness.ts";

/** What becomes of rows that a failover left behind. */
export function strandedContract({ open, threadedRuns }: StoreUnderTest): void {
  const { alone, pair } = asideSites({ open });

  describe("stranded rows", () => {
    it("are listed by id, page after page, while they are live; and found by their id alone", async () => {
      const store = await alone();
      const rows = Array.from({ length: 5 }, (_, n) =>
        asideOf(rowAt(newVault(), `${n}`, { epoch: 1, seq: 90 })),
      );
      await store.transact((tx) => tx.aside.take(rows));
      const [settled, ...live] = rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      if (!settled) throw new Error("no rows");
      await store.transact((tx) => tx.rows.write(discardStranded([strandedKey(settled)])));
      const listed: (StrandedId | undefined)[] = [];
      for (let after: StrandedId | null = null; ; ) {
        const page = await store.read((r) => r.aside.stranded(after, 2));
        expect(page.total).toBe(4);
        const ids = page.rows.map(({ key }) => (key.kind === "stranded" ? key.strandedId : undefined));
        listed.push(...ids);
        after = ids.at(-1) ?? null;
        if (ids.length < 2) break;
      }
      expect(listed).toEqual(live.map(({ id }) => id));
      expect((await store.read((r) => r.aside.strandedById(settled.id)))?.body).toBeNull();
      expect(
        await store.read((r) => r.aside.strandedById("00000000-0000-8000-8000-000000000000" as StrandedId)),
      ).toBeUndefined();
    });

    it("are made again and settled by one write, unless the row was purged since", async () => {
      const store = await alone();
      const row = asideOf(rowAt(newVault(), "x", { epoch: 1, seq: 90 }));
      await store.transact((tx) => tx.aside.take([row]));
      await store.transact((tx) => tx.rows.write(reapplyStranded(strandedKey(row), row.key)));
      expect((await store.read((r) => r.rows.row(row.key)))?.body).toEqual(utf8("x"));
      expect((await store.read((r) => r.aside.stranded(null, 1))).total).toBe(0);
      const again = store.transact((tx) => tx.rows.write(reapplyStranded(strandedKey(row), row.key)));
      await expect(again).rejects.toMatchObject({ code: "stranded_unknown" });
      const purged = await set(store, newVault(), null);
      const older = asideOf(rowAt(purged.key, "older", { epoch: 1, seq: 90 }));
      await store.transact((tx) => tx.aside.take([older]));
      const refused = store.transact((tx) => tx.rows.write(reapplyStranded(strandedKey(older), purged.key)));
      await expect(refused).rejects.toMatchObject({ code: "reapply_refused" });
    });
  });

  describe("after any writes on sites that were apart", () => {
    type Step = {
      readonly where: "winner" | "loser" | "third";
      readonly row: number;
      readonly text: string | null;
    };
    const step: fc.Arbitrary<Step> = fc.record({
      where: fc.constantFrom("winner", "loser", "third") as fc.Arbitrary<Step["where"]>,
      row: fc.nat(5),
      text: fc.option(fc.string({ maxLength: 4 })),
    });

    it("all end equal, and each row that only a loser had is there or stranded, once", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
          const { primary: loser, backup: winner, keys } = await pair();
          const third = await open({ site: geneva, role: "backup", clock: new VirtualClock() });
          await drain(loser, third);
          const fork = (await winner.read((r) => r.site.record())).head;
          const all = [...keys, newVault(), newEntry(newVault().vaultId), newVault()];
          await winner.transact((tx) => tx.roles.promote());
          for (const { where, row, text } of steps) {
            // What is written while the third is told is put aside by both, the loser and it.
            if (where === "third") await drain(loser, third);
            else await set(where === "winner" ? winner : loser, all[row] ?? newVault(), text);
          }
          const lone = (await allRows(loser)).filter(
            ({ position }) => comparePositions(position, fork.position) > 0,
          );
          const heldBefore = new Map((await allRows(winner)).map((row) => [formatKey(row.key), row]));
          const epoch = (await winner.read((r) => r.site.record())).epoch;
          await loser.transact((tx) => tx.site.recordEpoch(epoch));
          await comeHome(winner, loser, fork);
          await comeHome(winner, third, fork);
          for (const site of [loser, third, loser]) await collect(winner, site);
          for (const site of [loser, third]) {
            await drain(winner, site);
            expect(shared(await allRows(site))).toEqual(shared(await allRows(winner)));
            expect((await site.read((r) => r.site.digest())).digest).toEqual(
              (await winner.read((r) => r.site.digest())).digest,
            );
          }
          const { rows: stranded } = await winner.read((r) => r.aside.stranded(null, 100));
          const identities = stranded.map(({ body }) => decodeStranded(body ?? new Uint8Array()).row);
          const isThere = async (row: Row): Promise<boolean> =>
            row.body === null && (await winner.read((r) => r.rows.row(row.key)))?.body === null;
          for (const row of lone) {
            const listed = identities.filter((one) => formatKey(one.key) === formatKey(row.key));
            if (await isThere(row)) expect(listed.every(({ body }) => body !== null)).toBe(true);
            else {
              const name = strandedIdOf(sha256Hash, row);
              expect(listed.filter((one) => strandedIdOf(sha256Hash, one) === name)).toHaveLength(1);
            }
          }
          // Nothing of the winner's own went, but what a purge on the losing side was allowed to purge.
          for (const [name, row] of heldBefore) {
            const now = await winner.read((r) => r.rows.row(row.key));
            const isKept = now !== undefined && comparePositions(now.position, row.position) === 0;
            const isPurged = now?.body === null && comparePositions(row.position, fork.position) <= 0;
            expect([name, isKept || isPurged]).toEqual([name, true]);
          }
        }),
        { numRuns: threadedRuns },
      );
    });
  });
}
