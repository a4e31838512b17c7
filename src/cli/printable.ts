/**
 * Text from a site, a file or the command line may hold anything. What reaches a terminal must not move its cursor, colour it,
 * or turn its reading direction: control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls and
 * lone surrogates are written as escapes.
 */
const unsafe = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\p{Cs}]/gu;

/** One line of text, safe on a terminal: control characters become `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(unsafe, (character) => escapeCharacter(character));
}

/** As `printable`, but keeps line ends and tabs: for values of several lines. */
export function printableLines(text: string): string {
  return text.replace(unsafe, (character) =>
    character === "\n" || character === "\t" ? character : escapeCharacter(character),
  );
}

/** One JSON document. What JSON.stringify leaves bare inside strings is escaped as JSON knows it, so the value is the same. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(unsafe, (character) =>
    character === "\n" ? character : escapeUnit(character),
  );
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : escapeUnit(character);
}

function escapeUnit(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const tokenShape = /dm([vosil])_[0-9A-Za-z_-]{20,}/g;

/** Puts an ellipsis in the place of every token, so that one given where it does not belong is not repeated to the screen. */
export function withoutTokens(text: string): string {
  return text.replace(tokenShape, "dm$1_…");
}
