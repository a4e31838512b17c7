import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { padmeLength } from "./padme.ts";

const length = fc.integer({ min: 0, max: 2 ** 30 - 1 });

/** The paper's own words for it, over logarithms: floor(log2 log2 L) + 1 bits of the exponent are kept. */
function asThePaper(length: number): number {
  const exponent = Math.floor(Math.log2(length));
  const kept = Math.floor(Math.log2(exponent)) + 1;
  const step = 2 ** (exponent - kept);
  return Math.ceil(length / step) * step;
}

describe("a padded length", () => {
  it("is the paper's", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 2 ** 30 - 1 }), (of) => padmeLength(of) === asThePaper(of)),
    );
    expect([0, 1, 2, 8, 9, 10, 100, 200, 300, 1000, 262_149].map(padmeLength)).toEqual([
      0, 1, 2, 8, 10, 10, 104, 208, 304, 1024, 270_336,
    ]);
  });

  it("is never shorter, costs at most 12 %, and is padded no further", () => {
    fc.assert(
      fc.property(length, (of) => {
        const padded = padmeLength(of);
        expect(padded).toBeGreaterThanOrEqual(of);
        expect(padded).toBeLessThanOrEqual(of * 1.12 + 1);
        expect(padmeLength(padded)).toBe(padded);
      }),
    );
  });

  it("never shrinks where the length grows", () => {
    fc.assert(fc.property(length, (of) => padmeLength(of) <= padmeLength(of + 1)));
  });
});
