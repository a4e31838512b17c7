import type { AccessBody, PassphraseParameters, Scope } from "../core/access.ts";
import type { VaultId } from "../core/ids.ts";
import type { NewAccess } from "../core/vault.ts";
import type { AccessSecret } from "../crypto/access-secret.ts";
import type { VaultKey } from "../crypto/vault-key.ts";

/** What is decided of an access before its keys are made. */
export type AccessPlan = {
  readonly vaultId: VaultId;
  readonly name: string;
  readonly scope: Scope;
  readonly expiresAt: number | null;
  /** Of a person; null of a machine. */
  readonly passphrase: PassphraseParameters | null;
  readonly now: number;
};

/** An access to a vault that is open: its slot holds the vault's key, and its MAC says that somebody who had that made it. */
export async function makeAccess(plan: AccessPlan, secret: AccessSecret, key: VaultKey): Promise<NewAccess> {
  const { vaultId, name, scope, expiresAt, passphrase, now } = plan;
  const { accessId } = secret;
  const kind = passphrase === null ? "machine" : "person";
  const publicKey = await secret.publicKey();
  const access: AccessBody = {
    kind,
    name,
    scope,
    verifier: secret.verifier(),
    publicKey,
    slot: { keyId: key.id, sealed: secret.sealSlot(key, vaultId) },
    mac: key.accessMac({ vaultId, accessId, kind, scope, expiresAt, publicKey }),
    passphrase,
    createdAt: now,
    expiresAt,
  };
  return { accessId, access };
}
