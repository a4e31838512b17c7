import { hash } from "node:crypto";
import type { VaultId } from "../core/ids.ts";
import { newNonce, openBytes, sealBytes } from "./aes-gcm.ts";
import { keyBytes } from "./derive.ts";
import { VaultKey } from "./vault-key.ts";

/**
 * A vault's key as a site keeps it in memory between two requests of one client: sealed under what follows from the bearer token
 * that the client brings, which no site keeps. The site's memory alone opens nothing.
 */
export type KeptKey = {
  readonly keyId: VaultKey["id"];
  /** Nonce 12, ciphertext 64 (the vault key and its entry key), tag 16. */
  readonly sealed: Uint8Array;
};

const label = "dormouse/v1/kept";

/**
 * What finds the key that is kept for a bearer token and a vault. It follows from the whole token, so that a wrong secret finds
 * nothing and takes as long as an unknown id; nothing follows from it.
 */
export function keptName(bearer: string, vaultId: VaultId): string {
  const digest = digestOf(bearer, vaultId);
  const name = digest.toString("latin1", keyBytes);
  digest.fill(0);
  return name;
}

/** @param key stays its owner's, who disposes it */
export function keepKey(bearer: string, vaultId: VaultId, key: VaultKey): KeptKey {
  const plaintext = key.withEntryKey();
  try {
    const sealed = withKey(bearer, vaultId, (under) =>
      sealBytes(under, newNonce(), plaintext, dataOf(key.id)),
    );
    return { keyId: key.id, sealed };
  } finally {
    plaintext.fill(0);
  }
}

/** The key that is kept, which the caller disposes; undefined where token or vault are others. */
export function openKeptKey(bearer: string, vaultId: VaultId, kept: KeptKey): VaultKey | undefined {
  const plaintext = withKey(bearer, vaultId, (under) => openBytes(under, kept.sealed, dataOf(kept.keyId)));
  return plaintext && VaultKey.takeWithEntryKey(kept.keyId, plaintext);
}

function withKey<T>(bearer: string, vaultId: VaultId, use: (key: Uint8Array) => T): T {
  const digest = digestOf(bearer, vaultId);
  try {
    return use(digest.subarray(0, keyBytes));
  } finally {
    digest.fill(0);
  }
}

/**
 * SHA-512 over label, vault and token: its first half is the key, its second half the name. A token's secret is 32 random bytes, of
 * which one hash makes a key (RFC 5869, section 3.3); HKDF would take ten times as long, with every request.
 */
function digestOf(bearer: string, vaultId: VaultId): Buffer {
  return hash("sha512", `${label} ${vaultId} ${bearer}`, "buffer");
}

function dataOf(keyId: VaultKey["id"]): Uint8Array {
  return Buffer.from(`${label} ${keyId}`, "latin1");
}
