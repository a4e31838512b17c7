import { createSecretKey, hkdfSync } from "node:crypto";
import { utf8 } from "../core/bytes.ts";

/** What each key is for. A label is never given a second meaning. */
export type KeyLabel =
  `dormouse/v1/${"verifier" | "slot" | "kem" | "key-id" | "entry" | "psk" | "access" | "older" | "session"}`;

export const keyBytes = 32;

/** No salt: HKDF then takes zeros (RFC 5869, section 2.2). Vault keys are uniformly random and need none. */
export const noSalt = new Uint8Array();

/**
 * A key that follows from a secret. In memory of its own, so that whoever asked can zero it.
 * @param salt the id of the access whose secret it is, or `noSalt`
 */
export function derive(secret: Uint8Array, salt: Uint8Array, label: KeyLabel, length = keyBytes): Uint8Array {
  return hkdf(secret, salt, utf8(label), length);
}

/** HKDF-SHA256 (RFC 5869), both of its steps. */
export function hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  // Node makes a KeyObject of bytes in any case, and takes twice as long to find out that they are none.
  return new Uint8Array(hkdfSync("sha256", createSecretKey(secret), salt, info, length));
}
