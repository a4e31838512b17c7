import type { KeyChange } from "../core/access-writes.ts";
import { Refusal } from "../core/errors.ts";
import type { AccessId, KeyId } from "../core/ids.ts";
import { slotKeys } from "../core/resealing.ts";
import type { KeyLink, OlderKey, VaultBody } from "../core/vault.ts";
import { sealLink } from "../crypto/key-link.ts";
import type { VaultKey } from "../crypto/vault-key.ts";
import { isUsable, type ListedAccess, seenOf } from "./access-list.ts";
import { olderKeys, type OpenVault, type VaultSession } from "./vault-opening.ts";

export type PreparedKeyChange = {
  readonly change: KeyChange;
  /** Accesses that get no way to the new key: forged, or without one to the old. */
  readonly notLinked: readonly ListedAccess[];
};

/** What a change of the key is to do. */
export type KeyChangePlan = {
  readonly next: VaultKey;
  /** The access that ends with it; null where none does. */
  readonly revoked: AccessId | null;
  readonly now: number;
};

/**
 * Prepares the change of an open vault's key: seals the next one to everybody who stays. Costs a key exchange for each access.
 * @param accesses every live access of the vault
 * @throws Refusal `sealed_key_unknown` where a key of before does not open: it would be lost with the change
 */
export async function prepareKeyChange(
  session: VaultSession,
  accesses: readonly ListedAccess[],
  plan: KeyChangePlan,
): Promise<PreparedKeyChange> {
  const { open } = session;
  const older = olderKeys(open.vaultId, open.vault, open.key);
  try {
    if (older.length < open.vault.older.length) throw new Refusal("sealed_key_unknown");
    const keys = new Map([open.key, ...older].map((key) => [key.id, key]));
    const staying = accesses.filter((each) => each.accessId !== plan.revoked && !isOver(each, plan.now));
    const linkable = staying.filter((access) => isUsable(open, access));
    const links: KeyLink[] = [];
    for (const access of linkable) links.push(...(await linksOf(open, access, { keys, next: plan.next })));
    const vault = vaultUnder(open, { keys, next: plan.next }, { links, now: plan.now });
    const change = changeTo(session, accesses, { vault, plan });
    return { change, notLinked: staying.filter((access) => !linkable.includes(access)) };
  } finally {
    for (const key of older) key[Symbol.dispose]();
  }
}

/** Whoever's time is up never comes back, and needs no way to the new key. */
function isOver({ access }: ListedAccess, now: number): boolean {
  return access.expiresAt !== null && access.expiresAt <= now;
}

function changeTo(
  session: VaultSession,
  accesses: readonly ListedAccess[],
  { vault, plan }: { readonly vault: VaultBody; readonly plan: KeyChangePlan },
): KeyChange {
  const { vaultId, vaultAt, accessId } = session.open;
  const isStaying = accessId !== plan.revoked;
  return {
    vaultId,
    at: vaultAt,
    seen: seenOf(session.open, accesses),
    revoked: plan.revoked,
    vault,
    own: isStaying ? { accessId, access: session.withSlotOf(plan.next) } : null,
  };
}

type Keys = { readonly keys: ReadonlyMap<KeyId, VaultKey>; readonly next: VaultKey };

/** One link to the new key from every key that an access's slot may hold on any site. */
async function linksOf(
  { vaultId, vault }: OpenVault,
  { accessId, access }: ListedAccess,
  { keys, next }: Keys,
): Promise<readonly KeyLink[]> {
  const { kind, scope, expiresAt, publicKey } = access;
  const mac = next.accessMac({ vaultId, accessId, kind, scope, expiresAt, publicKey });
  const links: KeyLink[] = [];
  for (const id of slotKeys(accessId, access, vault)) {
    const from = keys.get(id);
    if (from === undefined) continue;
    const sealed = await sealLink({ vaultId, accessId, publicKey, from, to: next });
    links.push({ accessId, from: from.id, to: next.id, sealed, mac });
  }
  return links;
}

/** The vault's row with the new key, and every key of before sealed under it. */
function vaultUnder(
  { vaultId, vault, key }: OpenVault,
  { keys, next }: Keys,
  { links, now }: { readonly links: readonly KeyLink[]; readonly now: number },
): VaultBody {
  const older = vault.older.flatMap((each): readonly OlderKey[] => {
    const opened = keys.get(each.keyId);
    return opened ? [{ ...each, sealed: next.sealOlder(opened, vaultId) }] : [];
  });
  return {
    ...vault,
    updatedAt: now,
    keyId: next.id,
    older: [...older, { keyId: key.id, sealed: next.sealOlder(key, vaultId), lastPosition: null }],
    links,
  };
}
