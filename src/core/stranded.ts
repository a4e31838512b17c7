import { decodeAccess } from "./access.ts";
import { decodeStranded } from "./aside.ts";
import type { Entry } from "./entry.ts";
import type { EntrySeal } from "./entry-seal.ts";
import { changeWhole, type EntryEdit, entryKey, versionKey } from "./entry-writes.ts";
import { Refusal } from "./errors.ts";
import { type EntryId, parseVersionId } from "./ids.ts";
import { comparePositions, type Position } from "./position.ts";
import { isLive, type LiveRow, type Row, type RowKey, type StoredRow } from "./row.ts";
import { readSealedHeader, type SealedHeader } from "./sealed-header.ts";
import type { RowChange, Write } from "./store/rows.ts";
import { decodeVault, encodeVault, type VaultBody, vaultKey } from "./vault.ts";

/** The operator's decisions on a stranded row: each is a write for the store, and settles it on every site. */

type StrandedKey = RowKey & { readonly kind: "stranded" };
type KeyOf<Kind extends RowKey["kind"]> = RowKey & { readonly kind: Kind };

/** Of an entry: where its row stood, null where there was none, and the versions that were live beside it. */
export type EntryState = { readonly position: Position | null; readonly versions: readonly number[] };

export const noEntryState: EntryState = { position: null, versions: [] };

/**
 * Makes the stranded row the row of its key again, as a change of its own, and settles it. What was sealed stays as it was sealed,
 * so that it may come back only where it can be opened and nothing newer is in its place; with an access to the vault, anything
 * can be read from it and written anew instead.
 * @param key of the row that is stranded, as its body names it
 * @param state of the entry that is stranded, as the caller has found it
 * @throws Refusal `stranded_unknown`, `stranded_unreadable`; `reapply_refused` where the row was purged or revoked since, or may not
 *   come back as it is; `write_raced` where the entry was changed since the caller looked
 */
export function reapplyStranded(
  strandedKey: StrandedKey,
  key: RowKey,
  state: EntryState = noEntryState,
): Write {
  const { vaultId } = key;
  const history =
    key.kind === "entry" ? state.versions.map((version) => versionKey(entryAddress(key), version)) : [];
  const entry = key.kind === "version" ? [entryKey(versionAddress(key))] : [];
  return {
    keys: [strandedKey, key, vaultKey(vaultId), ...entry, ...history],
    decide: ([stranded, current, vault, ...others]) => {
      if (!stranded || !isLive(stranded)) throw new Refusal("stranded_unknown");
      const { row } = decodeStranded(stranded.body);
      if (key.kind === "entry") requireState(current, state);
      const changes = row.body === null ? purge(key, history) : remake(key, row, { current, vault, others });
      return [...changes, { key: strandedKey, body: null }];
    },
  };
}

/**
 * Settles stranded rows without making them again.
 * @throws Refusal `stranded_unknown`
 */
export function discardStranded(keys: readonly StrandedKey[]): Write {
  return {
    keys,
    decide: (current) => {
      if (!current.every((row) => row && isLive(row))) throw new Refusal("stranded_unknown");
      return keys.map((key) => ({ key, body: null }));
    },
  };
}

const entryAddress = ({ vaultId, entryId }: KeyOf<"entry">) => ({ vaultId, entryId });
const versionAddress = ({ vaultId, versionId }: KeyOf<"version">) => ({
  vaultId,
  entryId: parseVersionId(versionId).entryId,
});

/** What an entry was before goes with it. */
function purge(key: RowKey, history: readonly RowKey[]): readonly RowChange[] {
  return [...history, key].map((purged) => ({ key: purged, body: null }));
}

function requireState(current: StoredRow | undefined, { position }: EntryState): void {
  const isSame =
    current && position ? comparePositions(current.position, position) === 0 : !current && !position;
  if (!isSame) throw new Refusal("write_raced");
}

type Found = {
  readonly current: StoredRow | undefined;
  readonly vault: StoredRow | undefined;
  /** Of a version, its entry; of an entry, its versions. */
  readonly others: readonly (StoredRow | undefined)[];
};

function remake(key: RowKey, row: Row, { current, vault, others }: Found): readonly RowChange[] {
  if (current && !isLive(current))
    throw refused("it was purged or revoked since, and what is purged never comes back");
  switch (key.kind) {
    case "vault":
      return remakeVault(key, row, current);
    case "access":
      return remakeAccess(key, row, vault);
    case "entry":
      return remakeEntry(key, row, { current, vault: requireVaultOf(vault), versions: others });
    case "version":
      return remakeVersion(key, row, { current, vault: requireVaultOf(vault), entry: others[0] });
    case "stranded":
      throw refused("it is a stranded row itself");
  }
}

/** Of a vault that is there, the keys are what its rows are sealed under: only the name may come from elsewhere. */
function remakeVault(key: KeyOf<"vault">, row: Row, current: StoredRow | undefined): readonly RowChange[] {
  if (!current?.body) return [{ key, body: row.body }];
  const [{ name, updatedAt }, own] = [read(row.body, decodeVault), read(current.body, decodeVault)];
  return [{ key, body: encodeVault({ ...own, name, updatedAt: Math.max(updatedAt, own.updatedAt) }) }];
}

function remakeAccess(key: KeyOf<"access">, row: Row, vault: StoredRow | undefined): readonly RowChange[] {
  const { keyId } = requireVaultOf(vault);
  if (read(row.body, decodeAccess).slot.keyId !== keyId)
    throw refused("the vault's key has changed since: make a new access instead, and discard this one");
  return [{ key, body: row.body }];
}

