import { formatPosition, type Position } from "../../core/position.ts";
import type { Rejection, RejectionCode, WireKey } from "../../core/push.ts";
import type { Connection } from "./connection.ts";
import type { Transaction } from "./transaction.ts";

/**
 * On a backup: rows that it refused alone and still lacks. They are kept by their wire form, since they may be of a kind that
 * this program does not know.
 */

/**
 * More than these are not named in one answer. The newest are: older ones were named before, and those of a push whose ACK
 * was lost are the newest there are.
 */
export const namedRejectionsMax = 1_000;

type RejectionColumns = { kind: string; key: string; epoch: number; seq: number; code: RejectionCode };

/**
 * What this site lacks, for an answer.
 * @param refused of the push that is answered: what an ACK does not name of it would pass for taken
 */
export function readRejections(connection: Connection, refused: readonly Rejection[] = []): Rejection[] {
  const newest = connection
    .all<RejectionColumns>(
      "SELECT * FROM rejections ORDER BY epoch DESC, seq DESC LIMIT ? + 0",
      namedRejectionsMax,
    )
    .toReversed()
    .map(({ kind, key, epoch, seq, code }) => ({
      key: { kind, key: JSON.parse(key) as WireKey["key"] },
      position: { epoch, seq },
      code,
    }));
  const named = new Set(newest.map(nameOf));
  return [...newest, ...refused.filter((rejection) => !named.has(nameOf(rejection)))];
}

function nameOf({ key, position }: Rejection): string {
  return `${formatPosition(position)} ${wireKeyName(key)}`;
}

/** One text for a key, whatever its kind. */
export function wireKeyName(key: WireKey): string {
  return `${key.kind} ${keyText(key)}`;
}

export function hasRejections(connection: Connection): boolean {
  return connection.get("SELECT 1 FROM rejections LIMIT 1") !== undefined;
}

export function addRejection(tx: Transaction, { key, position, code }: Rejection): void {
  tx.connection.run(
    `INSERT INTO rejections (kind, key, epoch, seq, code) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (kind, key) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, code = excluded.code
     WHERE (excluded.epoch, excluded.seq) >= (epoch, seq)`,
    key.kind,
    keyText(key),
    position.epoch,
    position.seq,
    code,
  );
  tx.know({ hasRejections: true });
}

/** The row is here at `position`: a refusal at that position or below no longer stands. */
export function dropRejection(tx: Transaction, key: WireKey, position: Position): void {
  if (!tx.state.hasRejections) return;
  tx.connection.run(
    "DELETE FROM rejections WHERE kind = ? AND key = ? AND (epoch, seq) <= (?, ?)",
    key.kind,
    keyText(key),
    position.epoch,
    position.seq,
  );
  noteRejections(tx);
}

/** Notes whether any rejection stands: to be called when some may have gone. */
function noteRejections(tx: Transaction): void {
  tx.know({ hasRejections: hasRejections(tx.connection) });
}

/** The same text for the same key, in whatever order its ids came. */
function keyText({ key }: WireKey): string {
  return JSON.stringify(Object.fromEntries(Object.entries(key).toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

/** What was refused above a position is no part of this site's history any more. */
export function dropRejectionsAbove(tx: Transaction, { epoch, seq }: Position): void {
  tx.connection.run("DELETE FROM rejections WHERE (epoch, seq) > (?, ?)", epoch, seq);
  noteRejections(tx);
}
