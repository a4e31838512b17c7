import { Buckets } from "../../core/digest.ts";
import { bytesOf, type Connection } from "./connection.ts";

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

/** To be called once, when a site is made. */
export function insertBuckets(connection: Connection): void {
  connection.run("INSERT INTO digest (id, buckets) VALUES (1, ?)", new Buckets().bytes);
}
