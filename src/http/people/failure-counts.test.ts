import { expect, it } from "vitest";
import { FailureCounts } from "./failure-counts.ts";

const minuteMs = 60_000;

it("a count halves every two minutes", () => {
  const counts = new FailureCounts(10);
  for (let i = 0; i < 4; i += 1) counts.add("a", 1, 0);
  expect([0, 2, 4, 6].map((minutes) => counts.count("a", minutes * minuteMs))).toEqual([4, 2, 1, 0.5]);
});

it("a long siege counts no more than a short one: it is forgotten as soon", () => {
  const counts = new FailureCounts(10);
  for (let i = 0; i < 10_000; i += 1) counts.add("a", 1, 0);
  expect(counts.count("a", 0)).toBe(8);
});

it("the key that failed longest ago is forgotten first", () => {
  const counts = new FailureCounts(3);
  for (const key of ["a", "b", "c", "a", "d"]) counts.add(key, 1, 0);
  expect(["a", "b", "c", "d"].map((key) => counts.count(key, 0))).toEqual([2, 0, 1, 1]);
});

it("a failure that was none is taken back, and nothing is left of it", () => {
  const counts = new FailureCounts(3);
  counts.add("a", 1, 0);
  counts.add("a", -1, 1);
  counts.add("b", -1, 1);
  expect(counts.size).toBe(0);
});
