import { expect, it } from "vitest";
import { mergePatch } from "./merge-patch.ts";

/** RFC 7396, appendix A: original, patch, result. */
const cases: readonly (readonly [unknown, unknown, unknown])[] = [
  [{ a: "b" }, { a: "c" }, { a: "c" }],
  [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
  [{ a: "b" }, { a: null }, {}],
  [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
  [{ a: ["b"] }, { a: "c" }, { a: "c" }],
  [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
  [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
  [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
  [
    ["a", "b"],
    ["c", "d"],
    ["c", "d"],
  ],
  [{ a: "b" }, ["c"], ["c"]],
  [{ a: "foo" }, null, null],
  [{ a: "foo" }, "bar", "bar"],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: "b", c: null }, { a: "b" }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

it.each(cases)("%j patched with %j is %j", (target, patch, result) => {
  expect(mergePatch(target, patch)).toEqual(result);
});

it("leaves the target as it is, and every prototype too", () => {
  const target = { a: { b: 1 } };
  const patched = mergePatch(target, JSON.parse('{"a":{"b":2},"__proto__":{"polluted":true}}'));
  expect(target).toEqual({ a: { b: 1 } });
  expect(Object.getPrototypeOf(patched)).toBe(Object.prototype);
  expect("polluted" in {}).toBe(false);
});
