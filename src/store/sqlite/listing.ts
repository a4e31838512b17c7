import type { SiteName, VaultId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions, type Point, type Position } from "../../core/position.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import type { BatchLimit, Listing } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { pointAtOrAbove, pointAtOrBelow, pointsBetween } from "./history.ts";
import { readQuarantinedOutlines } from "./quarantine.ts";
import { type RowColumns, readRow, replicatedTables, rowOf } from "./replicated-tables.ts";
import { readSite, readTimeline } from "./site-record.ts";
import { digestWithout, readBuckets } from "./stored-buckets.ts";

type Candidate = { epoch: number; seq: number; bytes: number };

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

/** See PrimaryStore.listAbove. Must run with no write between its statements. */
export function readListing(connection: Connection, hash: Hash, request: ListingRequest): Listing {
  const site = readSite(connection);
  if (site.realm === null) throw new Error("a site without a realm has nothing to push");
  const after = pointAtOrBelow(connection, request.after);
  const through = coverage(connection, request.after, request.limit, site.head);
  const rows = rowsBetween(connection, request.after, through.position);
  const isLast = comparePositions(through.position, site.head.position) === 0;
  return {
    rows: withVaultsInFront(connection, rows),
    after,
    through,
    points: pointsBetween(connection, after.position, through.position, namedPointsMax),
    isLast,
    ...(isLast ? proofFor(connection, hash, request.peer) : noProof),
    site: site.site,
    realm: site.realm,
    epoch: site.epoch,
    timeline: readTimeline(connection),
  };
}

type Proof = Pick<Listing, "digest" | "except">;

const noProof: Proof = { digest: null, except: [] };

function proofFor(connection: Connection, hash: Hash, peer: SiteName | undefined): Proof {
  const refused = peer === undefined ? [] : readQuarantinedOutlines(connection, peer, exceptMax + 1);
  if (refused.length > exceptMax) return noProof;
  const digest = digestWithout(readBuckets(connection), refused, hash);
  return { digest, except: refused.map(({ key }) => key) };
}

/**
 * Up to where one batch goes: the head where everything fits, and otherwise the last point within the limit whose chain is
 * known. A former backup knows only the points it was pushed to; where none lies within the limit, the batch goes on to the
 * next one, which no push it once took was longer than.
 */
function coverage(connection: Connection, after: Position, limit: BatchLimit, head: Point): Point {
  const last = lastFitting(connection, after, limit);
  if (last === "all") return head;
  const within = pointAtOrBelow(connection, last);
  if (comparePositions(within.position, after) > 0) return within;
  return pointAtOrAbove(connection, last) ?? head;
}

/**
 * The last row that one batch takes, "all" where it takes every row there is: at least one, so that a row over the limit is not
 * in the way for good. Looks at no more rows than that and the one behind it, since the limit in bytes may come long before the other.
 */
function lastFitting(connection: Connection, after: Position, limit: BatchLimit): Position | "all" {
  const above = replicatedTables.flatMap(() => [after.epoch, after.seq]);
  let last: Position | undefined;
  let bytes = 0;
  let count = 0;
  for (const candidate of connection.each<Candidate>(candidatesSql, ...above, limit.rows + 1)) {
    bytes += candidate.bytes;
    count += 1;
    if (last && (count > limit.rows || bytes > limit.bytes)) return last;
    last = candidate;
  }
  return "all";
}

/** Positions and sizes only: three times a batch of bodies would be read to throw two of them away. */
const candidatesSql = `${replicatedTables
  .map(
    ({ name }) =>
      `SELECT epoch, seq, coalesce(length(body), 0) AS bytes FROM ${name} WHERE (epoch, seq) > (?, ?)`,
  )
  .join(" UNION ALL ")} ORDER BY epoch, seq LIMIT ? + 0`;

function rowsBetween(connection: Connection, after: Position, through: Position): StoredRow[] {
  return replicatedTables
    .flatMap((table) =>
      connection
        .all<RowColumns>(
          `${table.select} WHERE (epoch, seq) > (?, ?) AND (epoch, seq) <= (?, ?)`,
          after.epoch,
          after.seq,
          through.epoch,
          through.seq,
        )
        .map((columns) => rowOf(table.kind, columns)),
    )
    .toSorted((a, b) => comparePositions(a.position, b.position));
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
