import type { AccessKind, Scope } from "../core/access.ts";
import { fromHex, utf8 } from "../core/bytes.ts";
import { type AccessId, type KeyId, uuidBytes, type VaultId } from "../core/ids.ts";

/** What of an access must not be forged by one who can write the disk and has no key of the vault. */
export type AccessClaim = {
  readonly vaultId: VaultId;
  readonly accessId: AccessId;
  readonly kind: AccessKind;
  readonly scope: Scope;
  /** Wall clock, milliseconds since 1970; null where it never expires. */
  readonly expiresAt: number | null;
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
};

/**
 * The bytes that an access's MAC is over: vault 16, access 16, kind, scope, expiry in decimal digits or nothing, public key, key
 * id 16. Each goes in behind its length as a u32be, so that no two claims have the same bytes, whatever a planted row holds.
 */
export function claimBytes(claim: AccessClaim, keyId: KeyId): Uint8Array {
  const { vaultId, accessId, kind, scope, expiresAt, publicKey } = claim;
  const expiry = expiresAt === null ? "" : String(expiresAt);
  const parts = [
    uuidBytes(vaultId),
    uuidBytes(accessId),
    utf8(kind),
    utf8(scope),
    utf8(expiry),
    publicKey,
    fromHex(keyId),
  ];
  return Buffer.concat(parts.flatMap((part) => [u32be(part.length), part]));
}

function u32be(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
