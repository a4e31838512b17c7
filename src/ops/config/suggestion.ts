import { keysAt, placeOfKey } from "./file-schema.ts";
import type { Path } from "./yaml-source.ts";

/** Keys that people may expect here, and where what they want is found instead. */
const misplaced: Readonly<Record<string, string>> = {
  role: "is no key: a site's role is chosen with `dormouse init --role` and kept in its database; remove it",
  "alerts.email": "is not supported: mail is not sent; use alerts.webhook or alerts.webhook_file",
};

/** What is wrong with a key that the file may not hold at `parent`, and which one was probably meant. */
export function describeUnknownKey(parent: Path, key: string): string {
  const place = [...parent.filter((step) => typeof step === "string"), key].join(".");
  const known = Object.hasOwn(misplaced, place) ? misplaced[place] : undefined;
  if (known !== undefined) return known;
  const siblings = keysAt(parent);
  const near = nearest(key, siblings);
  if (near !== undefined) return `is unknown; did you mean ${near}?`;
  const elsewhere = placeOfKey(key);
  if (elsewhere !== undefined) return `is unknown here; did you mean ${elsewhere}?`;
  return `is unknown; the keys here are ${siblings.join(", ")}`;
}

/** The closest of the candidates, where it is close enough to be a slip of the fingers. */
function nearest(word: string, candidates: readonly string[]): string | undefined {
  const slipsMax = word.length <= 4 ? 1 : word.length <= 8 ? 2 : 3;
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(normalise(word), normalise(candidate));
    if (distance <= slipsMax && distance < (best?.distance ?? Infinity)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** `batchSize`, `batch-size` and `batch_size` are one word. */
function normalise(word: string): string {
  return word.slice(0, 100).toLowerCase().replaceAll(/[-_ ]/g, "");
}

/** Levenshtein's distance: inserted, removed and exchanged characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const exchanged = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(exchanged, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
