import { withSite } from "../connection.ts";
import { entriesPath, type EntryOptions, entryPath } from "../entry-call.ts";
import { type EntryField, fieldsOf, mergeFields, writableEntry } from "../entry-content.ts";
import { type ContentOptions, hasFields, readFields, readParts, readWholeEntry } from "../entry-options.ts";
import { printEntry, printWritten, type ShowOptions } from "../entry-output.ts";
import type { Fields } from "../fields.ts";
import { printJson, printLine } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";

export async function addEntry(options: EntryOptions & ContentOptions): Promise<void> {
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

export async function getEntry(entryId: string, options: EntryOptions & ShowOptions): Promise<void> {
  await withSite(options, async (site) => {
    await printEntry(await site.call({ method: "GET", path: entryPath(options, entryId) }), options);
  });
}

type EditOptions = EntryOptions &
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
  options: EntryOptions & { readonly purge?: boolean; readonly yes?: boolean },
): Promise<void> {
  if (options.purge === true) await confirm(`Remove ${entryId} for good?`, options.yes === true);
  await withSite(options, async (site) => {
    const query = options.purge === true ? "?purge=true" : "";
    const { body } = await site.call({ method: "DELETE", path: entryPath(options, entryId) + query });
    if (options.json === true) printJson({ entry_id: entryId, purged: options.purge === true, ...body });
    else printLine(options.purge === true ? `Purged ${entryId}.` : `Moved ${entryId} to the trash.`);
  });
}

export async function restoreEntry(entryId: string, options: EntryOptions): Promise<void> {
  await withSite(options, async (site) => {
    const answer = await site.call({ method: "POST", path: `${entryPath(options, entryId)}/restore` });
    printWritten(options, "Restored", answer);
  });
}
