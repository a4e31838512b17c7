import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { Reader, Transaction } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import { calgary, fill, newEntry, newVault, put, putAll, type StoreUnderTest, set } from "./store-harness.ts";

/** What readers and transactions promise, whatever they are used for. */
export function portContract({ open }: StoreUnderTest): void {
  const primary = () => open({ site: calgary, role: "primary", clock: new VirtualClock() });

  describe("a reader", () => {
    it("has nothing that writes, in its types", async () => {
      const store = await primary();
      await store.read(async (r: Reader) => {
        // @ts-expect-error -- a reader cannot write
        expect(r.rows.write).toBeUndefined();
        // @ts-expect-error -- nor change a role
        expect(r.roles).toBeUndefined();
      });
    });

    it("sees one state, whatever is committed while it looks", async () => {
      const store = await primary();
      const vault = newVault();
      await set(store, vault, "v");
      const states = new Set<string>();
      const writes = Array.from({ length: 20 }, (_, index) =>
        set(store, newEntry(vault.vaultId), `${index}`),
      );
      let isDone = false;
      const written = Promise.all(writes).then(() => {
        isDone = true;
      });
      while (!isDone) {
        const [entries, seq] = await store.read(async (r) => {
          const [found] = await r.rows.vaults();
          for (let step = 0; step < 50; step += 1) await r.rows.row(vault);
          return [found?.entries ?? 0, (await r.site.record()).head.position.seq];
        });
        states.add(`${seq - entries}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await written;
      expect([...states]).toEqual(["1"]);
    });
  });

  describe("a transaction", () => {
    it("of several operations is there as a whole, and reads what it has changed", async () => {
      const store = await primary();
      const [vault, other] = [newVault(), newVault()];
      const seen = await store.transact(async (tx) => {
        await tx.rows.write(put(vault, "1"));
        await tx.alerts.add("disk_low", "", "full", {});
        await tx.rows.write(put(other, "2"));
        return [await tx.rows.row(vault), await tx.rows.row(other)];
      });
      expect(seen.map((row) => row?.body)).toEqual([utf8("1"), utf8("2")]);
      expect(await store.read((r) => r.rows.vaults())).toHaveLength(2);
      expect(await store.read((r) => r.alerts.openIncidents())).toHaveLength(1);
    });

    it("is undone as a whole where its work rejects, and takes nobody with it", async () => {
      const store = await primary();
      const [vault, other] = [newVault(), newVault()];
      const before = await store.read((r) => r.site.record());
      const failing = store.transact(async (tx) => {
        await tx.rows.write(put(vault, "1"));
        throw new Refusal("stale_match");
      });
      const outcomes = await Promise.allSettled([failing, set(store, other, "2")]);
      expect(outcomes).toMatchObject([{ reason: { code: "stale_match" } }, { status: "fulfilled" }]);
      expect(await store.read((r) => r.rows.row(vault))).toBeUndefined();
      const { head } = await store.read((r) => r.site.record());
      expect(head.position.seq).toBe(before.head.position.seq + 1);
    });

    it("is undone where one of its operations rejects, also when its work goes on", async () => {
      const store = await primary();
      const [vault, other] = [newVault(), newVault()];
      const refused = {
        keys: [other],
        decide: () => {
          throw new Refusal("stale_match");
        },
      };
      const outcome = store.transact(async (tx) => {
        await tx.rows.write(put(vault, "1"));
        await tx.rows.write(refused).catch(() => undefined);
      });
      await expect(outcome).rejects.toMatchObject({ code: "stale_match" });
      expect(await store.read((r) => r.rows.row(vault))).toBeUndefined();
    });

    it("is of no use when it is over", async () => {
      const store = await primary();
      let kept: Transaction | undefined;
      await store.transact(async (tx) => {
        kept = tx;
      });
      await expect(kept?.rows.write(put(newVault(), "late"))).rejects.toThrow("over");
      await expect(kept?.rows.vaults()).rejects.toThrow("over");
      expect(await store.read((r) => r.rows.vaults())).toEqual([]);
    });

    it("runs the operations that it is given at once one after the other, however large", async () => {
      const store = await primary();
      const { vault } = await fill(store, 0);
      const keys = [1, 2].map(() => Array.from({ length: 500 }, () => newEntry(vault.vaultId)));
      const written = await store.transact((tx) =>
        Promise.all(keys.map((some) => tx.rows.write(putAll(some, "e")))),
      );
      const seqs = written.flat().map(({ position }) => position.seq);
      expect(seqs).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 2));
    });

    it("is seen by nobody before it is committed", async () => {
      const store = await primary();
      const vault = newVault();
      const looks: unknown[] = [];
      const written = store.transact(async (tx) => {
        await tx.rows.write(put(vault, "1"));
        looks.push(store.read((r) => r.rows.vaults()));
        for (let step = 0; step < 10; step += 1) await tx.rows.row(vault);
        throw new Refusal("stale_match");
      });
      await expect(written).rejects.toMatchObject({ code: "stale_match" });
      expect(await Promise.all(looks)).toEqual([[]]);
    });
  });
}
