import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { comparePositions } from "../../src/core/position.ts";
import type { Push } from "../../src/core/push.ts";
import { formatKey, type RowKey } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import {
  allRows,
  calgary,
  drain,
  newEntry,
  newVault,
  newVersion,
  pushOf,
  type StoreUnderTest,
  shared,
  zurich,
} from "./store-harness.ts";

/** A change of one of a few rows: which, and to what; null purges it. */
type Change = { readonly row: number; readonly text: string | null };

const change = fc.record({ row: fc.nat(7), text: fc.option(fc.string({ maxLength: 20 })) });
const changes = fc.array(change, { minLength: 1, maxLength: 40 });
/** Sizes of batches, used in turn; what lies between two pushes is changed in between. */
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });

const runs = { numRuns: 40 };

/** What must hold for any changes, any split into batches and any repetition. */
export function replicationProperties({ open }: StoreUnderTest): void {
  const primaryWith = async (
    made: readonly Change[],
  ): Promise<{ primary: Store; apply: (made: Change) => Promise<void> }> => {
    const primary = await open({ site: calgary, role: "primary", clock: new VirtualClock() });
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    const vaults = [newVault(), newVault()];
    const keys: RowKey[] = [
      ...vaults,
      ...vaults.flatMap(({ vaultId }) => {
        const entry = newEntry(vaultId);
        return [entry, newVersion(entry, 1), newVersion(entry, 2)];
      }),
    ];
    const apply = async ({ row, text }: Change): Promise<void> => {
      const key = keys[row] ?? newVault();
      await primary.transact((tx) =>
        tx.rows.write({ keys: [key], decide: () => [{ key, body: text === null ? null : utf8(text) }] }),
      );
    };
    for (const one of made) await apply(one);
    return { primary, apply };
  };

  const emptyBackup = (): Promise<Store> => open({ site: zurich, role: "backup", clock: new VirtualClock() });

  /** Every push of a drain with batches of these sizes. */
  const pushesOf = async (primary: Store, batchRows: readonly number[]): Promise<Push[]> => {
    const pushes: Push[] = [];
    for (let after = { epoch: 0, seq: 0 }, isLast = false; !isLast; ) {
      const rows = batchRows[pushes.length % batchRows.length] ?? 1;
      const listing = await primary.read((r) => r.replication.listAbove(after, { rows, bytes: 2 ** 20 }));
      ({ isLast } = listing);
      after = listing.through.position;
      pushes.push(await pushOf(primary, listing));
    }
    return pushes;
  };

  describe("for any changes", () => {
    it("applying every push twice is applying it once", async () => {
      await fc.assert(
        fc.asyncProperty(changes, sizes, async (made, batchRows) => {
          const { primary } = await primaryWith(made);
          const [once, twice] = [await emptyBackup(), await emptyBackup()];
          for (const push of await pushesOf(primary, batchRows)) {
            await once.transact((tx) => tx.replication.applyPush(push));
            await twice.transact((tx) => tx.replication.applyPush(push));
            const again = await twice.transact((tx) => tx.replication.applyPush(push));
            // The second finds the watermark moved, unless the push moved nothing.
            expect(again.kind === "refused" ? again.code : again.accepted).toBe(
              again.kind === "refused" ? "resume" : 0,
            );
          }
          expect(await allRows(twice)).toEqual(await allRows(once));
          expect((await twice.read((r) => r.site.record())).head).toEqual(
            (await once.read((r) => r.site.record())).head,
          );
        }),
        runs,
      );
    });

    it("any split into batches, with any repetition of older ones, ends in the same state", async () => {
      const repeats = fc.array(fc.nat(20), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(changes, sizes, repeats, async (made, batchRows, repeated) => {
          const { primary } = await primaryWith(made);
          const backup = await emptyBackup();
          const pushes = await pushesOf(primary, batchRows);
          for (const [index, push] of pushes.entries()) {
            await backup.transact((tx) => tx.replication.applyPush(push));
            const older = pushes[(repeated[index % Math.max(1, repeated.length)] ?? 0) % (index + 1)];
            if (older) await backup.transact((tx) => tx.replication.applyPush(older));
          }
          expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
          expect((await backup.read((r) => r.site.record())).head).toEqual(
            (await primary.read((r) => r.site.record())).head,
          );
        }),
        runs,
      );
    });

    it("no push, however old, replaces a newer row by an older", async () => {
      const steps = fc.array(
        fc.record({ made: change, batchRows: fc.integer({ min: 1, max: 5 }), replay: fc.nat(30) }),
        {
          minLength: 1,
          maxLength: 25,
        },
      );
      await fc.assert(
        fc.asyncProperty(steps, async (all) => {
          const { primary, apply } = await primaryWith([]);
          const backup = await emptyBackup();
          const sent: Push[] = [];
          for (const { made, batchRows, replay } of all) {
            await apply(made);
            const { head } = await backup.read((r) => r.site.record());
            const listing = await primary.read((r) =>
              r.replication.listAbove(head.position, { rows: batchRows, bytes: 2 ** 20 }),
            );
            sent.push(await pushOf(primary, listing));
            for (const push of [sent.at(-1), sent[replay % sent.length]]) {
              const before = new Map((await rowsOf(backup)).map((row) => [formatKey(row.key), row]));
              const { head: applied } = await backup.read((r) => r.site.record());
              if (push)
                await backup.transact((tx) =>
                  tx.replication.applyPush({ ...push, after: applied, through: applied }),
                );
              if (push) await backup.transact((tx) => tx.replication.applyPush(push));
              for (const row of await rowsOf(backup)) {
                const older = before.get(formatKey(row.key));
                if (older) expect(comparePositions(row.position, older.position)).toBeGreaterThanOrEqual(0);
              }
            }
          }
          await drain(primary, backup);
          expect(shared(await allRows(backup))).toEqual(shared(await allRows(primary)));
        }),
        runs,
      );
    });

    it("what is dirty is what lies above acked, and nothing is once everything is acknowledged", async () => {
      await fc.assert(
        fc.asyncProperty(changes, changes, sizes, async (first, second, batchRows) => {
          const { primary, apply } = await primaryWith(first);
          const backup = await emptyBackup();
          await drain(primary, backup, { rows: batchRows[0] ?? 1, bytes: 2 ** 20 });
          expect(await primary.read((r) => r.replication.backlogOfAll())).toEqual({
            dirty: 0,
            oldestDirtySince: null,
            quarantined: 0,
          });
          for (const one of second) await apply(one);
          const changed = new Set(second.map(({ row }) => row));
          expect(await primary.read((r) => r.replication.backlog(zurich))).toMatchObject({
            dirty: changed.size,
            quarantined: 0,
          });
          expect((await allRows(primary)).filter(({ dirty }) => dirty)).toHaveLength(changed.size);
        }),
        runs,
      );
    });
  });
}

/** An empty backup belongs to no realm yet and can list nothing. */
async function rowsOf(backup: Store): Promise<Awaited<ReturnType<typeof allRows>>> {
  return (await backup.read((r) => r.site.record())).realm === null ? [] : allRows(backup);
}
