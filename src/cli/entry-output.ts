import type { EntryOptions } from "./entry-call.ts";
import { concealEntry, fieldsOf } from "./entry-content.ts";
import { cell, type Fields, objectsIn, textIn, textOr, textsIn } from "./fields.ts";
import {
  printJson,
  printLine,
  printNote,
  printPairs,
  printTable,
  printValue,
  printWarning,
} from "./output.ts";
import { usageRefusal } from "./report.ts";
import type { Answer } from "./site-client.ts";

/** How one entry is to be shown. */
export type ShowOptions = {
  readonly json?: boolean;
  readonly reveal?: boolean;
  /** Its label: this field's value and nothing else. */
  readonly field?: string;
};

export async function printEntry({ body, etag }: Answer, options: ShowOptions): Promise<void> {
  if (options.field !== undefined) return printField(body, options.field, options.json === true);
  const shown = options.reveal === true ? body : concealEntry(body);
  if (options.json === true) printJson(withPosition(shown, etag));
  else await printWhole(shown);
}

function printField(entry: Fields, label: string, json: boolean): void {
  const found = fieldsOf(entry).filter((field) => field.label === label);
  const [field] = found;
  if (field === undefined)
    throw usageRefusal("the entry has no such field", "see its labels without --field");
  if (found.length > 1)
    throw usageRefusal("several fields have this label", "read them with --json --reveal");
  if (json) printJson({ label: field.label, kind: field.kind, value: field.value });
  else printValue(field.value);
}

async function printWhole(entry: Fields): Promise<void> {
  const names = ["entry_id", "type", "title", "version", "created_at", "updated_at"];
  if (typeof entry.trashed_at === "string") names.push("trashed_at");
  const pairs = names.map((name) => [name, cell(entry[name])] as const);
  const lists = ["urls", "tags"].map((name) => [name, cell(textsIn(entry, name).join(", "))] as const);
  const fields = Array.isArray(entry.fields) ? objectsIn(entry, "fields") : [];
  const values = fields.map(
    (field) => [cell(field.label), field.hidden === true ? "••••••••" : cell(field.value)] as const,
  );
  const favourite = ["favourite", entry.favourite === true ? "yes" : "no"] as const;
  await printPairs([...pairs, ...lists, favourite, ...values, ["notes", cell(entry.notes)]]);
}

/** An entry as it is after a change of it. */
export function printWritten(
  options: Pick<EntryOptions, "json">,
  verb: string,
  { body, etag }: Answer,
): void {
  if (options.json === true) printJson(withPosition(concealEntry(body), etag));
  else printLine(`${verb} ${textIn(body, "entry_id")}.`);
}

/** The entry's position is its ETag; `--if-match` takes it. */
function withPosition(entry: Fields, etag: string | undefined): Fields {
  return etag === undefined ? entry : { ...entry, position: etag.replaceAll('"', "") };
}

export type EntryPages = {
  readonly entries: readonly Fields[];
  /** Those that did not open, each with an `entry_id` and the `code` of why. */
  readonly unreadable: readonly Fields[];
  readonly next: string | null;
};

/** A list of entries, concealed values hidden unless it is JSON and they are asked for. */
export async function printEntries(
  { entries, unreadable, next }: EntryPages,
  options: { readonly json?: boolean; readonly reveal?: boolean; readonly whenEmpty: string },
): Promise<void> {
  for (const { entry_id: id, code } of unreadable) {
    printWarning({ code: cell(code), message: `the entry ${cell(id)} does not open` });
  }
  if (options.json === true) {
    const shown = options.reveal === true ? entries : entries.map(concealEntry);
    return printJson({ entries: shown, unreadable, next_cursor: next });
  }
  if (entries.length === 0) return printNote(options.whenEmpty);
  const rows = entries.map((entry) => [
    cell(entry.entry_id),
    cell(entry.type),
    cell(entry.title),
    cell(textsIn(entry, "tags").join(", ")),
    cell(entry.updated_at),
  ]);
  await printTable(["ENTRY", "TYPE", "TITLE", "TAGS", "UPDATED"], rows);
  if (next !== null) printNote(moreNote(next));
}

export function moreNote(next: string): string {
  return `There are more: --all, or go on with --cursor ${next}`;
}

/** Codes of one-time keys, or the one of a field alone, for a script. */
export async function printCodes(codes: readonly Fields[], options: ShowOptions): Promise<void> {
  if (options.field !== undefined) return printCode(codes, options.field, options.json === true);
  if (options.json === true) return printJson({ codes });
  const rows = codes.map((code) => [
    cell(code.label),
    textOr(code, "code", "-"),
    `${cell(code.remaining_seconds)} s`,
  ]);
  await printTable(["FIELD", "CODE", "VALID FOR"], rows);
}

function printCode(codes: readonly Fields[], label: string, json: boolean): void {
  const found = codes.filter((code) => code.label === label);
  const [code] = found;
  if (code === undefined) {
    throw usageRefusal("the entry has no one-time key of this label", "see its labels without --field");
  }
  if (found.length > 1) throw usageRefusal("several fields have this label", "read them with --json");
  if (json) printJson(code);
  else printValue(textIn(code, "code"));
}
