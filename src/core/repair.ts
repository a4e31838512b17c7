import { bytesEqual } from "./bytes.ts";
import { compareEpochs, type Epoch, isReignOfAnother } from "./epoch.ts";
import type { RepairCursor, RepairReply, RepairStep } from "./ports.ts";
import { comparePositions, type Point, type Position } from "./position.ts";
import { type Identity, type PushRefusal, type Receiver, samePoint } from "./push.ts";
import { formatKey, type RowKey, rowKinds } from "./row.ts";

/**
 * Whether a step of a repair may happen here, in the order of a push's checks. A push at the very point is what must come first
 * where this site has not yet followed the sender: until then its rows are of another reign (`resume`).
 * @param followed the epoch of the last push that was applied here
 */
export function judgeRepair(
  receiver: Receiver,
  followed: Epoch,
  { from, at }: { readonly from: Identity; readonly at: Point },
): PushRefusal | undefined {
  if (receiver.realm === null || receiver.realm !== from.realm) return "other_realm";
  if (isReignOfAnother(receiver.timeline, from.epoch, from.site)) return "other_primary";
  if (compareEpochs(from.epoch, receiver.epoch) < 0) return "stale_epoch";
  if (receiver.role !== "backup") return "not_a_backup";
  const isFollowed = compareEpochs(from.epoch, followed) === 0;
  return isFollowed && samePoint(at, receiver.applied) ? undefined : "resume";
}

/** A row without its body. `isIntact`: its body is the one that its stored hash was taken of. */
export type RowSummary = {
  readonly key: RowKey;
  readonly position: Position;
  readonly hash: Uint8Array;
  readonly isIntact: boolean;
};

type ListStep = RepairStep & { readonly step: "list" };
type ListReply = RepairReply & { readonly step: "list" };

/**
 * Whether a page is one after which a listing ends or comes nearer to its end: it goes on only behind rows, in a bucket that
 * was asked for, and above where it went on before. Otherwise a peer that is wrong could keep this site listing for good.
 */
export function isListedOn(
  { buckets, after }: Pick<ListStep, "buckets" | "after">,
  { rows, next }: Pick<ListReply, "rows" | "next">,
): boolean {
  if (next === null) return true;
  if (rows.length === 0 || !buckets.includes(next.bucket)) return false;
  return after === null || compareCursors(after, next) < 0;
}

/** Negative, zero or positive, as rows are listed: by bucket, then by kind, then by key. */
function compareCursors(a: RepairCursor, b: RepairCursor): number {
  if (a.bucket !== b.bucket) return a.bucket - b.bucket;
  if (a.key.kind !== b.key.kind) return rowKinds.indexOf(a.key.kind) - rowKinds.indexOf(b.key.kind);
  const [first, second] = [formatKey(a.key), formatKey(b.key)];
  if (first === second) return 0;
  return first < second ? -1 : 1;
}

/** What makes one bucket of a backup equal to the primary's. */
export type RepairPlan = {
  /** Keys of rows that the backup needs of the primary. */
  readonly ship: readonly RowKey[];
  /** Keys of rows that only the backup has. */
  readonly remove: readonly RowKey[];
  /** Keys of rows that are damaged on the primary and intact on the backup. */
  readonly fetch: readonly RowKey[];
  /** Keys of rows that nobody has intact. */
  readonly hopeless: readonly RowKey[];
};

export type RepairSides = {
  readonly own: readonly RowSummary[];
  readonly theirs: readonly RowSummary[];
  /** What the backup has acknowledged: the primary's rows above it come by push. */
  readonly acked: Position;
  /** Keys, as formatKey writes them, that the backup refuses. */
  readonly quarantined: ReadonlySet<string>;
};

/**
 * Decides what a repair moves, row by row. The primary's state wins wherever its row is intact; a row that fails its own hash
 * is shipped by nobody, and the intact row that the other side has at that position takes its place.
 */
export function planRepair({ own, theirs, acked, quarantined }: RepairSides): RepairPlan {
  const plan = {
    ship: [] as RowKey[],
    remove: [] as RowKey[],
    fetch: [] as RowKey[],
    hopeless: [] as RowKey[],
  };
  const theirsByKey = new Map(theirs.map((row) => [formatKey(row.key), row]));
  const ownKeys = new Set(own.map((row) => formatKey(row.key)));
  for (const row of own) {
    const name = formatKey(row.key);
    if (quarantined.has(name) || comparePositions(row.position, acked) > 0) continue;
    const step = stepFor(row, theirsByKey.get(name));
    if (step) plan[step].push(row.key);
  }
  for (const row of theirs) if (!ownKeys.has(formatKey(row.key))) plan.remove.push(row.key);
  return plan;
}

function stepFor(own: RowSummary, theirs: RowSummary | undefined): "ship" | "fetch" | "hopeless" | undefined {
  const isSamePosition = theirs !== undefined && comparePositions(own.position, theirs.position) === 0;
  if (!own.isIntact) return isSamePosition && theirs.isIntact ? "fetch" : "hopeless";
  const isEqual = isSamePosition && theirs.isIntact && bytesEqual(own.hash, theirs.hash);
  return isEqual ? undefined : "ship";
}
