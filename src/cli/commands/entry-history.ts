import { withSite } from "../connection.ts";
import { type EntryOptions, entryPath } from "../entry-call.ts";
import { moreNote, printEntry, printWritten, type ShowOptions } from "../entry-output.ts";
import { cell, type Fields, isFields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable, printWarning } from "../output.ts";
import { type PageOptions, readPages } from "../pages.ts";
import { confirm } from "../prompt.ts";
import { CommandRefusal } from "../report.ts";
import { unreadableIn } from "./entry-search.ts";

export async function listVersions(entryId: string, options: EntryOptions & PageOptions): Promise<void> {
  await withSite(options, async (site) => {
    const { bodies, next } = await readPages("versions", options, ({ limit, cursor }) => {
      const query = new URLSearchParams({ limit: String(limit), ...(cursor !== undefined && { cursor }) });
      return site.call({
        method: "GET",
        path: `${entryPath(options, entryId)}/versions?${query.toString()}`,
      });
    });
    const versions = bodies.flatMap((body) => objectsIn(body, "versions"));
    const unreadable = bodies.flatMap(unreadableIn);
    for (const { version, code } of unreadable) {
      printWarning({ code: cell(code), message: `version ${cell(version)} does not open` });
    }
    if (options.json === true) return printJson({ versions, unreadable, next_cursor: next });
    if (versions.length === 0) return printNote("The entry has no earlier version.");
    const rows = versions.map((version) => [
      cell(version.version),
      cell(version.updated_at),
      typeof version.trashed_at === "string" ? "in the trash" : "",
      cell(version.title),
    ]);
    await printTable(["VERSION", "WRITTEN", "", "TITLE"], rows);
    if (next !== null) printNote(moreNote(next));
  });
}

export async function showVersion(
  entryId: string,
  options: EntryOptions & ShowOptions & { readonly version: number },
): Promise<void> {
  await withSite(options, async (site) => {
    const answer = await site.call({ method: "GET", path: versionPath(options, entryId, options.version) });
    await printEntry(answer, options);
  });
}

export async function restoreVersion(entryId: string, version: number, options: EntryOptions): Promise<void> {
  await withSite(options, async (site) => {
    const path = `${versionPath(options, entryId, version)}/restore`;
    printWritten(options, `Restored version ${version} of`, await site.call({ method: "POST", path }));
  });
}

function versionPath(options: EntryOptions, entryId: string, version: number): string {
  return `${entryPath(options, entryId)}/versions/${version}`;
}

/** Removes an entry with its history; with `wait` it ends once every backup has proved that it did too. */
export async function purgeEntry(
  entryId: string,
  options: EntryOptions & { readonly wait?: number; readonly yes?: boolean },
): Promise<void> {
  await confirm(`Remove ${entryId} and its history for good?`, options.yes === true);
  await withSite(options, async (site) => {
    const { wait } = options;
    const { body } = await site.call({
      method: "DELETE",
      path: `${entryPath(options, entryId)}?purge=true`,
      ...(wait !== undefined && { headers: { prefer: `wait=${wait}` } }),
    });
    if (options.json === true) printJson(body);
    else printLine(`Purged ${entryId}.`);
    const missing = wait === undefined ? [] : backupsWithout(body);
    if (missing.length === 0) return;
    throw new CommandRefusal(
      "not_proved",
      `it is purged here, but within ${wait} s there was no proof of it from ${missing.join(", ")}`,
      "it is sent until they have it; dormouse status shows when nothing is dirty any more",
    );
  });
}

function backupsWithout({ replication }: Fields): readonly string[] {
  const backups = isFields(replication) && isFields(replication.backups) ? replication.backups : {};
  return Object.entries(backups)
    .filter(([, isThere]) => isThere !== true)
    .map(([site]) => site);
}
