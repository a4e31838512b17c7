import type { Position } from "../../core/position.ts";
import { lowestAcked, lowestLacking } from "./peers.ts";
import { standsIn } from "./quarantine.ts";
import { type ReplicatedTable, replicatedTables } from "./replicated-tables.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Rows whose marks are cleared in one step. */
const sliceRows = 500;

/** Above every position: without peers no mark has a meaning. */
const everything: Position = { epoch: Number.MAX_SAFE_INTEGER, seq: 0 };

/**
 * Clears the marks of rows that every peer holds. Only the position acknowledged counts (I3): a row changed since stands
 * higher and keeps its mark. A row in quarantine keeps its own, for one peer lacks it.
 */
export function* clearMarks(tx: Transaction, now: number): Steps<void> {
  const lowest = lowestAcked(tx.connection);
  if (lowest === undefined) return yield* clearAllMarks(tx);
  for (const table of replicatedTables) {
    const sql = clearSql(table);
    while (tx.connection.run(sql, now, lowest.epoch, lowest.seq, sliceRows) === sliceRows) yield;
  }
}

/** Clears every mark, of quarantined rows too: on a site that has nobody to push to. */
export function* clearAllMarks(tx: Transaction): Steps<void> {
  const { epoch, seq } = everything;
  for (const table of replicatedTables) {
    const sql = clearAllSql(table);
    while (tx.connection.run(sql, null, epoch, seq, sliceRows) === sliceRows) yield;
  }
}

function clearSql(table: ReplicatedTable): string {
  return clearWhere(table, `AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE ${standsIn(table)})`);
}

function clearAllSql(table: ReplicatedTable): string {
  return clearWhere(table, "");
}

function clearWhere({ name }: ReplicatedTable, also: string): string {
  return `UPDATE ${name} SET replication_dirty = 0, dirty_since = NULL, replicated_at = coalesce(?, replicated_at)
    WHERE rowid IN (SELECT rowid FROM ${name} INDEXED BY ${name}_dirty
      WHERE replication_dirty = 1 AND (epoch, seq) <= (?, ?) ${also} ORDER BY epoch, seq LIMIT ? + 0)`;
}

/** See PrimaryStore.markDirtyAbove. */
export function markAbove(tx: Transaction, limit: number, now: number): number {
  const lowest = lowestLacking(tx.connection);
  if (lowest === undefined || tx.site().role !== "primary") return 0;
  let marked = 0;
  for (const table of replicatedTables) {
    marked += tx.connection.run(markSql(table), now, lowest.epoch, lowest.seq, limit - marked);
  }
  return marked;
}

function markSql({ name }: ReplicatedTable): string {
  return `UPDATE ${name} SET replication_dirty = 1, dirty_since = ?
    WHERE rowid IN (SELECT rowid FROM ${name} INDEXED BY ${name}_unmarked
      WHERE replication_dirty = 0 AND (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ? + 0)`;
}
