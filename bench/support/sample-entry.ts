import { randomBytes } from "node:crypto";
import { encodeNewEntry } from "../../src/core/entry-writes.ts";

/** What a person keeps for one web site: the entry that every benchmark writes. */
const content = {
  type: "login",
  title: "Harbour office, booking system",
  urls: ["https://booking.harbour.example/login"],
  tags: ["work", "harbour"],
  favourite: false,
  fields: [
    { label: "user", value: "m.lindqvist@harbour.example", kind: "email" },
    { label: "password", value: "correct-horse-battery-staple-1871", kind: "concealed" },
  ],
  notes: "The second berth is booked by telephone.",
} as const;

/** The JSON text of a request that creates it. */
export const entryText = JSON.stringify(content);

/** Its row body as a site stores it: what the floor writes. */
export const rowBody: Uint8Array = encodeNewEntry(content, Date.UTC(2026, 0, 1));

/**
 * The JSON text of a request that imports `count` like it, each with notes of its own that no compression shortens by much:
 * copies of one entry would travel as almost nothing, and sealed entries will not.
 */
export function importText(count: number): string {
  const entries = Array.from({ length: count }, () => ({
    ...content,
    notes: randomBytes(240).toString("base64"),
  }));
  return JSON.stringify({ entries });
}
