import { type ConnectionOptions, withSite } from "../connection.ts";
import { concealEntry, type EntryField, fieldsOf, mergeFields, writableEntry } from "../entry-content.ts";
import { type ContentOptions, hasFields, readFields, readParts, readWholeEntry } from "../entry-options.ts";
import { cell, type Fields, objectsIn, textIn, textsIn } from "../fields.ts";
import { printJson, printLine, printNote, printPairs, printTable, printValue } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";
import type { Answer, SiteClient } from "../site-client.ts";

type Options = ConnectionOptions & { readonly json?: boolean; readonly vault: string };

export async function addEntry(options: Options & ContentOptions): Promise<void> {
  const whole = await readWholeEntry(options);
  const entry = whole === undefined ? await readNewEntry(options) : writableEntry(whole);
  await withSite(options, async (site) => {
    const answer = await site.call({
      method: "POST",
      path: entriesPath(options),
      body: JSON.stringify(entry),
    });
    printWritten(options, "Added", answer);
  });
}

async function readNewEntry(options: ContentOptions): Promise<Fields> {
  if (options.title === undefined)
    throw usageRefusal("the entry has no title", "give --title or --json-file");
  const parts = await readParts(options);
  return { type: "login", ...parts, fields: await readFields(options) };
}

export async function getEntry(
  entryId: string,
  options: Options & { readonly reveal?: boolean; readonly field?: string },
): Promise<void> {
  await withSite(options, async (site) => {
    const answer = await site.call({ method: "GET", path: entryPath(options, entryId) });
    if (options.field !== undefined) return printField(answer.body, options.field, options.json === true);
    const shown = options.reveal === true ? answer.body : concealEntry(answer.body);
    if (options.json === true) printJson(withPosition(shown, answer.etag));
    else await printEntry(shown);
  });
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

async function printEntry(entry: Fields): Promise<void> {
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

type ListOptions = Options & {
  readonly limit: number;
  readonly all?: boolean;
  readonly cursor?: string;
  readonly type?: string;
  readonly tag?: string;
  readonly trash?: boolean;
  readonly reveal?: boolean;
};

export async function listEntries(options: ListOptions): Promise<void> {
  await withSite(options, async (site) => {
    const { entries, next } = await readPages(site, options);
    if (options.json === true) {
      const shown = options.reveal === true ? entries : entries.map(concealEntry);
      return printJson({ entries: shown, next_cursor: next });
    }
    if (entries.length === 0)
      return printNote(options.trash === true ? "The trash is empty." : "There is no entry.");
    const rows = entries.map((entry) => [
      cell(entry.entry_id),
      cell(entry.type),
      cell(entry.title),
      cell(textsIn(entry, "tags").join(", ")),
      cell(entry.updated_at),
    ]);
    await printTable(["ENTRY", "TYPE", "TITLE", "TAGS", "UPDATED"], rows);
    if (next !== null) printNote(`There are more: --all, or go on with --cursor ${next}`);
  });
}

type Pages = { readonly entries: readonly Fields[]; readonly next: string | null };

/** The most that a site gives at once. */
const pageEntriesMax = 500;

async function readPages(site: SiteClient, options: ListOptions): Promise<Pages> {
  const entries: Fields[] = [];
  const limit = options.all === true ? Number.POSITIVE_INFINITY : options.limit;
  let cursor: string | null = options.cursor ?? null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(pageEntriesMax, limit - entries.length)) });
    for (const name of ["type", "tag"] as const)
      if (options[name] !== undefined) query.set(name, options[name]);
    if (options.trash === true) query.set("trash", "true");
    if (cursor !== null) query.set("cursor", cursor);
    const { body }: Answer = await site.call({
      method: "GET",
      path: `${entriesPath(options)}?${query.toString()}`,
    });
    entries.push(...objectsIn(body, "entries"));
    cursor = typeof body.next_cursor === "string" ? body.next_cursor : null;
  } while (cursor !== null && entries.length < limit);
  return { entries, next: cursor };
}

