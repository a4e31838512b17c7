import { expect } from "vitest";
import { planRepair, type RowSummary } from "../../src/core/repair.ts";
import { Buckets } from "../../src/core/digest.ts";
import type { Row, RowKey } from "../../src/core/row.ts";
import { sha256Hash } from "../support/ports.ts";
import { allRows } from "./store-harness.ts";
import type { RepairGuard, RepairOutcome } from "../../src/core/store/repair.ts";
import type { Store } from "../../src/core/store/store.ts";

/** A repair as its driver does it, but without a network between the two. */

export type Pair = { readonly primary: Store; readonly backup: Store };

/** What the primary names with each step of a repair. */
export async function guardOf({ primary, backup }: Pair): Promise<RepairGuard> {
  const { site, realm, role, epoch, head } = await primary.read((r) => r.site.record());
  return {
    from: { site, realm, role, epoch, applied: head },
    at: (await backup.read((r) => r.site.record())).head,
  };
}

function expectRepaired(outcome: RepairOutcome): RepairOutcome & { kind: "applied" } {
  if (outcome.kind !== "applied") throw new Error(`refused: ${outcome.code}`);
  return outcome;
}

export async function listBucket(
  store: Store,
  bucket: number,
  limit: number,
): Promise<readonly RowSummary[]> {
  const listed: RowSummary[] = [];
  for (let after: RowKey | null = null; ; after = listed.at(-1)?.key ?? null) {
    const page: readonly RowSummary[] = await store.survey.bucketRows(bucket, after, limit);
    expect(page.length).toBeLessThanOrEqual(limit);
    listed.push(...page);
    if (page.length < limit) return listed;
  }
}

/** What a repair's driver does, in one go. */
export async function repair(pair: Pair): Promise<{ replaced: number; removed: number; healed: number }> {
  const { primary, backup } = pair;
  const [own, theirs] = [await primary.survey.recount(), await backup.survey.recount()];
  const numbers = new Set([...own.buckets.differing(theirs.buckets), ...own.damaged, ...theirs.damaged]);
  const sum = { replaced: 0, removed: 0, healed: 0 };
  for (const bucket of numbers) {
    const plan = planRepair({
      own: await listBucket(primary, bucket, 3),
      theirs: await listBucket(backup, bucket, 3),
      acked: (await backup.read((r) => r.site.record())).head.position,
      quarantined: new Set(),
    });
    const rows2 = await backup.read((r) => r.repair.rowsOf(plan.fetch));
    sum.healed += await primary.transact((tx) => tx.repair.heal(rows2));
    const rows = await primary.read((r) => r.repair.rowsOf(plan.ship));
    const guard = await guardOf(pair);
    const outcome = expectRepaired(await backup.transact((tx) => tx.repair.apply(guard, rows, plan.remove)));
    sum.replaced += outcome.replaced;
    sum.removed += outcome.removed;
  }
  return sum;
}

function digestOfRows(rows: readonly Row[]): Uint8Array {
  const buckets = new Buckets();
  for (const row of rows) buckets.toggle(sha256Hash, row);
  return buckets.digest(sha256Hash);
}

/** Whether what a site says it holds is what it holds. */
export async function expectTrueDigest(store: Store): Promise<void> {
  expect((await store.read((r) => r.site.digest())).digest).toEqual(digestOfRows(await allRows(store)));
}

/** Damage to a row, behind the store's back. */
export const flipBody = "UPDATE rows SET body = x'00' WHERE kind = 'entry' AND item_id = ?";
export const flipHash = "UPDATE rows SET hash = zeroblob(32) WHERE kind = 'entry' AND item_id = ?";

export function entryId(key: RowKey | undefined): string {
  if (key?.kind !== "entry") throw new Error("no entry");
  return key.entryId;
}
