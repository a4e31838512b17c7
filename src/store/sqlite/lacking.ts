import { utf8 } from "../../core/bytes.ts";
import type { Epoch } from "../../core/epoch.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions, type Point, type Position } from "../../core/position.ts";
import { bytesOf, type Connection } from "./connection.ts";
import { pointAtOrBelow } from "./history.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Points given another chain in one step. */
const slicePoints = 500;

/**
 * A backup that refused rows has passed over them, and its watermark says nothing of that. Promoted all the same, it must not
 * claim the history from the first of them on: whoever stands there has a row that this site never had, and would lose it to
 * the next change of the same row here. So that history becomes one of its own: every point from there on gets another chain,
 * made of the reign's id, and whoever stands at the old one has gone another way and must rejoin. Returns the point that the
 * reign continues from: the head, where nothing is lacking.
 */
export function* partWhereLacking(tx: Transaction, epoch: Epoch, hash: Hash): Steps<Point> {
  const site = tx.site();
  const first = firstRefused(tx.connection);
  if (!first || comparePositions(first, site.head.position) > 0) return site.head;
  const common = pointAtOrBelow(tx.connection, { ...first, seq: first.seq - 1 });
  const part = (chain: Uint8Array) => hash.sha256(utf8(epoch.id), chain);
  yield* rechainAbove(tx.connection, common.position, part);
  tx.saveSite({ ...site, head: { ...site.head, chain: part(site.head.chain) } });
  return common;
}

function firstRefused(connection: Connection): Position | undefined {
  return connection.get<Position>("SELECT epoch, seq FROM rejections ORDER BY epoch, seq LIMIT 1");
}

function* rechainAbove(
  connection: Connection,
  position: Position,
  part: (chain: Uint8Array) => Uint8Array,
): Steps<void> {
  for (let above = position; ; ) {
    const points = connection.all<Position & { chain: Uint8Array }>(
      "SELECT epoch, seq, chain FROM history WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ? + 0",
      above.epoch,
      above.seq,
      slicePoints,
    );
    for (const { epoch, seq, chain } of points) {
      const sql = "UPDATE history SET chain = ? WHERE epoch = ? AND seq = ?";
      connection.run(sql, part(bytesOf(chain)), epoch, seq);
    }
    const last = points.at(-1);
    if (!last || points.length < slicePoints) return;
    above = last;
    yield;
  }
}
