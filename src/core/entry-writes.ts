import { contentBytes, type Entry, type EntryContent, entryContentBytesMax, sameContent } from "./entry.ts";
import type { EntrySeal } from "./entry-seal.ts";
import { type Mistake, Refusal } from "./errors.ts";
import { type EntryId, type VaultId, versionIdOf } from "./ids.ts";
import { comparePositions, type Position } from "./position.ts";
import { isLive, type LiveRow, type RowKey, type StoredRow } from "./row.ts";
import { type RowMatch, requireMatch } from "./row-match.ts";
import type { RowChange, Write } from "./store/rows.ts";
import { requireKey, vaultKey } from "./vault.ts";

/**
 * The decisions on entries: each is a write for the store, and looks at the vault's row beside the entries'. They open and seal
 * inside of the transaction, so that what they decide on is what stands there; a vault whose key was changed since the caller
 * opened it is refused as `write_raced`, and the caller opens it again.
 */

export type EntryAddress = { readonly vaultId: VaultId; readonly entryId: EntryId };

/** A client's change of an entry that is there. */
export type EntryEdit = {
  readonly seal: EntrySeal;
  readonly entryId: EntryId;
  readonly match: RowMatch | undefined;
  readonly now: number;
  readonly history: HistoryRule;
};

/** What becomes of the state that an edit replaces. */
export type HistoryRule = {
  /** How many earlier versions an entry keeps; 0 keeps none. */
  readonly keepVersions: number;
  /** Versions that are there and may have to go: those of them beyond the newest `keepVersions` do. */
  readonly expiring: readonly number[];
};

/** An entry that is to be created, sealed already: of thousands, that is what takes the time. */
export type NewEntry = {
  readonly entryId: EntryId;
  readonly body: Uint8Array;
  /** Where a row of that id was found to hold the same content: one that still stands there is kept. */
  readonly sameAt?: Position | undefined;
};

export function entryKey({ vaultId, entryId }: EntryAddress): RowKey {
  return { kind: "entry", vaultId, entryId };
}

export function versionKey({ vaultId, entryId }: EntryAddress, version: number): RowKey {
  return { kind: "version", vaultId, versionId: versionIdOf(entryId, version) };
}

/**
 * The body of an entry as it is created.
 * @throws Refusal `body_too_large`
 */
export function newEntry(content: EntryContent, now: number): Entry {
  requireRoom(content);
  return { content, version: 1, createdAt: now, updatedAt: now, trashedAt: null };
}

/**
 * Creates one entry. One of the same id and content that is there already is kept, so that a client may repeat what it got
 * no answer to; the write then changes nothing.
 * @throws Refusal `entry_exists` for other content, and for an id that was purged: what is purged never comes back
 */
export function createEntry(seal: EntrySeal, entry: NewEntry): Write {
  return creation(seal, [entry], () => "entry_id");
}

/**
 * Creates all entries or none; those that are there with the same content are kept.
 * @throws Refusal `entry_exists` that names by its place in the list each entry that cannot be created
 */
