import { expect, test } from "vitest";
import { collectGarbage } from "./collect-garbage.ts";

const mib = 1024 * 1024;

test("the memory of what is no longer used goes back to the system", () => {
  collectGarbage();
  const before = process.memoryUsage.rss();
  let held: unknown[] = Array.from({ length: 1_500_000 }, (_, i) => ({ i, text: [i, i + 1] }));
  expect(process.memoryUsage.rss() - before).toBeGreaterThan(80 * mib);
  expect(held).toHaveLength(1_500_000);
  held = [];
  collectGarbage();
  expect(process.memoryUsage.rss() - before).toBeLessThan(50 * mib);
});
