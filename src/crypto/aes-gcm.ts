import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from "node:crypto";

/** AES-256-GCM (NIST SP 800-38D) as everything stored uses it: nonce 12, ciphertext as long as the plaintext, tag 16. */
const cipher = "aes-256-gcm";
const authTagLength = 16;
export const nonceBytes = 12;
export const sealingBytes = nonceBytes + authTagLength;

/** A nonce of the machine's own randomness. Two equal ones under one key give away both plaintexts, and the key of the tag. */
export function newNonce(): Uint8Array {
  return randomFillSync(new Uint8Array(nonceBytes));
}

/** Nonce, ciphertext and tag. @param nonce used for nothing else under this key */
export function sealBytes(
  key: Uint8Array | KeyObject,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const sealing = createCipheriv(cipher, keyObjectOf(key), nonce, { authTagLength });
  sealing.setAAD(associated);
  const sealed = new Uint8Array(plaintext.length + sealingBytes);
  sealed.set(nonce);
  sealed.set(sealing.update(plaintext), nonceBytes);
  sealing.final();
  sealed.set(sealing.getAuthTag(), nonceBytes + plaintext.length);
  return sealed;
}

/**
 * What `sealBytes` sealed, in memory of its own that the caller zeroes; undefined where the key, the associated data or any bit
 * is another. Nothing of a plaintext that failed is left.
 */
export function openBytes(
  key: Uint8Array | KeyObject,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  const tagAt = sealed.length - authTagLength;
  if (tagAt < nonceBytes) return undefined;
  const opening = createDecipheriv(cipher, keyObjectOf(key), sealed.subarray(0, nonceBytes), {
    authTagLength,
  });
  opening.setAAD(associated);
  opening.setAuthTag(sealed.subarray(tagAt));
  const plaintext = opening.update(sealed.subarray(nonceBytes, tagAt));
  try {
    opening.final();
  } catch {
    plaintext.fill(0);
    return undefined;
  }
  return plaintext;
}

/** Node takes four times as long with a key of bytes, most of it to find out that they are no KeyObject. */
function keyObjectOf(key: Uint8Array | KeyObject): KeyObject {
  return key instanceof Uint8Array ? createSecretKey(key) : key;
}
