import { compareEpochs } from "../../core/epoch.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import { type Identity, type Push, type Rejection, samePoint } from "../../core/push.ts";
import { formatKey, type StoredRow } from "../../core/row.ts";
import type { Acknowledgement, RefusedRow } from "../../core/store/replication.ts";
import { decodeKey } from "../../protocol/wire-rows.ts";

/** What the answer to a push says of it. */

/** An ACK counts only from the expected epoch and with everything covered; at the same position, only of the same history. */
export function isAckFor(identity: Identity, push: Push): boolean {
  if (identity.role !== "backup" || identity.realm !== push.realm) return false;
  if (compareEpochs(identity.epoch, push.epoch) !== 0) return false;
  const order = comparePositions(identity.applied.position, push.through.position);
  return order > 0 || samePoint(identity.applied, push.through);
}

/** Whether one of the rows that were just pushed was refused. */
export function refusesAny({ rejected }: Acknowledgement, pushed: readonly StoredRow[]): boolean {
  if (rejected.length === 0) return false;
  const positions = new Map(rejected.map((row) => [formatKey(row.key), row.position]));
  return pushed.some(({ key, position }) => {
    const refused = positions.get(formatKey(key));
    return refused !== undefined && comparePositions(refused, position) === 0;
  });
}

/** Whether a push covers a position. */
export function isWithin(position: Position, push: Push): boolean {
  return (
    comparePositions(position, push.after.position) > 0 &&
    comparePositions(position, push.through.position) <= 0
  );
}

/** Rejections by this site's own keys. A key that it cannot read names no row of its own. */
export function refusedRows(rejections: readonly Rejection[]): readonly RefusedRow[] {
  return rejections.flatMap(({ key: wireKey, position, code }) => {
    const key = decodeKey(wireKey);
    return key ? [{ key, position, code }] : [];
  });
}
