import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import type { RowKey } from "../../src/core/row.ts";
import type { Write } from "../../src/core/store/rows.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import {
  calgary,
  countedDigest,
  expectApplied,
  impossible,
  newEntry,
  newVault,
  pushOf,
  type StoreUnderTest,
  zurich,
} from "./store-harness.ts";

/** A write of some of a few rows; `fails` once all of it is decided, or is kept. */
type Attempt = {
  readonly rows: readonly { readonly row: number; readonly text: string | null }[];
  readonly fails: boolean;
};

type Step =
  /** Writes of one turn, which share a transaction. */
  | { readonly do: "write"; readonly attempts: readonly Attempt[] }
  /** A push of so many rows, `twice` as a repetition after a lost answer. */
  | { readonly do: "push"; readonly rows: number; readonly twice: boolean }
  | { readonly do: "reopen"; readonly who: "primary" | "backup" };

const attempt: fc.Arbitrary<Attempt> = fc.record({
  rows: fc.array(fc.record({ row: fc.nat(7), text: fc.option(fc.string({ maxLength: 8 })) }), {
    minLength: 1,
    maxLength: 4,
  }),
  fails: fc.boolean(),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("write" as const),
    attempts: fc.array(attempt, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    do: fc.constant("push" as const),
    rows: fc.integer({ min: 1, max: 5 }),
    twice: fc.boolean(),
  }),
  fc.record({ do: fc.constant("reopen" as const), who: fc.constantFrom("primary", "backup") }),
);

/** What must hold of the digest after any steps, on both sides. */
export function digestProperties({ open, reopen }: StoreUnderTest): void {
  const keysOfAll = (): RowKey[] => {
    const vaults = [newVault(), newVault()];
    return [
      ...vaults,
      ...vaults.flatMap(({ vaultId }) => Array.from({ length: 3 }, () => newEntry(vaultId))),
    ];
  };

  const writeOf = ({ rows, fails }: Attempt, keys: readonly RowKey[]): Write => ({
    keys: keys.slice(0, 2),
    decide: () => {
      const changes = rows.map(({ row, text }) => ({
        key: keys[row] ?? newVault(),
        body: text === null ? null : utf8(text),
      }));
      return fails ? [...changes, impossible] : changes;
    },
  });

  const run = async (steps: readonly Step[]): Promise<{ primary: Store; backup: Store }> => {
    const clock = new VirtualClock();
    const sites = {
      primary: await open({ site: calgary, role: "primary", clock }),
      backup: await open({ site: zurich, role: "backup", clock }),
    };
    await sites.primary.transact((tx) => tx.replication.configurePeers([zurich]));
    const keys = keysOfAll();
    for (const one of steps) {
      if (one.do === "write") {
        const writes = one.attempts.map((made) =>
          sites.primary.transact((tx) => tx.rows.write(writeOf(made, keys))),
        );
        const outcomes = await Promise.allSettled(writes);
        expect(outcomes.map(({ status }) => status === "rejected")).toEqual(
          one.attempts.map(({ fails }) => fails),
        );
      } else if (one.do === "push") await pushTo(sites, one);
      else sites[one.who] = await reopen(sites[one.who]);
      for (const store of [sites.primary, sites.backup]) {
        expect((await store.read((r) => r.site.digest())).digest).toEqual(await countedDigest(store));
      }
    }
    return sites;
  };

  const pushTo = async (
    { primary, backup }: { readonly primary: Store; readonly backup: Store },
    { rows, twice }: { readonly rows: number; readonly twice: boolean },
  ): Promise<boolean> => {
    const { head } = await backup.read((r) => r.site.record());
    const listing = await primary.read((r) =>
      r.replication.listAbove(head.position, { rows, bytes: 2 ** 20 }, zurich),
    );
    const push = await pushOf(primary, listing);
    const { verified } = expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
    expect(verified).toBe(listing.isLast ? true : null);
    if (twice) await backup.transact((tx) => tx.replication.applyPush(push));
    return listing.isLast;
  };

  describe("after any writes, failures, pushes, repetitions and restarts", () => {
    it("the digest is what a count of the rows gives, and a backup that has everything proves it", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
          const sites = await run(steps);
          while (!(await pushTo(sites, { rows: 3, twice: false })));
          const [ours, theirs] = [
            await sites.primary.read((r) => r.site.digest()),
            await sites.backup.read((r) => r.site.digest()),
          ];
          expect(theirs).toEqual(ours);
        }),
        { numRuns: 40 },
      );
    });
  });
}
