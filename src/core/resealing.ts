import { type AccessBody, decodeAccess } from "./access.ts";
import type { EntrySeal } from "./entry-seal.ts";
import { Refusal } from "./errors.ts";
import { type AccessId, type EntryId, type KeyId, parseVersionId, type VaultId } from "./ids.ts";
import { comparePositions, type Position } from "./position.ts";
import { isLive, type LiveRow, type RowKey, type StoredRow } from "./row.ts";
import { readSealedHeader } from "./sealed-header.ts";
import type { Write } from "./store/rows.ts";
import {
  encodeVault,
  type KeyLink,
  type OlderKey,
  requireKey,
  requireVault,
  vaultKey,
  type VaultBody,
} from "./vault.ts";

/**
 * What follows a change of a vault's key: its entries and their versions are sealed anew, slice by slice; when none is left and
 * every peer has them, the older keys go, and with them the links that nobody needs any more.
 */

/** Whether a row of an entry or version is sealed under another key than this. */
export function isUnderOlderKey({ body }: LiveRow, keyId: KeyId): boolean {
  return readSealedHeader(body)?.keyId !== keyId;
}

/** The entry that a row of an entry or of a version belongs to. */
export function entryIdOf(key: RowKey): EntryId {
  if (key.kind === "entry") return key.entryId;
  if (key.kind === "version") return parseVersionId(key.versionId).entryId;
  throw new Error(`a row of kind ${key.kind} belongs to no entry`);
}

/** Seals rows anew under the current key; those that were changed since they were read are left as they are. */
export function reseal(seal: EntrySeal, rows: readonly LiveRow[]): Write {
  return {
    keys: [vaultKey(seal.vaultId), ...rows.map(({ key }) => key)],
    decide: ([vault, ...current]) => {
      requireKey(vault, seal.keyId);
      return rows
        .filter((row, index) => isUnchanged(row, current[index]))
        .map((row) => {
          const entryId = entryIdOf(row.key);
          return { key: row.key, body: seal.seal(entryId, seal.open(entryId, row.body)) };
        });
    },
  };
}

function isUnchanged(row: StoredRow, current: StoredRow | undefined): boolean {
  return current !== undefined && isLive(current) && comparePositions(current.position, row.position) === 0;
}

/**
 * Notes in the vault's row that no row is left under its older keys, and where the last one was sealed anew. What was noted in an
 * earlier reign is noted anew.
 * @param keyId of the key that the rows were sealed under; changed since, there are others by now
 */
export function noteResealed(vaultId: VaultId, keyId: KeyId, lastPosition: Position): Write {
  const isNoted = ({ lastPosition: noted }: OlderKey) => noted !== null && noted.epoch >= lastPosition.epoch;
  return changingVault(vaultId, keyId, (vault) => {
    if (vault.older.every(isNoted)) return vault;
    return {
      ...vault,
      older: vault.older.map((older) => (isNoted(older) ? older : { ...older, lastPosition })),
    };
  });
}

/**
 * The keys that an access's slot may hold on any site, each of which needs a link to the next: the one that its row holds here, and
 * those of its links, for a peer may still have that row as it was before.
 */
export function slotKeys(accessId: AccessId, { slot }: AccessBody, { links }: VaultBody): ReadonlySet<KeyId> {
  const before = links.filter((link) => link.accessId === accessId);
  return new Set([slot.keyId, ...before.map(({ from }) => from)]);
}

/** What may go of a vault's row, because every peer has what it was kept for. */
export type Outlived = { readonly older: readonly KeyId[]; readonly links: readonly KeyLink[] };

export function dropOutlived(vaultId: VaultId, keyId: KeyId, { older, links }: Outlived): Write {
  const isLinkOutlived = (link: KeyLink) =>
    links.some(
      ({ accessId, from, to }) => accessId === link.accessId && from === link.from && to === link.to,
    );
  return {
    ...changingVault(vaultId, keyId, (vault) => {
      const kept = {
        ...vault,
        older: vault.older.filter(
          ({ keyId: id, lastPosition }) => lastPosition === null || !older.includes(id),
        ),
        links: vault.links.filter((link) => !isLinkOutlived(link)),
      };
      const isSame = kept.older.length === vault.older.length && kept.links.length === vault.links.length;
      return isSame ? vault : kept;
    }),
  };
}

function changingVault(vaultId: VaultId, keyId: KeyId, change: (vault: VaultBody) => VaultBody): Write {
  const key = vaultKey(vaultId);
  return {
    keys: [key],
    decide: ([row]) => {
      const vault = requireKey(row, keyId);
      const changed = change(vault);
      return changed === vault ? [] : [{ key, body: encodeVault(changed) }];
    },
  };
}

/**
 * What of a vault's row nobody needs, once every peer holds all that was sealed anew: links of accesses that have ended, or whose slot holds another key on every site (a row
 * that a peer may lack still counts there as it was), and older keys that no such link starts from and no row is under.
 * @param rows of the accesses that the links name, where there are any
 */
export function outlived(
  { older, links }: Pick<VaultBody, "older" | "links">,
  rows: ReadonlyMap<string, StoredRow | undefined>,
): Outlived {
  const gone = links.filter(({ accessId, from }) => {
    const row = rows.get(accessId);
    if (!row || row.dirty) return row === undefined;
    return !isLive(row) || decodeAccess(row.body).slot.keyId !== from;
  });
  const needed = new Set(links.filter((link) => !gone.includes(link)).map(({ from }) => from));
  const unused = older.filter(({ keyId, lastPosition }) => lastPosition !== null && !needed.has(keyId));
  return { older: unused.map(({ keyId }) => keyId), links: gone };
}

/** The row of an access by its id, as `outlivedLinks` wants to know it. */
export function linkedAccessKeys(
  vaultId: VaultId,
  vault: VaultBody,
): readonly (RowKey & { readonly kind: "access" })[] {
  return [...new Set(vault.links.map((link) => link.accessId))].map(
    (accessId) => ({ kind: "access", vaultId, accessId }) as const,
  );
}

/** Where a vault's row stands, and what it holds. @throws Refusal `vault_unknown` */
export function vaultOf(row: StoredRow | undefined): { readonly row: LiveRow; readonly vault: VaultBody } {
  const live = requireVault(row);
  return { row: live, vault: requireKey(live, undefined) };
}

export function raced(error: unknown): boolean {
  return error instanceof Refusal && error.code === "write_raced";
}
