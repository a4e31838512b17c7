import { bucketOf, Buckets } from "../../core/digest.ts";
import type { Hash } from "../../core/ports.ts";
import type { Point } from "../../core/position.ts";
import { isIntact } from "../../core/row.ts";
import type { Connection } from "./connection.ts";
import { type RowColumns, rowColumns, rowOf } from "./row-table.ts";
import { readSite } from "./site-record.ts";
import { readBuckets } from "./stored-buckets.ts";

/** What the rows of a site are, beside what its digest said of them at the same moment. */
export type Counted = {
  readonly head: Point;
  readonly stored: Buckets;
  readonly buckets: Buckets;
  /** Numbers of buckets with a row that fails its own hash, ascending. */
  readonly damaged: readonly number[];
  readonly rows: number;
};

export type CountProgress = { readonly done: number; readonly total: number };

/** Rows between two words on how far it is. */
const progressRows = 1_000;

/**
 * Reads every row and hashes every body, one at a time. Must see one state of the database from the first to the last: in a
 * transaction, or in one turn. Yields at its beginning, between rows, and at its end.
 */
export function* countRows(connection: Connection, hash: Hash): Generator<CountProgress, Counted, undefined> {
  const { head } = readSite(connection);
  const stored = readBuckets(connection);
  const total = countAll(connection);
  const buckets = new Buckets();
  const damaged = new Set<number>();
  let done = 0;
  yield { done, total };
  for (const columns of connection.each<RowColumns>(`SELECT ${rowColumns} FROM rows`)) {
    const row = rowOf(columns);
    const bucket = bucketOf(hash, row.key);
    buckets.toggle(hash, row, bucket);
    if (!isIntact(hash, row)) damaged.add(bucket);
    done += 1;
    if (done % progressRows === 0) yield { done, total };
  }
  yield { done, total };
  return { head, stored, buckets, damaged: [...damaged].toSorted((a, b) => a - b), rows: done };
}

function countAll(connection: Connection): number {
  return connection.get<{ count: number }>("SELECT count(*) AS count FROM rows")?.count ?? 0;
}
