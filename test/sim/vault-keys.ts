import { type AccessBody, decodeAccess } from "../../src/core/access.ts";
import { type Caller, type KeyChange, changeKey } from "../../src/core/access-writes.ts";
import { toHex } from "../../src/core/bytes.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { AccessId, KeyId, VaultId } from "../../src/core/ids.ts";
import type { Random } from "../../src/core/ports.ts";
import { slotKeys } from "../../src/core/resealing.ts";
import { isIntact, isLive, type LiveRow, type StoredRow } from "../../src/core/row.ts";
import type { Write } from "../../src/core/store/rows.ts";
import type { Store } from "../../src/core/store/store.ts";
import { decodeVault, type KeyLink, vaultKey, type VaultBody } from "../../src/core/vault.ts";
import { sha256Hash } from "../support/ports.ts";

/**
 * What clients do about a vault's keys, as the HTTP layer does it, but for the keys themselves: a key is its id, and whoever has a way
 * to it has it.
 */

const nothing = new Uint8Array(0);
const now = 0;
const accessesMax = 1_000;

/** An access that opens its vault at a site, as it stands there. */
type OpeningAccess = { readonly accessId: AccessId; readonly access: AccessBody; readonly row: LiveRow };

/** A vault as clients find it at a site: undefined where it is not there, or cannot be read. */
export async function readVault(
  store: Store,
  vaultId: VaultId,
): Promise<{ readonly row: LiveRow; readonly vault: VaultBody } | undefined> {
  const row = await store.read((r) => r.rows.row(vaultKey(vaultId)));
  return row && isLive(row) && isIntact(sha256Hash, row) ? { row, vault: decodeVault(row.body) } : undefined;
}

/** The id of the current key of a vault that is there and can be read. */
export function keyIdOf(row: StoredRow | undefined): KeyId | undefined {
  return row && isLive(row) && isIntact(sha256Hash, row) ? decodeVault(row.body).keyId : undefined;
}

/** Whether an access comes from its slot to the vault's current key. */
export function hasWay(accessId: AccessId, { slot }: AccessBody, { keyId, links }: VaultBody): boolean {
  const isWay = (link: KeyLink) =>
    link.accessId === accessId && link.from === slot.keyId && link.to === keyId;
  return slot.keyId === keyId || links.some(isWay);
}

async function readAccesses(store: Store, vaultId: VaultId): Promise<readonly OpeningAccess[]> {
  const rows = await store.read((r) => r.accesses.ofVault(vaultId, undefined, accessesMax));
  return rows.flatMap((row) => {
    if (row.key.kind !== "access" || !isLive(row)) return [];
    // One that cannot be read stops whatever looks at all of them.
    if (!isIntact(sha256Hash, row)) throw new Refusal("access_forged");
    return [{ accessId: row.key.accessId, access: decodeAccess(row.body), row }];
  });
}

function withSlot(access: AccessBody, keyId: KeyId): AccessBody {
  return { ...access, slot: { keyId, sealed: nothing } };
}

/** Somebody who can open a vault at a site, and what his next write brings along; undefined where nobody can. */
export async function findCaller(
  store: Store,
  vaultId: VaultId,
  pick: <T>(from: readonly T[]) => T,
): Promise<Caller | undefined> {
  const found = await readVault(store, vaultId);
  if (!found) return undefined;
  const { vault } = found;
  const opening = (await readAccesses(store, vaultId)).filter((each) =>
    hasWay(each.accessId, each.access, vault),
  );
  if (opening.length === 0) return undefined;
  const { accessId, access, row } = pick(opening);
  const { keyId } = vault;
  const renewal = { accessId, access: withSlot(access, keyId), position: row.position, keyId };
  return { vaultId, accessId, now, renewal: access.slot.keyId === keyId ? undefined : renewal };
}

/** Prepares a change of a vault's key by somebody who can open it. @throws Refusal where nobody can */
export async function prepareChange(
  store: Store,
  vaultId: VaultId,
  { revoked, random, pick }: { revoked: AccessId | null; random: Random; pick: <T>(from: readonly T[]) => T },
): Promise<{ readonly write: Write; readonly change: KeyChange }> {
  const found = await readVault(store, vaultId);
  if (!found) throw new Refusal("vault_unknown");
  const { row, vault } = found;
  const accesses = await readAccesses(store, vaultId);
  const linkable = accesses.filter((each) => hasWay(each.accessId, each.access, vault));
  if (linkable.length === 0) throw new Refusal("unauthorized");
  const own = pick(linkable);
  const keyId = toHex(random.bytes(16)) as KeyId;
  const known = new Set([vault.keyId, ...vault.older.map((older) => older.keyId)]);
  const links = linkable
    .filter(({ accessId }) => accessId !== revoked)
    .flatMap(({ accessId, access }) =>
      [...slotKeys(accessId, access, vault)]
        .filter((from) => known.has(from))
        .map((from) => ({ accessId, from, to: keyId, sealed: nothing, mac: nothing })),
    );
  const older = [...vault.older, { keyId: vault.keyId, sealed: nothing, lastPosition: null }];
  const isStaying = own.accessId !== revoked;
  const change: KeyChange = {
    vaultId,
    at: row.position,
    seen: accesses.map((each) => ({
      accessId: each.accessId,
      position: each.row.position,
      isUsable: linkable.includes(each),
    })),
    revoked,
    vault: { ...vault, keyId, older, links },
    own: isStaying ? { accessId: own.accessId, access: withSlot(own.access, keyId) } : null,
  };
  return { write: readingIntact(changeKey(change)), change };
}

/** A write that looks at no row that cannot be read: a client is told so before it could change anything. */
export function readingIntact(write: Write): Write {
  return {
    ...write,
    decide: (current) => {
      if (current.some((row) => row && !isIntact(sha256Hash, row))) throw new Refusal("access_forged");
      return write.decide(current);
    },
  };
}
