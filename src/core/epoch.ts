import type { SiteName } from "./ids.ts";
import { comparePositions, lowerPosition, type Point, type Position } from "./position.ts";

/** One reign of one primary: numbers rise with each promotion, ids tell apart two sites promoted to the same number. */
export type Epoch = { readonly number: number; readonly id: string };

/** One line of the timeline: `site` became primary of `epoch`, continuing from `from`. The first names the origin. */
export type Promotion = { readonly epoch: Epoch; readonly site: SiteName; readonly from: Point };

/** Negative, zero or positive: by number, then by id. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.number !== b.number) return a.number - b.number;
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}

/** Promotions are made by people. A number this far above all that were seen was made up, or is a fault of a disk. */
const leapMax = 1_000_000;

/** Whether an epoch must not be believed: it would leave no numbers for the promotions to come, and so end them for good. */
export function isLeap(epoch: Epoch, seen: Epoch): boolean {
  return epoch.number - seen.number > leapMax;
}

/**
 * Whether a timeline names another site as the primary of an epoch, which has one (I8). Of an epoch that it does not name,
 * nothing is known.
 */
export function isReignOfAnother(timeline: readonly Promotion[], epoch: Epoch, site: SiteName): boolean {
  return timeline.some((line) => compareEpochs(line.epoch, epoch) === 0 && line.site !== site);
}

function samePromotion(a: Promotion | undefined, b: Promotion | undefined): boolean {
  return a !== undefined && b !== undefined && compareEpochs(a.epoch, b.epoch) === 0;
}

/**
 * The position up to which two histories are one: the lowest that any promotion which they do not share continued from, since a
 * later one may have continued from below an earlier; undefined where both timelines are the same.
 */
function forkPoint(own: readonly Promotion[], other: readonly Promotion[]): Position | undefined {
  let shared = 0;
  while (samePromotion(own[shared], other[shared])) shared += 1;
  const parted = [...own.slice(shared), ...other.slice(shared)].map(({ from }) => from.position);
  return parted.length === 0 ? undefined : parted.reduce(lowerPosition);
}

/** Whether a site at `applied` with timeline `own` holds changes that the history of `other` does not. */
export function isForked(own: readonly Promotion[], other: readonly Promotion[], applied: Position): boolean {
  const fork = forkPoint(own, other);
  return fork !== undefined && comparePositions(applied, fork) > 0;
}
