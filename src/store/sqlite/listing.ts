import type { SiteName, VaultId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions, type Point, type Position } from "../../core/position.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import type { BatchLimit, Listing } from "../../core/store/replication.ts";
import type { Connection } from "./connection.ts";
import { pointAtOrAbove, pointAtOrBelow, pointsBetween } from "./history.ts";
import { readQuarantinedOutlines } from "./quarantine.ts";
import { type RowColumns, readRow, rowColumns, rowOf } from "./row-table.ts";
import type { View } from "./state.ts";
import { digestWithout } from "./stored-buckets.ts";

/** What is listed, and for whom. */
export type ListingRequest = {
  readonly after: Position;
  readonly limit: BatchLimit;
  readonly peer: SiteName | undefined;
};

/** Points named with one batch: the rest of what 100 rows may cover is history that nobody but the sender can be asked for. */
const namedPointsMax = 4_000;

/** Rows that a digest leaves out by name, at most: with more of them refused nothing is proved of the others. */
const exceptMax = 1_000;

/** See ReplicationReader.listAbove. Must run with no write between its statements. */
export function readListing(view: View, hash: Hash, request: ListingRequest): Listing {
  const { connection, state } = view;
  const { site } = state;
  if (site.realm === null) throw new Error("a site without a realm has nothing to push");
  const { rows: fitting, isAll } = rowsFitting(connection, request.after, request.limit);
  const through = isAll ? site.head : coverage(connection, request.after, fitting, site.head);
  const after = pointAtOrBelow(connection, request.after);
  const isLast = comparePositions(through.position, site.head.position) === 0;
  return {
    rows: withVaultsInFront(connection, rowsThrough(connection, fitting, through.position)),
    after,
    through,
    points: pointsBetween(connection, after.position, through.position, namedPointsMax),
    isLast,
    ...(isLast ? proofFor(view, hash, request.peer) : noProof),
    site: site.site,
    realm: site.realm,
    epoch: site.epoch,
    timeline: state.timeline,
  };
}

type Proof = Pick<Listing, "digest" | "except">;

const noProof: Proof = { digest: null, except: [] };

function proofFor({ connection, state }: View, hash: Hash, peer: SiteName | undefined): Proof {
  const asks = peer !== undefined && state.hasQuarantined;
  const refused = asks ? readQuarantinedOutlines(connection, peer, exceptMax + 1) : [];
  if (refused.length > exceptMax) return noProof;
  const digest = digestWithout(state.buckets, refused, hash);
  return { digest, except: refused.map(({ key }) => key) };
}

/** Rows above a position in their order: what one batch takes, and whether that is all there is. */
type Fitting = { readonly rows: readonly StoredRow[]; readonly isAll: boolean };

/**
 * At least one, so that a row over the limit is not in the way for good. Reads one row more than it takes, since the limit in bytes
 * may come long before the other.
 */
function rowsFitting(connection: Connection, { epoch, seq }: Position, limit: BatchLimit): Fitting {
  const sql = `SELECT ${rowColumns} FROM rows WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ? + 0`;
  const rows: StoredRow[] = [];
  let bytes = 0;
  for (const columns of connection.each<RowColumns>(sql, epoch, seq, limit.rows + 1)) {
    bytes += columns.body?.length ?? 0;
    if (rows.length > 0 && (rows.length === limit.rows || bytes > limit.bytes)) return { rows, isAll: false };
    rows.push(rowOf(columns));
  }
  return { rows, isAll: true };
}

/**
 * Up to where a batch goes that does not take everything: the last point within it whose chain is known. A former backup knows
 * only the points it was pushed to; where none lies within the limit, the batch goes on to the next one, which no push it once
 * took was longer than.
 */
function coverage(
  connection: Connection,
  after: Position,
  fitting: readonly StoredRow[],
  head: Point,
): Point {
  const last = fitting.at(-1)?.position ?? after;
  const within = pointAtOrBelow(connection, last);
  if (comparePositions(within.position, after) > 0) return within;
  return pointAtOrAbove(connection, last) ?? head;
}

/** Those that a batch covers in the end: fewer than fit, or more. */
function rowsThrough(
  connection: Connection,
  fitting: readonly StoredRow[],
  through: Position,
): readonly StoredRow[] {
  const last = fitting.at(-1);
  if (!last || comparePositions(last.position, through) >= 0) {
    return fitting.filter(({ position }) => comparePositions(position, through) <= 0);
  }
  const sql = `SELECT ${rowColumns} FROM rows WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?) ORDER BY epoch, seq`;
  const { epoch, seq } = last.position;
  const more = connection.all<RowColumns>(sql, epoch, seq, through.epoch, through.seq);
  return [...fitting, ...more.map(rowOf)];
}

/** A backup must never hold an entry whose vault it has not heard of, however late that vault was last changed. */
function withVaultsInFront(connection: Connection, rows: readonly StoredRow[]): StoredRow[] {
  const needed = new Set<VaultId>(rows.filter(({ key }) => isOfVault(key)).map(({ key }) => key.vaultId));
  const vaults = [...needed]
    .map((vaultId) => readRow(connection, { kind: "vault", vaultId }))
    .filter((row) => row !== undefined)
    .toSorted((a, b) => comparePositions(a.position, b.position));
  return [...vaults, ...rows.filter((row) => row.key.kind !== "vault" || !needed.has(row.key.vaultId))];
}

function isOfVault({ kind }: RowKey): boolean {
  return kind === "entry" || kind === "access" || kind === "version";
}
