import { encodeEntry } from "../core/entry.ts";
import { newEntry } from "../core/entry-writes.ts";
import { type Mistake, Refusal } from "../core/errors.ts";
import type { EntryId } from "../core/ids.ts";
import { check } from "../protocol/check.ts";
import { importSchema, newEntrySchema } from "../protocol/entry-requests.ts";
import { parseJson } from "../protocol/json.ts";

/** An entry of an import, checked and encoded; without an id where the client chose none. */
export type ImportedEntry = { readonly entryId: EntryId | undefined; readonly body: Uint8Array };

/** Entries checked between two pauses: well under 20 ms of work for entries of ordinary size. */
const pauseEvery = 100;
const mistakesMax = 20;

/**
 * Reads an import as a whole, or refuses it naming the entries by their places.
 * @param now when the entries were created
 * @param pause lets others work; awaited every so many entries
 * @throws Refusal `malformed_json`, `invalid_request`, `body_too_large`
 */
export async function readImport(
  bytes: Uint8Array,
  now: number,
  pause: () => Promise<void>,
): Promise<readonly ImportedEntry[]> {
  const { entries } = check(importSchema, parseJson(bytes));
  const imported: ImportedEntry[] = [];
  const mistakes: Mistake[] = [];
  const places = new Map<EntryId, number>();
  for (const [index, value] of entries.entries()) {
    if (index % pauseEvery === pauseEvery - 1) await pause();
    const outcome = readEntry(value, `entries[${index}]`, now);
    if (outcome.entry === undefined) mistakes.push(...outcome.mistakes);
    else {
      imported.push(outcome.entry);
      mistakes.push(...repetition(outcome.entry.entryId, index, places));
    }
    if (mistakes.length >= mistakesMax) break;
  }
  if (mistakes.length > 0) throw new Refusal("invalid_request", undefined, mistakes.slice(0, mistakesMax));
  return imported;
}

type Outcome =
  | { readonly entry: ImportedEntry }
  | { readonly entry: undefined; readonly mistakes: readonly Mistake[] };

function readEntry(value: unknown, path: string, now: number): Outcome {
  try {
    const { entry_id: entryId, ...content } = check(newEntrySchema, value, path);
    return { entry: { entryId, body: encodeEntry(newEntry(content, now)) } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === "body_too_large")
      throw new Refusal(error.code, error.message, [{ path, message: "is too large" }]);
    return { entry: undefined, mistakes: error.mistakes };
  }
}

function repetition(
  entryId: EntryId | undefined,
  index: number,
  places: Map<EntryId, number>,
): readonly Mistake[] {
  if (entryId === undefined) return [];
  const first = places.get(entryId);
  places.set(entryId, first ?? index);
  if (first === undefined) return [];
  return [{ path: `entries[${index}].entry_id`, message: `stands at entries[${first}] already` }];
}