type EditOptions = Options &
  ContentOptions & { readonly removeField?: readonly string[]; readonly ifMatch?: string };

export async function editEntry(entryId: string, options: EditOptions): Promise<void> {
  const whole = await readWholeContent(options);
  const changes = whole === undefined ? await readChanges(options) : undefined;
  await withSite(options, async (site) => {
    const path = entryPath(options, entryId);
    const read = await site.call({ method: "GET", path });
    const match =
      options.ifMatch === undefined ? (read.etag ?? "*") : `"${options.ifMatch.replaceAll('"', "")}"`;
    const headers = { "if-match": match };
    const answer =
      changes === undefined
        ? await site.call({ method: "PUT", path, headers, body: JSON.stringify(whole) })
        : await site.call({ method: "PATCH", path, headers, body: JSON.stringify(changes(read.body)) });
    printWritten(options, "Changed", answer);
  });
}

async function readWholeContent(options: ContentOptions): Promise<Fields | undefined> {
  const whole = await readWholeEntry(options);
  if (whole === undefined) return undefined;
  // The id stands in the path; what `entry get --json` printed has it too.
  const { entry_id: _, ...content } = writableEntry(whole);
  return content;
}

/** What to change, as a function of the entry as it is read: fields are one list and have to be sent whole. */
async function readChanges(options: EditOptions): Promise<(entry: Fields) => Fields> {
  const removed = options.removeField ?? [];
  const parts = await readParts(options);
  if (Object.keys(parts).length === 0 && !hasFields(options) && removed.length === 0) {
    throw usageRefusal(
      "there is nothing to change",
      "name what changes, such as --title or --secret password",
    );
  }
  const changed: readonly EntryField[] = await readFields(options);
  if (changed.length === 0 && removed.length === 0) return () => parts;
  return (entry) => {
    const fields = fieldsOf(entry);
    const missing = removed.find((label) => !fields.some((field) => field.label === label));
    if (missing !== undefined)
      throw usageRefusal(`the entry has no field ${missing}`, "see its labels with entry get");
    return { ...parts, fields: mergeFields(fields, changed, removed) };
  };
}

export async function removeEntry(
  entryId: string,
  options: Options & { readonly purge?: boolean; readonly yes?: boolean },
): Promise<void> {
  if (options.purge === true) await confirm(`Remove ${entryId} for good?`, options.yes === true);
  await withSite(options, async (site) => {
    const query = options.purge === true ? "?purge=true" : "";
    const { body } = await site.call({ method: "DELETE", path: entryPath(options, entryId) + query });
    if (options.json === true) printJson({ entry_id: entryId, purged: options.purge === true, ...body });
    else printLine(options.purge === true ? `Purged ${entryId}.` : `Moved ${entryId} to the trash.`);
  });
}

export async function restoreEntry(entryId: string, options: Options): Promise<void> {
  await withSite(options, async (site) => {
    const answer = await site.call({ method: "POST", path: `${entryPath(options, entryId)}/restore` });
    printWritten(options, "Restored", answer);
  });
}

function printWritten(options: Options, verb: string, { body, etag }: Answer): void {
  if (options.json === true) printJson(withPosition(concealEntry(body), etag));
  else printLine(`${verb} ${textIn(body, "entry_id")}.`);
}

/** The entry's position is its ETag; `--if-match` takes it. */
function withPosition(entry: Fields, etag: string | undefined): Fields {
  return etag === undefined ? entry : { ...entry, position: etag.replaceAll('"', "") };
}

function entriesPath({ vault }: Options): string {
  return `/api/vaults/${encodeURIComponent(vault)}/entries`;
}

function entryPath(options: Options, entryId: string): string {
  return `${entriesPath(options)}/${encodeURIComponent(entryId)}`;
}
