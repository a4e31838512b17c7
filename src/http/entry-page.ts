import type { Entry, EntryType } from "../core/entry.ts";
import type { EntrySeal } from "../core/entry-seal.ts";
import type { ErrorCode } from "../core/errors.ts";
import { Refusal } from "../core/errors.ts";
import type { EntryId } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import { isLive, type LiveRow, type StoredRow } from "../core/row.ts";
import type { Reads } from "../core/store/store.ts";
import { refuseStale } from "./entry-opening.ts";
import type { OpenedRow } from "./row-answers.ts";

export type EntryFilter = {
  readonly type: EntryType | undefined;
  readonly tag: string | undefined;
  readonly favourite?: boolean | undefined;
  readonly isTrash: boolean;
  /** What else must hold of an entry; undefined where nothing. */
  readonly matches?: ((content: Entry["content"]) => boolean) | undefined;
};

type PageStore = Reads<"rows">;

export type PageRequest = {
  readonly seal: EntrySeal;
  readonly before: EntryId | undefined;
  readonly limit: number;
  readonly filter: EntryFilter;
};

/** An entry that does not open. It is named, so that one damaged row hides no other. */
export type UnreadableEntry = { readonly entryId: EntryId; readonly code: ErrorCode };

export type Page = {
  readonly entries: readonly OpenedRow[];
  readonly unreadable: readonly UnreadableEntry[];
  readonly next: EntryId | null;
};

/** A page ends early at about so many bytes: what it takes to answer it must not hold up anybody else. */
const pageBytesMax = 1024 * 1024;
/** What one slice reads is kept near this, so that no slice takes longer than others can wait. */
const sliceBytes = 512 * 1024;
const sliceRowsMax = 100;
const sliceRowsFirst = 32;

/**
 * The next entries that pass the filter, newest first. Reads in slices with a turn between them: a filter that few entries
 * pass goes through the whole vault.
 * @throws Refusal `write_raced` where the vault was sealed anew since it was opened
 */
export async function readPage(store: PageStore, clock: Clock, request: PageRequest): Promise<Page> {
  const { seal, limit, filter } = request;
  const { vaultId } = seal;
  const entries: OpenedRow[] = [];
  const unreadable: UnreadableEntry[] = [];
  let pageBytes = 0;
  let before = request.before;
  let sliceRows = Math.min(sliceRowsFirst, limit + 1);
  for (;;) {
    const slice = await store.read((r) => r.rows.entries(vaultId, before, sliceRows));
    for (const row of slice) {
      before = entryIdOf(row);
      if (!isLive(row)) continue;
      const opened = openRow(seal, before, row);
      if ("code" in opened) {
        await refuseStale(store, seal, opened.code);
        unreadable.push(opened);
      } else if (passes(opened.entry, filter)) entries.push(opened);
      else continue;
      pageBytes += row.body.length;
      if (entries.length + unreadable.length >= limit || pageBytes >= pageBytesMax) {
        return { entries, unreadable, next: await cursorAt(store, vaultId, before) };
      }
    }
    if (slice.length < sliceRows) return { entries, unreadable, next: null };
    sliceRows = nextSliceRows(slice);
    await clock.turn();
  }
}

function openRow(seal: EntrySeal, entryId: EntryId, row: LiveRow): OpenedRow | UnreadableEntry {
  try {
    return { row, entry: seal.open(entryId, row.body) };
  } catch (error) {
    if (error instanceof Refusal) return { entryId, code: error.code };
    throw error;
  }
}

/** The cursor behind an entry; null where none is left. */
async function cursorAt(
  store: PageStore,
  vaultId: EntrySeal["vaultId"],
  last: EntryId,
): Promise<EntryId | null> {
  const rest = await store.read((r) => r.rows.entries(vaultId, last, 1));
  return rest.length === 0 ? null : last;
}

/** How many rows the next slice may read, by the size of those of this one. */
export function nextSliceRows(slice: readonly StoredRow[]): number {
  const bytes = slice.reduce((sum, row) => sum + (row.body?.length ?? 0), 1);
  return Math.max(1, Math.min(sliceRowsMax, Math.floor((sliceBytes * slice.length) / bytes)));
}

function passes({ content, trashedAt }: Entry, filter: EntryFilter): boolean {
  if ((trashedAt !== null) !== filter.isTrash) return false;
  if (filter.type !== undefined && content.type !== filter.type) return false;
  if (filter.favourite !== undefined && content.favourite !== filter.favourite) return false;
  if (filter.tag !== undefined && !content.tags.includes(filter.tag)) return false;
  return filter.matches === undefined || filter.matches(content);
}

function entryIdOf(row: StoredRow): EntryId {
  if (row.key.kind !== "entry") throw new Error("a list of entries holds another row");
  return row.key.entryId;
}
