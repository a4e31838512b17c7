import { utf8 } from "../../core/bytes.ts";
import type { Epoch } from "../../core/epoch.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions, lowerPosition, origin, type Point, type Position } from "../../core/position.ts";
import type { Site } from "../../core/store/site.ts";
import { bytesOf, type Connection } from "./connection.ts";
import { pointAtOrBelow } from "./history.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Points given another chain in one step. */
const slicePoints = 500;

/**
 * A backup may lack rows below its watermark: those that it refused, and until a digest was equal those that had moved above the
 * end of the batch that would have brought them. Promoted all the same, it must not claim the history from there on: whoever
 * stands there has a row that this site never had, and would lose it to the next change of the same row here. So that history
 * becomes one of its own: every point above the last at which nothing was lacking gets another chain, made of the reign's id,
 * and whoever stands at the old one has gone another way and must rejoin. Returns the point that the reign continues from: the
 * head, where nothing is lacking.
 */
export function* partWhereLacking(tx: Transaction, epoch: Epoch, hash: Hash): Steps<Point> {
  const site = tx.site();
  const whole = lastWhole(tx.connection, site);
  if (comparePositions(whole, site.head.position) >= 0) return site.head;
  const common = pointAtOrBelow(tx.connection, whole);
  const part = (chain: Uint8Array) => hash.sha256(utf8(epoch.id), chain);
  yield* rechainAbove(tx.connection, common.position, part);
  tx.saveSite({ ...site, head: { ...site.head, chain: part(site.head.chain) } });
  return common;
}

/** Up to where nothing is lacking. What a primary holds is its own, and nobody has to prove it. */
function lastWhole(connection: Connection, { role, head, verified }: Site): Position {
  const proved = role === "primary" ? head.position : (verified?.position ?? origin.position);
  const refused = firstRefused(connection);
  return refused ? lowerPosition(proved, { ...refused, seq: refused.seq - 1 }) : proved;
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
