import { expect } from "vitest";
import { planRepair, type RowSummary } from "../../src/core/repair.ts";
import type { RowKey } from "../../src/core/row.ts";
import type { RepairGuard, RepairOutcome, Store } from "../../src/core/store.ts";

/** A repair as its driver does it, but without a network between the two. */

export type Pair = { readonly primary: Store; readonly backup: Store };

/** What the primary names with each step of a repair. */
export async function guardOf({ primary, backup }: Pair): Promise<RepairGuard> {
  const { site, realm, role, epoch, head } = await primary.site();
  return { from: { site, realm, role, epoch, applied: head }, at: (await backup.site()).head };
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
    const page: readonly RowSummary[] = await store.bucketRows(bucket, after, limit);
    expect(page.length).toBeLessThanOrEqual(limit);
    listed.push(...page);
    if (page.length < limit) return listed;
  }
}

/** What a repair's driver does, in one go. */
export async function repair(pair: Pair): Promise<{ replaced: number; removed: number; healed: number }> {
  const { primary, backup } = pair;
  const [own, theirs] = [await primary.recount(), await backup.recount()];
  const numbers = new Set([...own.buckets.differing(theirs.buckets), ...own.damaged, ...theirs.damaged]);
  const sum = { replaced: 0, removed: 0, healed: 0 };
  for (const bucket of numbers) {
    const plan = planRepair({
      own: await listBucket(primary, bucket, 3),
      theirs: await listBucket(backup, bucket, 3),
      acked: (await backup.site()).head.position,
      quarantined: new Set(),
    });
    sum.healed += await primary.healRows(await backup.rowsOf(plan.fetch));
    const rows = await primary.rowsOf(plan.ship);
    const outcome = expectRepaired(await backup.applyRepair(await guardOf(pair), rows, plan.remove));
    sum.replaced += outcome.replaced;
    sum.removed += outcome.removed;
  }
  return sum;
}
