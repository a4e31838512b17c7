import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketOf, Buckets } from "../../src/core/digest.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import { entryId, expectTrueDigest, flipBody, flipHash } from "./repair-driver.ts";
import { calgary, fill, fillAtOnce, newEntry, newVault, put, type StoreUnderTest } from "./store-harness.ts";

/** Finding out whether a site holds what it says. */
export function recountContract({ open, reopen, behind, threadedRuns }: StoreUnderTest): void {
  const alone = async (): Promise<Store> =>
    open({ site: calgary, role: "primary", clock: new VirtualClock() });

  describe("a recount", () => {
    it("finds what is stored to be right, and says how far it is", async () => {
      const primary = await alone();
      await fillAtOnce(primary, 1_500);
      const told: [number, number][] = [];
      const recount = await primary.survey.recount((done, total) => told.push([done, total]));
      const { head, digest } = await primary.read((r) => r.site.digest());
      expect(recount).toMatchObject({ head, damaged: [], rows: 1_501 });
      expect(recount.buckets.digest(sha256Hash)).toEqual(digest);
      expect(told).toEqual([
        [0, 1_501],
        [1_000, 1_501],
        [1_501, 1_501],
      ]);
    });

    it("of an empty site is of nothing", async () => {
      const recount = await (await alone()).survey.recount();
      expect(recount).toMatchObject({ rows: 0, damaged: [] });
      expect(recount.buckets.bytes).toEqual(new Buckets().bytes);
    });

    it("corrects what was changed behind the store, and stays corrected after a restart", async () => {
      const store = await alone();
      const { keys } = await fill(store, 5);
      await behind(store, flipHash, entryId(keys[0]));
      await behind(store, "DELETE FROM rows WHERE kind = 'entry' AND item_id = ?", entryId(keys[1]));
      const wrong = (await store.read((r) => r.site.digest())).digest;
      const recount = await store.survey.recount();
      expect((await store.read((r) => r.site.digest())).digest).not.toEqual(wrong);
      await expectTrueDigest(store);
      expect(recount.buckets.digest(sha256Hash)).toEqual((await store.read((r) => r.site.digest())).digest);
      await expectTrueDigest(await reopen(store));
    });

    it("corrects one fault once where two count at a time", async () => {
      const store = await alone();
      const { keys } = await fill(store, 5);
      await behind(store, flipHash, entryId(keys[0]));
      let second: Promise<unknown> | undefined;
      await store.survey.recount(() => {
        second ??= store.survey.recount();
      });
      await second;
      await expectTrueDigest(store);
    });

    it("names the buckets of rows that fail their own hash, flipped in body or hash", async () => {
      const store = await alone();
      const { keys } = await fill(store, 9);
      await behind(store, flipBody, entryId(keys[2]));
      await behind(store, flipHash, entryId(keys[5]));
      const expected = [keys[2], keys[5]].map((key) => bucketOf(sha256Hash, key ?? newVault()));
      expect((await store.survey.recount()).damaged).toEqual(
        [...new Set(expected)].toSorted((a, b) => a - b),
      );
    });

    it("leaves right what is written while it counts, and corrects what was wrong before", async () => {
      const store = await alone();
      const { vault, keys } = await fill(store, 30);
      await behind(store, flipHash, entryId(keys[0]));
      const head = (await store.read((r) => r.site.record())).head;
      const written: Promise<unknown>[] = [];
      const recount = await store.survey.recount((done, total) => {
        if (done === total) return;
        written.push(
          store.transact((tx) => tx.rows.write(put(keys[1] ?? vault, "meanwhile"))),
          store.transact((tx) => tx.rows.write(put(keys[2] ?? vault, null))),
          store.transact((tx) => tx.rows.write(put(newEntry(vault.vaultId), "new"))),
        );
      });
      expect(written).toHaveLength(3);
      await Promise.all(written);
      expect(recount.head).toEqual(head);
      expect(recount.rows).toBe(31);
      expect((await store.read((r) => r.site.record())).head.position.seq).toBe(head.position.seq + 3);
      await expectTrueDigest(store);
    });

    it("with any writes before, during and after ends in the digest of the rows", async () => {
      const change = fc.record({ row: fc.nat(5), text: fc.option(fc.string({ maxLength: 5 })) });
      const changes = fc.array(change, { maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(changes, changes, changes, fc.nat(5), async (before, during, after, flipped) => {
          const store = await alone();
          const keys = Array.from({ length: 6 }, () => newEntry(newVault().vaultId));
          const write = ({ row, text }: (typeof before)[number]): Promise<unknown> =>
            store.transact((tx) => tx.rows.write(put(keys[row] ?? newVault(), text)));
          for (const one of before) await write(one);
          await behind(store, flipHash, entryId(keys[flipped]));
          const written: Promise<unknown>[] = [];
          await store.survey.recount((done, total) => {
            if (done < total || total === 0) written.push(...during.map(write));
          });
          await Promise.all(written);
          for (const one of after) await write(one);
          await expectTrueDigest(store);
        }),
        { numRuns: threadedRuns },
      );
    });

    it("is refused by a store that closes, which waits for nothing of it", async () => {
      const store = await alone();
      await fill(store, 3);
      const recounts = [store.survey.recount(), store.survey.recount()];
      await Promise.resolve();
      recounts.push(store.survey.recount());
      const settled = Promise.allSettled(recounts);
      await store.close();
      for (const outcome of await settled) {
        expect(outcome.status === "fulfilled" ? { code: "shutting_down" } : outcome.reason).toMatchObject({
          code: "shutting_down",
        });
      }
      await expect(store.survey.recount()).rejects.toMatchObject({ code: "shutting_down" });
    });
  });
}
