import { randomBytes } from "node:crypto";
import { systemRandom } from "../../src/app/system-ports.ts";
import type { Entry, EntryContent } from "../../src/core/entry.ts";
import type { EntrySeal } from "../../src/core/entry-seal.ts";
import { newEntry } from "../../src/core/entry-writes.ts";
import type { EntryId, VaultId } from "../../src/core/ids.ts";
import type { VaultBody } from "../../src/core/vault.ts";
import { VaultSeal } from "../../src/crypto/entry-seal.ts";
import { VaultKey } from "../../src/crypto/vault-key.ts";

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

const current = VaultKey.generate(systemRandom);

/** Seals the entries of a vault as a site does. */
export function sampleSealOf(vaultId: VaultId): EntrySeal {
  return new VaultSeal({ vaultId, current, older: [], random: systemRandom });
}

/** Of a vault with that key. */
export const sampleVault: VaultBody = {
  name: "Harbour",
  createdAt: 0,
  updatedAt: 0,
  keyId: current.id,
  older: [],
  links: [],
};

/** Its row body as a site stores it: what the floor writes. */
export const rowBody: Uint8Array = sampleSealOf("0190a000-0000-7000-8000-000000000001" as VaultId).seal(
  "0190a000-0000-7000-8000-000000000002" as EntryId,
  newEntry(content, Date.UTC(2026, 0, 1)),
);

/** A content whose JSON has about so many bytes, and which is no copy of another. */
function contentOf(bytes: number): EntryContent {
  const { type, title, fields } = content;
  const bare = { type, title, urls: [], tags: [], favourite: false, fields, notes: "" };
  const notes = randomBytes(bytes)
    .toString("base64")
    .slice(0, bytes - JSON.stringify(bare).length);
  return { ...bare, notes };
}

/** The JSON text of a request that creates an entry of that size, or replaces one. */
export function entryTextOf(bytes: number): string {
  return JSON.stringify(contentOf(bytes));
}

export function sampleEntryOf(bytes: number): Entry {
  return newEntry(contentOf(bytes), Date.UTC(2026, 0, 1));
}

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
