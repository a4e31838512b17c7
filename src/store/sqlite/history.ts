import { bytesEqual } from "../../core/bytes.ts";
import { comparePositions, origin, type Point, type Position } from "../../core/position.ts";
import { bytesOf, type Connection } from "./connection.ts";

/** The points this site has stood at: what tells a backup of this history from a site that went another way. */

type PointColumns = { epoch: number; seq: number; chain: Uint8Array };

/** @param acknowledged whether a site is known to have stood exactly here: such a point is never pruned */
export function recordPoint(connection: Connection, point: Point, acknowledged: boolean): void {
  connection.run(
    `INSERT INTO history (epoch, seq, chain, acknowledged) VALUES (?, ?, ?, ?)
     ON CONFLICT (epoch, seq) DO UPDATE SET chain = excluded.chain, acknowledged = max(acknowledged, excluded.acknowledged)`,
    point.position.epoch,
    point.position.seq,
    point.chain,
    acknowledged ? 1 : 0,
  );
}

/**
 * Notes that a site is known to have stood at a point, which is never pruned from then on. Returns whether this history went
 * through it; the origin is in every history.
 */
export function flagAcknowledged(connection: Connection, { position, chain }: Point): boolean {
  if (comparePositions(position, origin.position) === 0) return bytesEqual(chain, origin.chain);
  const sql = "UPDATE history SET acknowledged = 1 WHERE epoch = ? AND seq = ? AND chain = ?";
  return connection.run(sql, position.epoch, position.seq, chain) > 0;
}

/** The chain at exactly this position; the origin's is known to every history. */
export function chainAt(connection: Connection, position: Position): Uint8Array | undefined {
  if (comparePositions(position, origin.position) === 0) return origin.chain;
  const columns = connection.get<{ chain: Uint8Array }>(
    "SELECT chain FROM history WHERE epoch = ? AND seq = ?",
    position.epoch,
    position.seq,
  );
  return columns && bytesOf(columns.chain);
}

/** Whether this history went through that very point: the same position under another chain is another history. */
export function knowsPoint(connection: Connection, point: Point): boolean {
  const chain = chainAt(connection, point.position);
  return chain !== undefined && bytesEqual(chain, point.chain);
}

/** The newest known point at or below a position: the origin at least. */
export function pointAtOrBelow(connection: Connection, position: Position): Point {
  return (
    pointOf(
      connection.get<PointColumns>(
        "SELECT epoch, seq, chain FROM history WHERE (epoch, seq) <= (?, ?) ORDER BY epoch DESC, seq DESC LIMIT 1",
        position.epoch,
        position.seq,
      ),
    ) ?? origin
  );
}

/** The oldest known point at or above a position. */
export function pointAtOrAbove(connection: Connection, position: Position): Point | undefined {
  return pointOf(
    connection.get<PointColumns>(
      "SELECT epoch, seq, chain FROM history WHERE (epoch, seq) >= (?, ?) ORDER BY epoch, seq LIMIT 1",
      position.epoch,
      position.seq,
    ),
  );
}

/** Points strictly between two positions, ascending: the newest, at most `limit`. */
export function pointsBetween(
  connection: Connection,
  above: Position,
  below: Position,
  limit: number,
): Point[] {
  return connection
    .all<PointColumns>(
      `SELECT epoch, seq, chain FROM history WHERE (epoch, seq) > (?, ?) AND (epoch, seq) < (?, ?)
       ORDER BY epoch DESC, seq DESC LIMIT ? + 0`,
      above.epoch,
      above.seq,
      below.epoch,
      below.seq,
      limit,
    )
    .map(pointFrom)
    .toReversed();
}

/** See SiteReader.pointsBelow. The origin is the last of them. */
export function readPointsBelow(connection: Connection, position: Position, limit: number): Point[] {
  const points = connection
    .all<PointColumns>(
      `SELECT epoch, seq, chain FROM history WHERE (epoch, seq) <= (?, ?)
       ORDER BY epoch DESC, seq DESC LIMIT ? + 0`,
      position.epoch,
      position.seq,
      limit,
    )
    .map(pointFrom);
  return points.length < limit ? [...points, origin] : points;
}

function pointOf(columns: PointColumns | undefined): Point | undefined {
  return columns && pointFrom(columns);
}

function pointFrom({ epoch, seq, chain }: PointColumns): Point {
  return { position: { epoch, seq }, chain: bytesOf(chain) };
}
