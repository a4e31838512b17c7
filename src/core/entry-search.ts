import type { EntryContent } from "./entry.ts";

/** What is searched for, word by word, as `holdsWords` takes it. */
export function searchWords(query: string): readonly string[] {
  return fold(query)
    .split(/\s+/)
    .filter((word) => word !== "");
}

/**
 * Whether each of the words stands in the title, a URL, a tag or a field's label. Values and notes stay out: an answer must tell
 * nothing of what is concealed.
 */
export function holdsWords(words: readonly string[]): (content: EntryContent) => boolean {
  return ({ title, urls, tags, fields }) => {
    // No word has a line end in it, so none reaches from one text into the next.
    const text = fold([title, ...urls, ...tags, ...fields.map(({ label }) => label)].join("\n"));
    return words.every((word) => text.includes(word));
  };
}

/**
 * The text without what people leave away when they search: case, accents and the width of letters. Upper case first, since
 * some letters differ in lower case alone (`ß` and `ss`, `ς` and `σ`).
 */
function fold(text: string): string {
  const letters = text.normalize("NFKD").replaceAll(/\p{M}/gu, "");
  return letters.toUpperCase().toLowerCase().replaceAll("ς", "σ");
}
