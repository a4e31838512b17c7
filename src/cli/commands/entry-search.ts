import { withSite } from "../connection.ts";
import { entriesPath, type EntryOptions, entryPath } from "../entry-call.ts";
import { type EntryPages, printCodes, printEntries } from "../entry-output.ts";
import { type Fields, isFields, objectsIn } from "../fields.ts";
import { readTextInput } from "../file-input.ts";
import { type PageCall, type PageOptions, readPages } from "../pages.ts";
import type { Answer, SiteClient } from "../site-client.ts";

type FindOptions = EntryOptions &
  PageOptions & {
    readonly type?: string;
    readonly tag?: string;
    readonly favourite?: boolean;
    readonly trash?: boolean;
    readonly reveal?: boolean;
  };

export async function listEntries(options: FindOptions): Promise<void> {
  const whenEmpty = options.trash === true ? "The trash is empty." : "There is no entry.";
  await withSite(options, async (site) => {
    const pages = await readEntries(options, (call) => listPage(site, options, call));
    await printEntries(pages, { ...options, whenEmpty });
  });
}

function listPage(site: SiteClient, options: FindOptions, { limit, cursor }: PageCall): Promise<Answer> {
  const filters = Object.entries({ ...filtersOf(options), cursor });
  const query = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of filters) if (value !== undefined) query.set(name, String(value));
  return site.call({ method: "GET", path: `${entriesPath(options)}?${query.toString()}` });
}

export async function searchEntries(words: readonly string[], options: FindOptions): Promise<void> {
  const asked = { query: await readQuery(words), ...filtersOf(options) };
  await withSite(options, async (site) => {
    const pages = await readEntries(options, (call) =>
      // A body, and not a query: what is searched for stands in no log of a proxy.
      site.call({
        method: "POST",
        path: `${entriesPath(options)}/search`,
        body: JSON.stringify({ ...asked, ...call }),
      }),
    );
    await printEntries(pages, { ...options, whenEmpty: "Nothing was found." });
  });
}

/** Arguments are seen by everybody on the machine; `-` alone has the words come from standard input. */
async function readQuery(words: readonly string[]): Promise<string> {
  return words.length === 1 && words[0] === "-" ? await readTextInput("-", queryBytesMax) : words.join(" ");
}

/** A site takes far less. */
const queryBytesMax = 16 * 1024;

function filtersOf({ type, tag, favourite, trash }: FindOptions) {
  return { type, tag, favourite, trash };
}

async function readEntries(
  options: FindOptions,
  read: (call: PageCall) => Promise<Answer>,
): Promise<EntryPages> {
  const { bodies, next } = await readPages("entries", options, read);
  const entries = bodies.flatMap((body) => objectsIn(body, "entries"));
  return { entries, unreadable: bodies.flatMap(unreadableIn), next };
}

/** A site of before knew none. */
export function unreadableIn({ unreadable }: Fields): readonly Fields[] {
  return Array.isArray(unreadable) ? unreadable.filter(isFields) : [];
}

export async function showCodes(
  entryId: string,
  options: EntryOptions & { readonly field?: string },
): Promise<void> {
  await withSite(options, async (site) => {
    const { body } = await site.call({ method: "GET", path: `${entryPath(options, entryId)}/totp` });
    await printCodes(objectsIn(body, "codes"), options);
  });
}
