import { expect, test } from "vitest";
import { Pace } from "./pace.ts";

const limit = { rows: 100, bytes: 1024 };

test("batches grow with each full one, to 2,000 rows, and never in bytes", () => {
  const pace = new Pace(limit);
  expect([pace.limit, pace.isGrown, pace.next.rows]).toEqual([limit, false, 1_600]);
  pace.grow();
  expect([pace.limit.rows, pace.isGrown, pace.next.rows]).toEqual([1_600, true, 2_000]);
  pace.grow();
  pace.grow();
  expect(pace.limit).toEqual({ rows: 2_000, bytes: 1024 });
});

test("a configured limit above 2,000 stays what it is", () => {
  const pace = new Pace({ rows: 5_000, bytes: 1024 });
  pace.grow();
  expect(pace.limit.rows).toBe(5_000);
});

test("what they have grown to lasts over drains that follow at once, and no longer", () => {
  const pace = new Pace(limit);
  pace.grow();
  pace.drained({ goesOn: true });
  expect(pace.limit.rows).toBe(1_600);
  pace.drained({ goesOn: false });
  expect(pace.limit).toEqual(limit);
});

test("batches that were refused as too large do not grow in that drain, and the next begins anew", () => {
  const pace = new Pace(limit);
  pace.shrinkTo(3);
  pace.grow();
  expect([pace.limit.rows, pace.next.rows]).toEqual([3, 3]);
  pace.drained({ goesOn: true });
  expect([pace.limit.rows, pace.next.rows]).toEqual([100, 1_600]);
});
