import type { KeyChange } from "../core/access-writes.ts";
import type { AccessId } from "../core/ids.ts";
import type { KeyLink, OlderKey, VaultBody } from "../core/vault.ts";
import { sealLink } from "../crypto/key-link.ts";
import type { VaultKey } from "../crypto/vault-key.ts";
import { type ListedAccess, stateOf } from "./access-list.ts";
import type { OpenVault, VaultSession } from "./vault-opening.ts";

export type PreparedKeyChange = {
  readonly change: KeyChange;
  /** Accesses that get no way to the new key: forged, or without one to the old. */
  readonly notLinked: readonly ListedAccess[];
};

/**
 * Prepares the change of an open vault's key to `next`: seals that to everybody who stays. Costs a key exchange for each access.
 * @param accesses every live access of the vault
 * @param revoked the one that ends with it; null where none does
 */
export async function prepareKeyChange(
  session: VaultSession,
  accesses: readonly ListedAccess[],
  {
    next,
    revoked,
    now,
  }: { readonly next: VaultKey; readonly revoked: AccessId | null; readonly now: number },
): Promise<PreparedKeyChange> {
  const { open } = session;
  const { vaultId, vaultAt, accessId } = open;
  const staying = accesses.filter((access) => access.accessId !== revoked);
  const linkable = staying.filter((access) => ["direct", "linked"].includes(stateOf(open, access)));
  const links: KeyLink[] = [];
  for (const access of linkable) links.push(await linkOf(open, access, next));
  const isStaying = accessId !== revoked;
  return {
    change: {
      vaultId,
      at: vaultAt,
      seen: accesses.map((access) => ({ accessId: access.accessId, position: access.row.position })),
      revoked,
      vault: vaultUnder(open, next, { links, staying: linkable, now }),
      own: isStaying ? { accessId, access: session.withSlotOf(next) } : null,
    },
    notLinked: staying.filter((access) => !linkable.includes(access)),
  };
}

async function linkOf(
  { vaultId, key }: OpenVault,
  { accessId, access }: ListedAccess,
  next: VaultKey,
): Promise<KeyLink> {
  const { kind, scope, expiresAt, publicKey } = access;
  return {
    accessId,
    from: key.id,
    to: next.id,
    sealed: await sealLink({ vaultId, accessId, publicKey, from: key, to: next }),
    mac: next.accessMac({ vaultId, accessId, kind, scope, expiresAt, publicKey }),
  };
}

/** The vault's row with the new key: the keys of before sealed under it, and the links of those who stay. */
function vaultUnder(
  { vaultId, vault, key }: OpenVault,
  next: VaultKey,
  {
    links,
    staying,
    now,
  }: { readonly links: readonly KeyLink[]; readonly staying: readonly ListedAccess[]; readonly now: number },
): VaultBody {
  const older = vault.older.map((each): OlderKey => {
    using opened = key.openOlder(each.sealed, vaultId, each.keyId);
    return { ...each, sealed: next.sealOlder(opened, vaultId) };
  });
  const left = vault.links.filter((link) => staying.some(({ accessId }) => accessId === link.accessId));
  return {
    ...vault,
    updatedAt: now,
    keyId: next.id,
    older: [...older, { keyId: key.id, sealed: next.sealOlder(key, vaultId), lastPosition: null }],
    links: [...left, ...links],
  };
}
