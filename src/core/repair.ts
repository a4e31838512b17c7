import { bytesEqual } from "./bytes.ts";
import { comparePositions, type Position } from "./position.ts";
import { formatKey, type RowKey } from "./row.ts";

/** A row without its body. `isIntact`: its body is the one that its stored hash was taken of. */
export type RowSummary = {
  readonly key: RowKey;
  readonly position: Position;
  readonly hash: Uint8Array;
  readonly isIntact: boolean;
};

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
