import { utf8 } from "./bytes.ts";
import type { Hash } from "./ports.ts";
import { changeBytes, formatKey, type Row, type RowKey } from "./row.ts";

/** Rows are spread over so many buckets by their key, so that what differs between two sites is found by comparing these. */
export const bucketCount = 256;
export const bucketBytes = 32;

/** The bucket of a row, for good: the first byte of SHA-256(kind, key). */
export function bucketOf(hash: Hash, key: RowKey): number {
  return hash.sha256(utf8(formatKey(key)))[0] ?? 0;
}

/** What the digest knows of a row. */
type Outline = Pick<Row, "key" | "position" | "hash">;

const nothing = new Uint8Array(0);

/** What one row adds to its bucket: SHA-256(key, position, stored hash). */
function termOf(hash: Hash, row: Outline, name?: Uint8Array): Uint8Array {
  return hash.sha256(changeBytes(row, nothing, name));
}

/**
 * The digests of a site's 256 buckets, each the XOR of its rows' terms: adding a row and taking it out are the same constant
 * work, in any order. Equal buckets, equal rows, against faults and not against whoever chooses rows to that end.
 */
export class Buckets {
  readonly bytes: Uint8Array;

  /** @param bytes 8,192 bytes, which this takes over; an empty site's where left away */
  constructor(bytes: Uint8Array = new Uint8Array(bucketCount * bucketBytes)) {
    if (bytes.length !== bucketCount * bucketBytes) throw new Error("buckets are 8,192 bytes");
    this.bytes = bytes;
  }

  copy(): Buckets {
    return new Buckets(this.bytes.slice());
  }

  /**
   * Adds a row that is not there, or takes out one that is.
   * @param bucket that of the row's key, where it is known already
   */
  toggle(hash: Hash, row: Outline, bucket = bucketOf(hash, row.key)): void {
    this.#xor(bucket, termOf(hash, row));
  }

  /** Takes out the row that was there and adds the one that is, at the cost of no hash too many. Returns their bucket. */
  replace(hash: Hash, key: RowKey, previous: Outline | undefined, next: Outline | undefined): number {
    const name = utf8(formatKey(key));
    const bucket = hash.sha256(name)[0] ?? 0;
    if (previous) this.#xor(bucket, termOf(hash, previous, name));
    if (next) this.#xor(bucket, termOf(hash, next, name));
    return bucket;
  }

  #xor(bucket: number, term: Uint8Array): void {
    const { bytes } = this;
    const start = bucket * bucketBytes;
    for (let i = 0; i < bucketBytes; i += 1) bytes[start + i] = (bytes[start + i] ?? 0) ^ (term[i] ?? 0);
  }

  /** The difference to other buckets, as buckets: XOR it to either and it is the other. */
  difference(other: Buckets): Buckets {
    return new Buckets(this.bytes.map((byte, index) => byte ^ (other.bytes[index] ?? 0)));
  }

  /** The numbers of the buckets that differ. */
  differing(other: Buckets): number[] {
    const numbers = Array.from({ length: bucketCount }, (_, number) => number);
    return numbers.filter((number) => {
      const start = number * bucketBytes;
      const end = start + bucketBytes;
      return !this.bytes.subarray(start, end).every((byte, index) => byte === other.bytes[start + index]);
    });
  }

  /** The site's digest: SHA-256 over the buckets. */
  digest(hash: Hash): Uint8Array {
    return hash.sha256(this.bytes);
  }
}