const withToken =
  "reapply it through the API with a token that may write to the vault (`dormouse stranded reapply --vault`)";

/** What stood in its place becomes an earlier version, as with any edit. */
function remakeEntry(
  key: KeyOf<"entry">,
  row: Row,
  { current, vault, versions }: { current: LiveRow | undefined; vault: VaultBody; versions: Found["others"] },
): readonly RowChange[] {
  const header = requireHeader(row, vault, key);
  const own = current && ownHeader(current);
  const newest = Math.max(
    own?.version ?? 0,
    ...versions.map((version) =>
      version?.key.kind === "version" && version.body ? numberOf(version.key) : 0,
    ),
  );
  if (header.version <= newest)
    throw refused(`it is version ${header.version}, and version ${newest} is here: ${withToken}`);
  const displaced =
    current && own ? [{ key: versionKey(entryAddress(key), own.version), body: current.body }] : [];
  return [...displaced, { key, body: row.body }];
}

/** Only among the earlier ones: one above the entry's own would make that look older than its history. */
function remakeVersion(
  key: KeyOf<"version">,
  row: Row,
  { current, vault, entry }: { current: LiveRow | undefined; vault: VaultBody; entry: StoredRow | undefined },
): readonly RowChange[] {
  if (current) throw refused("the entry has another version of that number");
  if (!entry || !isLive(entry)) throw refused("its entry is not here");
  const { version } = requireHeader(row, vault, entry.key);
  if (version !== numberOf(key)) throw refused("what is sealed in it is another version");
  if (version >= ownHeader(entry).version)
    throw refused("the entry itself has not come so far: reapply that first, or discard this one");
  return [{ key, body: row.body }];
}

function numberOf({ versionId }: KeyOf<"version">): number {
  return parseVersionId(versionId).version;
}

/** What can be seen of a stranded body without a key, where it is one of that entry and sealed under a key that the vault holds. */
function requireHeader({ body }: Row, { keyId, older }: VaultBody, key: RowKey): SealedHeader {
  const header = body === null ? undefined : readSealedHeader(body);
  if (!header || key.kind !== "entry") throw refused("its body is not a sealed entry");
  if (header.vaultId !== key.vaultId || header.entryId !== key.entryId)
    throw refused("what is sealed in it belongs to another entry");
  if (header.keyId !== keyId && !older.some((known) => known.keyId === header.keyId))
    throw refused("it is sealed under a key that the vault does not hold here");
  return header;
}

function ownHeader({ body }: LiveRow): SealedHeader {
  const header = readSealedHeader(body);
  if (!header) throw refused(`what stands in its place cannot be read: ${withToken}`);
  return header;
}

function requireVaultOf(row: StoredRow | undefined): VaultBody {
  if (!row || !isLive(row)) throw refused("its vault is not here");
  return read(row.body, decodeVault);
}

/** A body that may have been damaged, or written by whomever, before it was stranded. */
function read<T>(body: Uint8Array | null, decode: (body: Uint8Array) => T): T {
  try {
    if (body !== null) return decode(body);
  } catch {
    // What could not be read is refused below.
  }
  throw new Refusal("stranded_unreadable");
}

function refused(why: string): Refusal {
  return new Refusal("reapply_refused", `The row may not come back as it is: ${why}.`);
}

/** What an access to the vault, which can open what is stranded, makes of it. */
export type StrandedEdit = EntryEdit & { readonly strandedKey: StrandedKey };

/**
 * Writes what a stranded entry, or version of one, holds as the newest state of its entry, and settles it. What stands there now
 * becomes an earlier version.
 * @throws Refusal `stranded_unknown`, `stranded_unreadable`, `reapply_refused` where the entry was purged since or it is no entry;
 *   `write_raced`; what opening it throws
 */
export function rewriteStranded({ strandedKey, ...edit }: StrandedEdit): Write {
  const { seal, entryId } = edit;
  const write = changeWhole(
    edit,
    (entry, [stranded]) => {
      const opened = openStranded(seal, stranded);
      if (opened.entryId !== entryId) throw new Refusal("stranded_unknown");
      if (entry === undefined) return opened.entry;
      return { ...entry, content: opened.entry.content, trashedAt: opened.entry.trashedAt };
    },
    [strandedKey],
  );
  return {
    ...write,
    decide: (current) => {
      const entry = current[1];
      if (entry !== undefined && !isLive(entry))
        throw refused("its entry was purged since, and what is purged never comes back");
      return [...write.decide(current), { key: strandedKey, body: null }];
    },
  };
}

/**
 * The entry that a stranded row holds, opened.
 * @throws Refusal `stranded_unknown`, `stranded_unreadable`, `reapply_refused` where it is no entry; what opening it throws
 */
export function openStranded(
  seal: EntrySeal,
  stranded: StoredRow | undefined,
): { readonly entryId: EntryId; readonly entry: Entry; readonly row: LiveRow } {
  if (!stranded || !isLive(stranded)) throw new Refusal("stranded_unknown");
  const { row } = decodeStranded(stranded.body);
  const { body } = row;
  if (body === null || (row.key.kind !== "entry" && row.key.kind !== "version"))
    throw refused("it holds no entry");
  const entryId = row.key.kind === "entry" ? row.key.entryId : parseVersionId(row.key.versionId).entryId;
  return { entryId, entry: seal.open(entryId, body), row: { ...stranded, ...row, body } };
}
