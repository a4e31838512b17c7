import { fromUtf8, utf8 } from "./bytes.ts";

export const entryTypes = ["login", "note", "card", "identity", "api_key", "ssh_key", "custom"] as const;
export type EntryType = (typeof entryTypes)[number];

export const fieldKinds = ["text", "concealed", "totp", "url", "email", "date"] as const;
export type FieldKind = (typeof fieldKinds)[number];

export type EntryField = { readonly label: string; readonly value: string; readonly kind: FieldKind };

/** What a person or a machine writes into an entry. Its names are one word each, so it looks the same on the wire. */
export type EntryContent = {
  readonly type: EntryType;
  readonly title: string;
  readonly urls: readonly string[];
  readonly tags: readonly string[];
  readonly favourite: boolean;
  readonly fields: readonly EntryField[];
  readonly notes: string;
};

/** An entry with what the site keeps about it. Times are wall-clock milliseconds. */
export type Entry = {
  readonly content: EntryContent;
  /** Counts the entry's changes, for people; from 1. What tells two states apart is the row's position. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** When it went to the trash; null where it is not there. */
  readonly trashedAt: number | null;
};

/** The largest content that an entry may have, in bytes of its encoded form. */
export const entryContentBytesMax = 256 * 1024;

type EntryWire = EntryContent & {
  readonly version: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly trashed_at: number | null;
};

/** The content as text, its members always in one order: equal contents are equal texts. */
function contentText(content: EntryContent): string {
  const { type, title, urls, tags, favourite, notes } = content;
  const fields = content.fields.map(({ label, value, kind }) => ({ label, value, kind }));
  return JSON.stringify({ type, title, urls, tags, favourite, fields, notes });
}

/** The size that counts against `entryContentBytesMax`. */
export function contentBytes(content: EntryContent): number {
  return utf8(contentText(content)).length;
}

export function sameContent(a: EntryContent, b: EntryContent): boolean {
  return contentText(a) === contentText(b);
}

/** The row body of an entry. The only place where an entry becomes bytes: sealing wraps exactly this and `decodeEntry`. */
export function encodeEntry(entry: Entry): Uint8Array {
  const { content, version, createdAt, updatedAt, trashedAt } = entry;
  const kept = JSON.stringify({
    version,
    created_at: createdAt,
    updated_at: updatedAt,
    trashed_at: trashedAt,
  });
  // Two objects joined into one, so that the content is turned into text by one function alone.
  return utf8(`${contentText(content).slice(0, -1)},${kept.slice(1)}`);
}

/** @param body of an intact row; anything else is a bug and throws */
export function decodeEntry(body: Uint8Array): Entry {
  const wire = JSON.parse(fromUtf8(body)) as EntryWire;
  const { version, created_at: createdAt, updated_at: updatedAt, trashed_at: trashedAt, ...content } = wire;
  return { content, version, createdAt, updatedAt, trashedAt };
}
