import type { Entry, EntryType } from "./entry.ts";

/** Which entries of a vault are asked for; what is undefined asks for nothing. */
export type EntryFilter = {
  readonly type: EntryType | undefined;
  readonly tag: string | undefined;
  readonly favourite: boolean | undefined;
  readonly isTrash: boolean;
  /** Each must stand in a title, URL, tag or field label of the entry; of `searchWords`. */
  readonly words: readonly string[];
};

/** What is searched for, one by one. */
export function searchWords(query: string): readonly string[] {
  return fold(query)
    .split(/\s+/)
    .filter((word) => word !== "");
}

export function passes({ content, trashedAt }: Entry, filter: EntryFilter): boolean {
  const { type, tag, favourite, isTrash, words } = filter;
  if ((trashedAt !== null) !== isTrash) return false;
  if (type !== undefined && content.type !== type) return false;
  if (favourite !== undefined && content.favourite !== favourite) return false;
  if (tag !== undefined && !content.tags.includes(tag)) return false;
  if (words.length === 0) return true;
  // Values and notes stay out, so that an answer tells nothing of what is concealed. No word has a line end in it.
  const labels = content.fields.map(({ label }) => label);
  const text = fold([content.title, ...content.urls, ...content.tags, ...labels].join("\n"));
  return words.every((word) => text.includes(word));
}

/**
 * The text without what people leave away when they search: case, accents and the width of letters. Upper case first, since
 * some letters differ in lower case alone (`ß` and `ss`, `ς` and `σ`).
 */
function fold(text: string): string {
  const letters = text.normalize("NFKD").replaceAll(/\p{M}/gu, "");
  return letters.toUpperCase().toLowerCase().replaceAll("ς", "σ");
}
