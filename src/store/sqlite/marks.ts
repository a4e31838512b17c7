import type { RowKey } from "../../core/row.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import type { Marked } from "../../core/store/replication.ts";
import type { Connection } from "./connection.ts";
import { lowestAcked, lowestLacking } from "./peers.ts";
import { isQuarantined, standsIn } from "./quarantine.ts";
import { itemOf, ofKey } from "./row-table.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Rows whose marks are cleared in one step. */
const sliceRows = 500;

/** Below and above every position. */
const bottom: Position = { epoch: 0, seq: 0 };
const everything: Position = { epoch: Number.MAX_SAFE_INTEGER, seq: 0 };

/**
 * Clears the marks of rows that every peer holds since `before`, which is what every peer held until now. Only the position
 * acknowledged counts (I3): a row changed since stands higher and keeps its mark. A row in quarantine keeps its own, for one
 * peer lacks it. Costs what lies between the two.
 */
export function* clearMarks(tx: Transaction, before: Position | undefined, now: number): Steps<void> {
  const lowest = lowestAcked(tx.state.peers);
  if (lowest === undefined) return yield* clearAllMarks(tx);
  yield* clearBetween(tx, {
    above: before ?? bottom,
    through: lowest,
    now,
    keepsRefused: tx.state.hasQuarantined,
  });
}

/** The same for so few rows that nobody has to be let work in between. */
export function clearMarksNow(tx: Transaction, before: Position, now: number): void {
  const through = lowestAcked(tx.state.peers);
  if (!through || comparePositions(before, through) >= 0) return;
  clearSlice(tx, { above: before, through, now, keepsRefused: tx.state.hasQuarantined });
}

/** Clears every mark, of quarantined rows too: on a site that has nobody to push to. */
export function* clearAllMarks(tx: Transaction): Steps<void> {
  yield* clearBetween(tx, { above: bottom, through: everything, now: null, keepsRefused: false });
}

type Clearing = {
  readonly above: Position;
  readonly through: Position;
  /** When the rows were replicated; null where they were not. */
  readonly now: number | null;
  /** Whether rows in quarantine keep their marks. */
  readonly keepsRefused: boolean;
};

/** In slices of positions, so that rows without a mark between the others cost no more than a look. */
function* clearBetween(tx: Transaction, clearing: Clearing): Steps<void> {
  const { above, through } = clearing;
  for (let from = above; comparePositions(from, through) < 0; ) {
    const end = sliceEnd(tx.connection, from, through);
    clearSlice(tx, { ...clearing, above: from, through: end });
    if (end === through) return;
    from = end;
    yield;
  }
}

function clearSlice(tx: Transaction, { above, through, now, keepsRefused }: Clearing): void {
  const also = keepsRefused ? `AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE ${standsIn})` : "";
  const sql = `UPDATE rows SET replication_dirty = 0, dirty_since = NULL, replicated_at = coalesce(?, replicated_at)
    WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?) AND replication_dirty = 1 ${also}`;
  const cleared = tx.connection.run(sql, now, above.epoch, above.seq, through.epoch, through.seq);
  if (cleared > 0) tx.noteMarks();
}

/** The position that a slice ends at: `through` itself where no more rows than a slice lie below it. */
function sliceEnd(connection: Connection, above: Position, through: Position): Position {
  const isShort = above.epoch === through.epoch && through.seq - above.seq <= sliceRows;
  if (isShort) return through;
  const sql = `SELECT epoch, seq FROM rows WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?)
    ORDER BY epoch, seq LIMIT 1 OFFSET ? + 0`;
  const values = [above.epoch, above.seq, through.epoch, through.seq];
  return connection.get<Position>(sql, ...values, sliceRows) ?? through;
}

/** Clears the mark of a row that has left the last quarantine it was in, where every peer is past it. */
export function clearMarkOf(tx: Transaction, key: RowKey, now: number): void {
  const lowest = lowestAcked(tx.state.peers);
  if (lowest === undefined || isQuarantined(tx.connection, key)) return;
  const sql = `UPDATE rows SET replication_dirty = 0, dirty_since = NULL, replicated_at = ?
    WHERE ${ofKey(key.kind)} AND replication_dirty = 1 AND (epoch, seq) <= (?, ?)`;
  tx.connection.run(sql, now, key.vaultId, itemOf(key), lowest.epoch, lowest.seq);
  tx.noteMarks();
}

/** See ReplicationWriter.markDirtyAbove. */
export function markAbove(tx: Transaction, after: Position | null, limit: number, now: number): Marked {
  const lowest = lowestLacking(tx.state.peers);
  if (lowest === undefined || tx.site().role !== "primary") return { marked: 0, next: null };
  const from = after && comparePositions(after, lowest) > 0 ? after : lowest;
  const next = sliceEndOf(tx.connection, from, limit);
  const through = next ?? everything;
  const sql = `UPDATE rows SET replication_dirty = 1, dirty_since = ?
    WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?) AND replication_dirty = 0`;
  const marked = tx.connection.run(sql, now, from.epoch, from.seq, through.epoch, through.seq);
  if (marked > 0) tx.noteMarks();
  return { marked, next };
}

/** The position of the last of so many rows above one; null where there are no more than these. */
function sliceEndOf(connection: Connection, above: Position, rows: number): Position | null {
  const sql =
    "SELECT epoch, seq FROM rows WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT 1 OFFSET ? + 0";
  return connection.get<Position>(sql, above.epoch, above.seq, rows - 1) ?? null;
}
