import { decodeAccess } from "../../../src/core/access.ts";
import { decodeVault } from "../../../src/core/vault.ts";
import type { AccessSecret } from "../../../src/crypto/access-secret.ts";
import type { OpenVault, VaultRows } from "../../../src/http/vault-opening.ts";
import { PlainSeal } from "../../../test/support/plain-seal.ts";

export * from "../../../src/http/vault-opening.ts";

/**
 * A vault whose access was verified, and of which nothing more is opened: no slot, no MAC, no key. Its entries are their encoded
 * bytes behind the header that sealed ones have.
 */
export async function openVault({ vault, access }: VaultRows, secret: AccessSecret): Promise<OpenVault> {
  const { vaultId } = vault.key;
  const body = decodeVault(vault.body);
  const nothing = {
    key: { id: body.keyId },
    seal: new PlainSeal(vaultId, body.keyId),
    [Symbol.dispose]: () => {},
  } as unknown as Pick<OpenVault, "key" | "seal" | typeof Symbol.dispose>;
  return {
    vaultId,
    accessId: secret.accessId,
    access: decodeAccess(access.body),
    accessAt: access.position,
    vault: body,
    vaultAt: vault.position,
    ...nothing,
  };
}
