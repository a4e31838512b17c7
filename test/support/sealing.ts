import fc from "fast-check";
import { type Entry, type EntryContent, entryTypes, fieldKinds } from "../../src/core/entry.ts";
import { type ErrorCode, Refusal } from "../../src/core/errors.ts";

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const timeMs = fc.integer({ min: 0, max: 4_102_444_800_000 });

/** Contents of every type, of any text. */
const anyContent: fc.Arbitrary<EntryContent> = fc.record({
  type: fc.constantFrom(...entryTypes),
  title: text,
  urls: fc.array(fc.webUrl(), { maxLength: 3 }),
  tags: fc.array(text, { maxLength: 3 }),
  favourite: fc.boolean(),
  fields: fc.array(fc.record({ label: text, value: text, kind: fc.constantFrom(...fieldKinds) }), {
    maxLength: 4,
  }),
  notes: fc.string({ unit: "grapheme", maxLength: 400 }),
});

/** Entries as a site keeps them. */
export const anyEntry: fc.Arbitrary<Entry> = fc.record({
  content: anyContent,
  version: fc.integer({ min: 1, max: 9_999_999_999 }),
  createdAt: timeMs,
  updatedAt: timeMs,
  trashedAt: fc.option(timeMs),
});

/** Any id, of whatever it is of. */
export function anyId<Id extends string>(): fc.Arbitrary<Id> {
  return fc.uuid().map((uuid) => uuid as Id);
}

/** 32 bytes: a key or a secret. */
export const anyKey: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** The same bytes but for one bit. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
}

/** The code that something is refused with; throws where it is not, or is a bug. */
export function refusalOf(attempt: () => unknown): ErrorCode {
  try {
    attempt();
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  throw new Error("it was not refused");
}
