import { expect, it } from "vitest";
import { SeededRandom } from "../../test/support/ports.ts";
import type { Random } from "../core/ports.ts";
import { newPassphrase } from "./new-passphrase.ts";

/** Gives out these numbers of two bytes, one after the other. */
function scripted(numbers: Iterable<number>): Random {
  const next = numbers[Symbol.iterator]();
  return {
    bytes: () => {
      const { value } = next.next();
      if (value === undefined) throw new Error("no number is left");
      return Uint8Array.of(value >> 8, value & 0xff);
    },
    fraction: () => 0,
  };
}

it("a new passphrase is six words of the list with spaces between them", async () => {
  expect(await newPassphrase(scripted([0, 1, 7_775, 7_776, 7_777, 62_207]))).toBe(
    "abacus abdomen zoom abacus abdomen zoom",
  );
});

it("no two are the same", async () => {
  const random = new SeededRandom(1);
  const made = await Promise.all(Array.from({ length: 100 }, () => newPassphrase(random)));
  expect(new Set(made).size).toBe(100);
});

it("every word of the list is drawn by as many numbers as any other; what is over is drawn again", async () => {
  const all = scripted(Array.from({ length: 65_536 }, (_, number) => number).concat(0, 0, 0, 0, 0, 0));
  const counts = new Map<string, number>();
  for (let drawn = 0; drawn < 62_208; drawn += 6) {
    for (const word of (await newPassphrase(all)).split(" ")) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  expect(counts.size).toBe(7_776);
  expect(new Set(counts.values())).toEqual(new Set([8]));
  // 3,328 numbers are left that stand for no word; then come six zeros.
  expect(await newPassphrase(all)).toBe(Array.from({ length: 6 }, () => "abacus").join(" "));
});
