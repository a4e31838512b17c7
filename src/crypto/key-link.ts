import type { webcrypto } from "node:crypto";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256, HpkeError } from "@hpke/core";
import { fromHex, utf8 } from "../core/bytes.ts";
import { type AccessId, type KeyId, uuidBytes, type VaultId } from "../core/ids.ts";
import { takeVaultKey, type VaultKey } from "./vault-key.ts";

/** HPKE (RFC 9180): kem 0x0020, kdf 0x0001, aead 0x0002. */
export const linkSuite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

const label = "dormouse/v1/link";
const encBytes = 32;

/** An access's key pair, which WebCrypto keeps and clears when it is collected. */
export type KeyPair = webcrypto.CryptoKeyPair;

/** Which access a link is for, and of which vault. */
export type LinkedAccess = { readonly vaultId: VaultId; readonly accessId: AccessId };

/** A link as its access meets it: the key that it could open, the id of the next, and that one sealed. */
export type LinkToFollow = { readonly from: VaultKey; readonly to: KeyId; readonly sealed: Uint8Array };

/**
 * The key `to`, sealed to an access that is absent: encapsulated key 32, ciphertext 48. It takes the access's secret and the key
 * `from` to open it, so a public key that somebody planted is not enough (mode_psk), and the sender had `from` too.
 * @param publicKey checked against the access's MAC before; throws where it is none
 */
export async function sealLink({
  publicKey,
  from,
  to,
  ...access
}: LinkedAccess & {
  readonly publicKey: Uint8Array;
  readonly from: VaultKey;
  readonly to: VaultKey;
}): Promise<Uint8Array> {
  const recipientPublicKey = await linkSuite.kem.deserializePublicKey(publicKey);
  const sender = await linkSuite.createSenderContext({
    recipientPublicKey,
    info: infoOf(access, to.id),
    psk: pskOf(from),
  });
  const sealed = await sender.seal(to.bytes);
  return Buffer.concat([new Uint8Array(sender.enc), new Uint8Array(sealed)]);
}

/** The key that a link leads to, which the caller disposes; undefined where it does not open or has another id. */
export async function openLink(
  recipientKey: KeyPair,
  access: LinkedAccess,
  { from, to, sealed }: LinkToFollow,
): Promise<VaultKey | undefined> {
  const enc = sealed.subarray(0, encBytes);
  const params = { recipientKey, enc, info: infoOf(access, to), psk: pskOf(from) };
  try {
    const recipient = await linkSuite.createRecipientContext(params);
    return takeVaultKey(new Uint8Array(await recipient.open(sealed.subarray(encBytes))), to);
  } catch (error) {
    if (error instanceof HpkeError) return undefined;
    throw error;
  }
}

/** DeriveKeyPair of RFC 9180, section 7.1.3. @param secret 32 bytes */
export function linkKeyPair(secret: Uint8Array): Promise<KeyPair> {
  return linkSuite.kem.deriveKeyPair(secret);
}

/** 32 bytes. */
export async function publicKeyOf(pair: KeyPair): Promise<Uint8Array> {
  return new Uint8Array(await linkSuite.kem.serializePublicKey(pair.publicKey));
}

function infoOf({ vaultId, accessId }: LinkedAccess, to: KeyId): Uint8Array {
  return Buffer.concat([utf8(label), uuidBytes(vaultId), uuidBytes(accessId), fromHex(to)]);
}

function pskOf(from: VaultKey): { readonly id: Uint8Array; readonly key: Uint8Array } {
  return { id: fromHex(from.id), key: from.psk() };
}
