import fc from "fast-check";
import { expect, test } from "vitest";
import type { Position } from "../core/position.ts";
import type { PushedRow } from "../core/push.ts";
import type { RowKey } from "../core/row.ts";
import { encodeRowsText } from "./row-text.ts";
import { encodeRow } from "./wire-rows.ts";

const bytes = (options: fc.IntArrayConstraints) =>
  fc.uint8Array(options).map((array) => new Uint8Array(array));
/** Ids that no site gives: a key is written as it is stored, whatever a failing disk has made of it. */
const id = fc.string({ unit: "binary", maxLength: 40 });
const key = fc.oneof(
  id.map((vaultId) => ({ kind: "vault", vaultId })),
  fc.tuple(id, id).map(([vaultId, entryId]) => ({ kind: "entry", vaultId, entryId })),
  fc.tuple(id, id).map(([vaultId, versionId]) => ({ kind: "version", vaultId, versionId })),
) as fc.Arbitrary<RowKey>;
const position: fc.Arbitrary<Position> = fc.record({ epoch: fc.nat(), seq: fc.maxSafeNat() });
const row: fc.Arbitrary<PushedRow & { kind: "row" }> = fc.record({
  kind: fc.constant("row" as const),
  row: fc.record({
    key,
    position,
    hash: bytes({ minLength: 32, maxLength: 32 }),
    body: fc.option(bytes({ maxLength: 200 })),
  }),
});

test("the text of rows says what the rows say, whatever is in them", () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 20 }), (rows) => {
      const text = `[${Buffer.from(encodeRowsText(rows)).toString()}]`;
      const expected = JSON.stringify(rows.map((pushed) => encodeRow(pushed.row)));
      expect(JSON.parse(text)).toEqual(JSON.parse(expected));
    }),
  );
});
