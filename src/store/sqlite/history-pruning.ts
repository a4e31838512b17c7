import { comparePositions, type Position } from "../../core/position.ts";
import type { Connection } from "./connection.ts";
import { pointAtOrAbove, pointAtOrBelow } from "./history.ts";
import { lowestAcked } from "./peers.ts";
import type { View } from "./state.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Points of the last so many changes are kept, whatever else is true of them. */
export const changesKept = 100_000;

export type Pruning = {
  /** How many points one call looks at, at most. */
  readonly pointsMax: number;
  readonly changesKept: number;
};

type Candidate = { epoch: number; seq: number; acknowledged: number };

/** Points looked at in one step. */
const slicePoints = 200;

/** Prunes up to so many points of the history, letting other work run in between. */
export function* pruneInSlices(tx: Transaction, pointsMax: number): Steps<void> {
  for (let left = pointsMax; left > 0; left -= slicePoints) {
    const looked = pruneHistory(tx, { pointsMax: Math.min(left, slicePoints), changesKept });
    if (looked < slicePoints) return;
    yield;
  }
}

/**
 * Forgets points of the history that nobody can need, looks at each only once, and returns how many it looked at. Kept are the points above the lowest
 * acked, those of the last changes, every point some site stood at (so that a very old copy of a backup is still
 * recognised), and every point that covers a row: without its chain a batch could not end there, and what lies between two
 * points that are left would grow beyond a batch.
 */
export function pruneHistory(tx: Transaction, { pointsMax, changesKept: kept }: Pruning): number {
  const { connection } = tx;
  const newest = tx.site().head.position.seq - kept;
  const cursor = tx.state.pruned;
  if (cursor.seq >= newest) return 0;
  const candidates = candidatesAbove(tx, cursor, pointsMax);
  const first = candidates.findIndex(({ seq }) => seq > newest);
  const old = first === -1 ? candidates : candidates.slice(0, first);
  let below = pointAtOrBelow(connection, cursor).position;
  for (const candidate of old) {
    if (candidate.acknowledged === 1 || coversRow(connection, below, candidate)) below = candidate;
    else forget(connection, candidate);
  }
  const last = old.at(-1);
  if (last) tx.savePruned({ epoch: last.epoch, seq: last.seq });
  return old.length;
}

/** To be called when a row has left a position: the point that was kept for it may have been kept for nothing else. */
export function pruneLeft({ connection, state }: View, left: Position): void {
  if (comparePositions(left, state.pruned) > 0) return;
  const point = pointAtOrAbove(connection, left);
  if (!point || isAcknowledged(connection, point.position)) return;
  const { epoch, seq } = point.position;
  const below = connection.get<Position>(
    "SELECT epoch, seq FROM history WHERE (epoch, seq) < (?, ?) ORDER BY epoch DESC, seq DESC LIMIT 1",
    epoch,
    seq,
  );
  if (!coversRow(connection, below ?? { epoch: 0, seq: 0 }, point.position))
    forget(connection, point.position);
}

/** A backup's peers are none of its own: what they have acknowledged is for the primary to know. */
function candidatesAbove(tx: Transaction, cursor: Position, pointsMax: number): Candidate[] {
  const { connection } = tx;
  const acked = tx.site().role === "primary" ? lowestAcked(tx.state.peers) : undefined;
  const lowest = acked ?? { epoch: Number.MAX_SAFE_INTEGER, seq: 0 };
  return connection.all<Candidate>(
    `SELECT epoch, seq, acknowledged FROM history WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?)
     ORDER BY epoch, seq LIMIT ? + 0`,
    cursor.epoch,
    cursor.seq,
    lowest.epoch,
    lowest.seq,
    pointsMax,
  );
}

function coversRow(connection: Connection, below: Position, through: Position): boolean {
  const sql = "SELECT 1 FROM rows WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?) LIMIT 1";
  return connection.get(sql, below.epoch, below.seq, through.epoch, through.seq) !== undefined;
}

function isAcknowledged(connection: Connection, { epoch, seq }: Position): boolean {
  return (
    connection.get("SELECT 1 FROM history WHERE epoch = ? AND seq = ? AND acknowledged = 1", epoch, seq) !==
    undefined
  );
}

function forget(connection: Connection, { epoch, seq }: Position): void {
  connection.run("DELETE FROM history WHERE epoch = ? AND seq = ?", epoch, seq);
}
