import { decodeEntry, type Entry, type EntryType } from "../core/entry.ts";
import type { EntryId, VaultId } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import { isLive, type LiveRow, type StoredRow } from "../core/row.ts";
import type { VaultStore } from "../core/store.ts";

export type EntryFilter = {
  readonly type: EntryType | undefined;
  readonly tag: string | undefined;
  readonly isTrash: boolean;
};

export type PageRequest = {
  readonly vaultId: VaultId;
  readonly before: EntryId | undefined;
  readonly limit: number;
  readonly filter: EntryFilter;
};

export type Page = { readonly rows: readonly LiveRow[]; readonly next: EntryId | null };

/** A page ends early at about so many bytes: what it takes to answer it must not hold up anybody else. */
const pageBytesMax = 1024 * 1024;
/** What one slice reads is kept near this, so that no slice takes longer than others can wait. */
const sliceBytes = 512 * 1024;
const sliceRowsMax = 200;
const sliceRowsFirst = 32;

/**
 * The next entries that pass the filter, newest first. Reads in slices with a turn between them: a filter that few entries
 * pass goes through the whole vault.
 */
export async function readPage(store: VaultStore, clock: Clock, request: PageRequest): Promise<Page> {
  const page: LiveRow[] = [];
  let pageBytes = 0;
  let before = request.before;
  let sliceRows = Math.min(sliceRowsFirst, request.limit + 1);
  for (;;) {
    const slice = await store.entries(request.vaultId, before, sliceRows);
    for (const row of slice) {
      before = entryIdOf(row);
      if (!isLive(row) || !passes(decodeEntry(row.body), request.filter)) continue;
      page.push(row);
      pageBytes += row.body.length;
      if (page.length >= request.limit || pageBytes >= pageBytesMax) {
        return { rows: page, next: await cursorAt(store, request.vaultId, before) };
      }
    }
    if (slice.length < sliceRows) return { rows: page, next: null };
    sliceRows = nextSliceRows(slice);
    await clock.turn();
  }
}

/** The cursor behind an entry; null where none is left. */
async function cursorAt(store: VaultStore, vaultId: VaultId, last: EntryId): Promise<EntryId | null> {
  const rest = await store.entries(vaultId, last, 1);
  return rest.length === 0 ? null : last;
}

function nextSliceRows(slice: readonly StoredRow[]): number {
  const bytes = slice.reduce((sum, row) => sum + (row.body?.length ?? 0), 1);
  return Math.max(1, Math.min(sliceRowsMax, Math.floor((sliceBytes * slice.length) / bytes)));
}

function passes({ content, trashedAt }: Entry, filter: EntryFilter): boolean {
  if ((trashedAt !== null) !== filter.isTrash) return false;
  if (filter.type !== undefined && content.type !== filter.type) return false;
  return filter.tag === undefined || content.tags.includes(filter.tag);
}

function entryIdOf(row: StoredRow): EntryId {
  if (row.key.kind !== "entry") throw new Error("a list of entries holds another row");
  return row.key.entryId;
}
