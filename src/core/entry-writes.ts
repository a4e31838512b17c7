import {
  contentBytes,
  decodeEntry,
  encodeEntry,
  type Entry,
  type EntryContent,
  entryContentBytesMax,
  sameContent,
} from "./entry.ts";
import { type Mistake, Refusal } from "./errors.ts";
import type { EntryId, VaultId } from "./ids.ts";
import { isLive, type LiveRow, type RowKey, type StoredRow } from "./row.ts";
import { type RowMatch, requireMatch } from "./row-match.ts";
import type { RowChange, Write } from "./store.ts";
import { requireVault, vaultKey } from "./vault.ts";

/** The decisions on entries: each is a write for the store, pure, and looks at the vault's row beside the entries'. */

export type EntryAddress = { readonly vaultId: VaultId; readonly entryId: EntryId };

/** A client's change of an entry that is there. */
export type EntryEdit = EntryAddress & { readonly match: RowMatch | undefined; readonly now: number };

/** An entry that is to be created, encoded already: of thousands, encoding is what takes the time. */
export type NewEntry = { readonly entryId: EntryId; readonly body: Uint8Array };

export function entryKey({ vaultId, entryId }: EntryAddress): RowKey {
  return { kind: "entry", vaultId, entryId };
}

/**
 * The body of an entry as it is created.
 * @throws Refusal `body_too_large`
 */
export function encodeNewEntry(content: EntryContent, now: number): Uint8Array {
  requireRoom(content);
  return encodeEntry({ content, version: 1, createdAt: now, updatedAt: now, trashedAt: null });
}

/**
 * Creates one entry. One of the same id and content that is there already is kept, so that a client may repeat what it got
 * no answer to; the write then changes nothing.
 * @throws Refusal `entry_exists` for other content, and for an id that was purged: what is purged never comes back
 */
export function createEntry(vaultId: VaultId, entry: NewEntry): Write {
  return creation(vaultId, [entry], () => "entry_id");
}

/**
 * Creates all entries or none; those that are there with the same content are kept.
 * @throws Refusal `entry_exists` that names by its place in the list each entry that cannot be created
 */
export function importEntries(vaultId: VaultId, entries: readonly NewEntry[]): Write {
  return creation(vaultId, entries, (index) => `entries[${index}].entry_id`);
}

/** Changes what an entry holds. `change` is given the content as it is, must be pure, and may throw a Refusal. */
export function changeEntry(edit: EntryEdit, change: (content: EntryContent) => EntryContent): Write {
  return editing(edit, (entry) => {
    if (entry.trashedAt !== null) throw new Refusal("entry_in_trash");
    const content = change(entry.content);
    requireRoom(content);
    return sameContent(content, entry.content) ? undefined : { ...entry, content };
  });
}

/** Moves an entry to the trash; one that is there stays as it is. */
export function trashEntry(edit: EntryEdit): Write {
  return editing(edit, (entry) => (entry.trashedAt === null ? { ...entry, trashedAt: edit.now } : undefined));
}

/** Brings an entry back from the trash; one that is not there stays as it is. */
export function restoreEntry(edit: EntryEdit): Write {
  return editing(edit, (entry) => (entry.trashedAt === null ? undefined : { ...entry, trashedAt: null }));
}

/** Leaves a tombstone of an entry, whether it is in the trash or not. */
export function purgeEntry(edit: Omit<EntryEdit, "now">): Write {
  const key = entryKey(edit);
  return {
    keys: [vaultKey(edit.vaultId), key],
    decide: ([vault, row]) => {
      requireVault(vault);
      requireMatch(requireEntryRow(row), edit.match);
      return [{ key, body: null }];
    },
  };
}

/** The row of an entry that is there, in the trash or not; refuses where it never was or is purged. */
export function requireEntryRow(row: StoredRow | undefined): LiveRow {
  if (row === undefined || !isLive(row)) throw new Refusal("entry_unknown");
  return row;
}

function creation(vaultId: VaultId, entries: readonly NewEntry[], pathOf: (index: number) => string): Write {
  const changes = entries.map(({ entryId, body }) => ({ key: entryKey({ vaultId, entryId }), body }));
  return {
    keys: [vaultKey(vaultId), ...changes.map(({ key }) => key)],
    decide: ([vault, ...current]) => {
      requireVault(vault);
      requireCreatable(entries, current, pathOf);
      return changes.filter((_, index) => current[index] === undefined);
    },
  };
}

/** As many mistakes as one answer names; more of them help nobody. */
const mistakesMax = 20;

function requireCreatable(
  entries: readonly NewEntry[],
  current: readonly (StoredRow | undefined)[],
  pathOf: (index: number) => string,
): void {
  const mistakes: Mistake[] = [];
  for (const [index, entry] of entries.entries()) {
    const message = obstacle(entry, current[index]);
    if (message === undefined) continue;
    mistakes.push({ path: pathOf(index), message });
    if (mistakes.length === mistakesMax) break;
  }
  if (mistakes.length > 0) throw new Refusal("entry_exists", undefined, mistakes);
}

function obstacle(entry: NewEntry, row: StoredRow | undefined): string | undefined {
  if (row === undefined) return undefined;
  if (row.body === null) return "an entry of this id was purged";
  const isSame = sameContent(decodeEntry(row.body).content, decodeEntry(entry.body).content);
  return isSame ? undefined : "an entry of this id has other content";
}

/** A change of a live entry that raises its version; undefined from `change` leaves it as it is. */
function editing(edit: EntryEdit, change: (entry: Entry) => Entry | undefined): Write {
  const key = entryKey(edit);
  return {
    keys: [vaultKey(edit.vaultId), key],
    decide: ([vault, current]): readonly RowChange[] => {
      requireVault(vault);
      const row = requireEntryRow(current);
      requireMatch(row, edit.match);
      const entry = decodeEntry(row.body);
      const changed = change(entry);
      if (changed === undefined) return [];
      return [{ key, body: encodeEntry({ ...changed, version: entry.version + 1, updatedAt: edit.now }) }];
    },
  };
}

function requireRoom(content: EntryContent): void {
  if (contentBytes(content) > entryContentBytesMax) {
    throw new Refusal("body_too_large", `The entry is larger than ${entryContentBytesMax / 1024} KiB.`);
  }
}
