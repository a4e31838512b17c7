import { globSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { expect, it } from "vitest";
import { mutations, occurrences } from "./table.ts";

const root = resolve(import.meta.dirname, "../../..");
const read = (path: string): string => readFileSync(resolve(root, path), "utf8");

/** A contract's tests stand in other files than the one that runs them. */
function testsOf(file: string): string {
  if (!file.startsWith("test/contract/")) return read(file);
  return globSync(`${dirname(file)}/*.ts`, { cwd: root })
    .map(read)
    .join("\n");
}

it.each(mutations.map((row) => [row.bug, row] as const))("can still be planted: %s", (_, row) => {
  expect(occurrences(row, read(row.file))).toBe(1);
  if (row.test) expect(testsOf(row.test.file)).toContain(row.test.title);
});

it("every promise from I1 to I13 has a bug that a seed finds, or a test where no seed can", () => {
  const numbers = new Set(mutations.map(({ promise }) => Number(promise.slice(1))));
  expect([...numbers].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 13 }, (_, at) => at + 1));
});
