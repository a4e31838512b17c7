import { decodeAccess } from "../../../src/core/access.ts";
import { decodeVault } from "../../../src/core/vault.ts";
import type { AccessSecret } from "../../../src/crypto/access-secret.ts";
import type { KeptVault, OpenVault, VaultRows } from "../../../src/http/vault-opening.ts";
import { PlainSeal } from "../../../test/support/plain-seal.ts";

export * from "../../../src/http/vault-opening.ts";

/**
 * A vault whose access was verified, and of which nothing more is opened: no slot, no MAC, no key. Its entries are their encoded
 * bytes behind the header that sealed ones have.
 */
export async function openVault({ vault, access }: VaultRows, secret: AccessSecret): Promise<OpenVault> {
  return plain({
    vaultId: vault.key.vaultId,
    accessId: secret.accessId,
    access: decodeAccess(access.body),
    accessAt: access.position,
    vault: decodeVault(vault.body),
    vaultAt: vault.position,
  });
}

/** Keeps what needs no key. */
export function keepVault(open: OpenVault, { access, vault }: VaultRows): KeptVault {
  const kept = { keyId: open.vault.keyId, sealed: new Uint8Array() };
  return { ...knownOf(open), accessHash: access.hash, vaultHash: vault.hash, kept };
}

export function openKept(kept: KeptVault): OpenVault {
  return plain(knownOf(kept));
}

type Known = Omit<OpenVault, "key" | "seal" | typeof Symbol.dispose>;

function knownOf({ vaultId, accessId, access, accessAt, vault, vaultAt }: Known): Known {
  return { vaultId, accessId, access, accessAt, vault, vaultAt };
}

function plain(known: Known): OpenVault {
  const { vaultId, vault } = known;
  const nothing = {
    key: { id: vault.keyId },
    seal: new PlainSeal(vaultId, vault.keyId),
    [Symbol.dispose]: () => {},
  } as unknown as Pick<OpenVault, "key" | "seal" | typeof Symbol.dispose>;
  return { ...known, ...nothing };
}
