import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256Hash } from "../../test/support/ports.ts";
import { bucketCount, bucketOf, Buckets } from "./digest.ts";
import type { EntryId, VaultId } from "./ids.ts";
import { hashRow, type Row, type RowKey } from "./row.ts";

const vaultId = "0190a0a0-0000-7000-8000-000000000001" as VaultId;

function keyOf(number: number): RowKey {
  const entryId = `0190a0a0-0000-7000-8000-${String(number).padStart(12, "0")}` as EntryId;
  return { kind: "entry", vaultId, entryId };
}

type Outline = Pick<Row, "key" | "position" | "hash">;

function rowOf(number: number, seq: number, text: number): Outline {
  return { key: keyOf(number), position: { epoch: 1, seq }, hash: hashRow(sha256Hash, Uint8Array.of(text)) };
}

function bucketsOf(rows: readonly Outline[]): Buckets {
  const buckets = new Buckets();
  for (const row of rows) buckets.toggle(sha256Hash, row);
  return buckets;
}

const outline = fc
  .tuple(fc.nat(9), fc.nat(3), fc.nat(3))
  .map(([number, seq, text]) => rowOf(number, seq, text));
/** Rows of a site: no two of one key. */
const rows = fc.uniqueArray(outline, { selector: ({ key }) => JSON.stringify(key) });
const hex = (buckets: Buckets): string => Buffer.from(buckets.digest(sha256Hash)).toString("hex");

describe("a digest", () => {
  it("is the same on every machine and for good: another would tell every pair of sites apart", () => {
    expect(hex(new Buckets())).toBe("9f1dcbc35c350d6027f98be0f5c8b43b42ca52b7604459c0c42be3aa88913d47");
    expect(hex(bucketsOf([rowOf(1, 2, 3), rowOf(2, 3, 4)]))).toBe(
      "c42197697cebc494d126f6817c9abcfc43e7ae680062b86d463553018249a557",
    );
    expect([1, 2, 3].map((number) => bucketOf(sha256Hash, keyOf(number)))).toEqual([141, 166, 80]);
  });

  it("is of the rows alone, in whatever order they came and whatever was there between", () => {
    fc.assert(
      fc.property(rows, fc.array(outline), (made, passing) => {
        const buckets = bucketsOf(made);
        for (const row of passing) buckets.toggle(sha256Hash, row);
        for (const row of passing.toReversed()) buckets.toggle(sha256Hash, row);
        expect(hex(buckets)).toBe(hex(bucketsOf(made.toReversed())));
      }),
    );
  });

  it("differs wherever rows differ: in key, position or hash, or by one row", () => {
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        const names = (list: readonly Outline[]): string[] =>
          list.map((row) => JSON.stringify(row)).toSorted();
        expect(hex(bucketsOf(a)) === hex(bucketsOf(b))).toBe(names(a).join() === names(b).join());
      }),
    );
  });

  it("is the same whether a row replaces another or is added when that was taken out", () => {
    fc.assert(
      fc.property(rows, outline, (made, next) => {
        const previous = made.find(({ key }) => JSON.stringify(key) === JSON.stringify(next.key));
        const [replaced, toggled] = [bucketsOf(made), bucketsOf(made)];
        const bucket = replaced.replace(sha256Hash, next.key, previous, next);
        if (previous) toggled.toggle(sha256Hash, previous);
        toggled.toggle(sha256Hash, next, bucket);
        expect(hex(replaced)).toBe(hex(toggled));
        expect(bucket).toBe(bucketOf(sha256Hash, next.key));
      }),
    );
  });
});

describe("buckets", () => {
  it("that differ are those of the rows that differ", () => {
    fc.assert(
      fc.property(rows, rows, (a, b) => {
        const name = (row: Outline): string => JSON.stringify(row);
        const [inA, inB] = [new Set(a.map(name)), new Set(b.map(name))];
        const unlike = [...a.filter((row) => !inB.has(name(row))), ...b.filter((row) => !inA.has(name(row)))];
        const expected = new Set(unlike.map(({ key }) => bucketOf(sha256Hash, key)));
        expect(new Set(bucketsOf(a).differing(bucketsOf(b)))).toEqual(expected);
      }),
    );
  });

  it("are corrected by the difference, whatever was toggled since", () => {
    fc.assert(
      fc.property(rows, fc.array(outline), rows, (counted, wrong, since) => {
        const stored = bucketsOf([...counted, ...wrong]);
        const difference = bucketsOf(counted).difference(stored);
        for (const row of since) stored.toggle(sha256Hash, row);
        expect(hex(stored.difference(difference))).toBe(hex(bucketsOf([...counted, ...since])));
      }),
    );
  });

  it("that were copied are no longer the same bytes", () => {
    const buckets = bucketsOf([rowOf(1, 1, 1)]);
    const copy = buckets.copy();
    buckets.toggle(sha256Hash, rowOf(1, 1, 1));
    expect([hex(buckets), hex(copy)]).toEqual([hex(new Buckets()), hex(bucketsOf([rowOf(1, 1, 1)]))]);
  });

  it("are of one length, and no other is taken for them", () => {
    expect(() => new Buckets(new Uint8Array(bucketCount * 32 - 1))).toThrow("8,192 bytes");
  });
});
