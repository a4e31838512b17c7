import { bucketBytes, bucketCount, Buckets } from "../../core/digest.ts";
import type { Hash } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import type { RowOutline } from "./row-table.ts";

/**
 * The digests of a site's buckets as they lie in the database: four records of 64 buckets each. A change of one row writes one
 * page, and a batch of a hundred changes at most four records.
 */
const partBuckets = 64;
const partBytes = partBuckets * bucketBytes;
const partNumbers = Array.from({ length: bucketCount / partBuckets }, (_, part) => part);

/** The number of the record that holds a bucket. */
export function partOf(bucket: number): number {
  return Math.floor(bucket / partBuckets);
}

export function readBuckets(connection: Connection): Buckets {
  const bytes = new Uint8Array(bucketCount * bucketBytes);
  const records = connection.all<{ part: number; buckets: Uint8Array }>("SELECT part, buckets FROM digest");
  if (records.length !== partNumbers.length) throw new Error("the database holds no digest");
  for (const { part, buckets } of records) bytes.set(buckets, part * partBytes);
  return new Buckets(bytes);
}

/** Stores the records of these numbers. */
export function writeBuckets(connection: Connection, { bytes }: Buckets, parts: Iterable<number>): void {
  for (const part of parts) {
    const buckets = bytes.subarray(part * partBytes, (part + 1) * partBytes);
    connection.run("UPDATE digest SET buckets = ? WHERE part = ?", buckets, part);
  }
}

/** The site's digest, as it would be without some of its rows. */
export function digestWithout(buckets: Buckets, rows: readonly RowOutline[], hash: Hash): Uint8Array {
  const left = rows.length === 0 ? buckets : buckets.copy();
  for (const row of rows) left.toggle(hash, row);
  return left.digest(hash);
}

/** To be called once, when a site is made. */
export function insertBuckets(connection: Connection): void {
  const none = new Uint8Array(partBytes);
  for (const part of partNumbers) {
    connection.run("INSERT INTO digest (part, buckets) VALUES (?, ?)", part, none);
  }
}

/** Every record, for a correction. */
export const everyPart: readonly number[] = partNumbers;