export function importEntries(seal: EntrySeal, entries: readonly NewEntry[]): Write {
  return creation(seal, entries, (index) => `entries[${index}].entry_id`);
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

/**
 * Gives an entry the content that it had at an earlier version, as a new version; what it holds already changes nothing.
 * @throws Refusal `version_unknown`
 */
export function restoreVersion(edit: EntryEdit, version: number): Write {
  const key = versionKey({ vaultId: edit.seal.vaultId, entryId: edit.entryId }, version);
  return editing(
    edit,
    (entry, [row]) => {
      if (row === undefined || !isLive(row)) throw new Refusal("version_unknown");
      const { content } = edit.seal.open(edit.entryId, row.body);
      const isSame = sameContent(content, entry.content) && entry.trashedAt === null;
      return isSame ? undefined : { ...entry, content, trashedAt: null };
    },
    [key],
  );
}

/** The state of an entry that a purge was decided on: its row and the versions that were there beside it. */
export type PurgedState = {
  readonly vaultId: VaultId;
  readonly entryId: EntryId;
  readonly match: RowMatch | undefined;
  readonly position: Position;
  readonly versions: readonly number[];
};

/** Leaves tombstones of an entry, whether it is in the trash or not, and of everything that it was before. */
export function purgeEntry({ vaultId, entryId, match, position, versions }: PurgedState): Write {
  const key = entryKey({ vaultId, entryId });
  const history = versions.map((version) => versionKey({ vaultId, entryId }, version));
  return {
    keys: [vaultKey(vaultId), key, ...history],
    decide: ([vault, current, ...rows]) => {
      requireKey(vault, undefined);
      const row = requireEntryRow(current);
      requireMatch(row, match);
      // Changed since: it may have versions now that are not named here.
      if (comparePositions(row.position, position) !== 0) throw new Refusal("write_raced");
      const left = history.filter((_, index) => rows[index]?.body);
      return [...left, key].map((buried) => ({ key: buried, body: null }));
    },
  };
}

/** The row of an entry that is there, in the trash or not; refuses where it never was or is purged. */
export function requireEntryRow(row: StoredRow | undefined): LiveRow {
  if (row === undefined || !isLive(row)) throw new Refusal("entry_unknown");
  return row;
}

function creation(seal: EntrySeal, entries: readonly NewEntry[], pathOf: (index: number) => string): Write {
  const { vaultId } = seal;
  const changes = entries.map(({ entryId, body }) => ({ key: entryKey({ vaultId, entryId }), body }));
  return {
    keys: [vaultKey(vaultId), ...changes.map(({ key }) => key)],
    decide: ([vault, ...current]) => {
      requireKey(vault, seal.keyId);
      requireCreatable(seal, { entries, current, pathOf });
      return changes.filter((_, index) => current[index] === undefined);
    },
  };
}

/** As many mistakes as one answer names; more of them help nobody. */
const mistakesMax = 20;

type Candidates = {
  readonly entries: readonly NewEntry[];
  readonly current: readonly (StoredRow | undefined)[];
  readonly pathOf: (index: number) => string;
};

function requireCreatable(seal: EntrySeal, { entries, current, pathOf }: Candidates): void {
  const mistakes: Mistake[] = [];
  for (const [index, entry] of entries.entries()) {
    const message = obstacle(seal, entry, current[index]);
    if (message === undefined) continue;
    mistakes.push({ path: pathOf(index), message });
    if (mistakes.length === mistakesMax) break;
  }
  if (mistakes.length > 0) throw new Refusal("entry_exists", undefined, mistakes);
}

function obstacle(seal: EntrySeal, entry: NewEntry, row: StoredRow | undefined): string | undefined {
  if (row === undefined) return undefined;
  if (!isLive(row)) return "an entry of this id was purged";
  if (entry.sameAt && comparePositions(entry.sameAt, row.position) === 0) return undefined;
  return isSameEntry(seal, entry, row) ? undefined : "an entry of this id has other content";
}

/** Whether a row holds the content of an entry that is to be created. */
export function isSameEntry(
  seal: EntrySeal,
  { entryId, body }: Pick<NewEntry, "entryId" | "body">,
  row: LiveRow,
): boolean {
  return sameContent(seal.open(entryId, row.body).content, seal.open(entryId, body).content);
}

/** A change of a live entry that raises its version; undefined from `change` leaves it as it is. `others` are rows it looks at. */
function editing(
  edit: EntryEdit,
  change: (entry: Entry, others: readonly (StoredRow | undefined)[]) => Entry | undefined,
  others: readonly RowKey[] = [],
): Write {
  return changeWhole(
    edit,
    (entry, rows) => {
      if (entry === undefined) throw new Refusal("entry_unknown");
      return change(entry, rows);
    },
    others,
  );
}

/**
 * A change of an entry, also of one that is not there. Its version is one above what stands there; an entry that is not there gets
 * the version that `change` gives it.
 */
export function changeWhole(
  edit: EntryEdit,
  change: (entry: Entry | undefined, others: readonly (StoredRow | undefined)[]) => Entry | undefined,
  others: readonly RowKey[],
): Write {
  const { seal, entryId, match, now, history } = edit;
  const address = { vaultId: seal.vaultId, entryId };
  const key = entryKey(address);
  const expiring = history.expiring.map((version) => versionKey(address, version));
  return {
    keys: [vaultKey(seal.vaultId), key, ...others, ...expiring],
    decide: ([vault, current, ...rows]): readonly RowChange[] => {
      requireKey(vault, seal.keyId);
      const row = current !== undefined && isLive(current) ? current : undefined;
      if (row) requireMatch(row, match);
      const entry = row && seal.open(entryId, row.body);
      const changed = change(entry, rows.slice(0, others.length));
      if (changed === undefined) return [];
      const version = entry === undefined ? changed.version : entry.version + 1;
      const body = seal.seal(entryId, { ...changed, version, updatedAt: now });
      return [
        ...(row && entry ? kept(address, entry.version, row, history) : []),
        { key, body },
        ...expired(expiring, rows.slice(others.length), version - history.keepVersions, history),
      ];
    },
  };
}

/**
 * The state that is replaced, as it was sealed. In front of the new one: a site that is promoted between the two holds a state
 * twice, and otherwise it would have lost one.
 */
function kept(
  address: EntryAddress,
  version: number,
  { body }: LiveRow,
  { keepVersions }: HistoryRule,
): readonly RowChange[] {
  return keepVersions === 0 ? [] : [{ key: versionKey(address, version), body }];
}

function expired(
  keys: readonly RowKey[],
  rows: readonly (StoredRow | undefined)[],
  below: number,
  { expiring }: HistoryRule,
): readonly RowChange[] {
  return keys
    .filter((_, index) => rows[index]?.body && (expiring[index] ?? below) < below)
    .map((key) => ({ key, body: null }));
}

function requireRoom(content: EntryContent): void {
  if (contentBytes(content) > entryContentBytesMax) {
    throw new Refusal("body_too_large", `The entry is larger than ${entryContentBytesMax / 1024} KiB.`);
  }
}
