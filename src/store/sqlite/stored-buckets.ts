import { Buckets } from "../../core/digest.ts";
import type { Hash } from "../../core/ports.ts";
import { bytesOf, type Connection } from "./connection.ts";
import type { RowOutline } from "./replicated-tables.ts";

/**
 * The digests of a site's buckets as they lie in the database: one record, so that they are read whole with one statement.
 * SQLite overwrites a value of the same length in place and writes only the pages in which it differs.
 */

export function readBuckets(connection: Connection): Buckets {
  const columns = connection.get<{ buckets: Uint8Array }>("SELECT buckets FROM digest WHERE id = 1");
  if (!columns) throw new Error("the database holds no digest");
  return new Buckets(bytesOf(columns.buckets));
}

export function writeBuckets(connection: Connection, buckets: Buckets): void {
  connection.run("UPDATE digest SET buckets = ? WHERE id = 1", buckets.bytes);
}

/** The site's digest, as it would be without some of its rows. */
export function digestWithout(buckets: Buckets, rows: readonly RowOutline[], hash: Hash): Uint8Array {
  const left = rows.length === 0 ? buckets : buckets.copy();
  for (const row of rows) left.toggle(hash, row);
  return left.digest(hash);
}

/** To be called once, when a site is made. */
export function insertBuckets(connection: Connection): void {
  connection.run("INSERT INTO digest (id, buckets) VALUES (1, ?)", new Buckets().bytes);
}
