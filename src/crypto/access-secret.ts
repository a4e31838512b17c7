import { fromHex, utf8 } from "../core/bytes.ts";
import { type AccessId, formatUuid, type KeyId, uuidBytes, type VaultId } from "../core/ids.ts";
import { newNonce, sealBytes } from "./aes-gcm.ts";
import { derive, keyBytes } from "./derive.ts";
import { type KeyPair, type LinkToFollow, linkKeyPair, openLink, publicKeyOf } from "./key-link.ts";
import type { Token } from "./token.ts";
import { openVaultKey, type VaultKey } from "./vault-key.ts";

const slotLabel = "dormouse/v1/slot";

/**
 * The secret of one access while it is at hand: a token's, or what Argon2id made of a passphrase. Whoever makes one disposes it:
 * the secret is zeroed, and any use after that throws.
 */
export class AccessSecret implements Disposable {
  readonly accessId: AccessId;
  readonly #salt: Uint8Array;
  readonly #secret: Buffer;
  #isDisposed = false;

  private constructor(accessId: AccessId, secret: Uint8Array) {
    if (secret.length !== keyBytes) throw new Error(`an access's secret has ${keyBytes} bytes`);
    this.accessId = accessId;
    this.#salt = uuidBytes(accessId);
    this.#secret = Buffer.allocUnsafeSlow(keyBytes);
    this.#secret.set(secret);
  }

  /** A token's secret is copied; the token itself is a string that JavaScript cannot zero. */
  static ofToken(token: Token): AccessSecret {
    return new AccessSecret(formatUuid(token.id) as AccessId, token.secret);
  }

  /** @param secret 32 bytes, which are copied: the caller zeroes its own */
  static of(accessId: AccessId, secret: Uint8Array): AccessSecret {
    return new AccessSecret(accessId, secret);
  }

  /** What a site stores to check the secret; of a token the same as `verifierOf`. */
  verifier(): Uint8Array {
    return this.#derive("verifier");
  }

  /** The vault key sealed under this secret: nonce 12, ciphertext 32, tag 16. */
  sealSlot(vaultKey: VaultKey, vaultId: VaultId): Uint8Array {
    const data = this.#slotData(vaultId, vaultKey.id);
    return this.#withSlotKey((key) => sealBytes(key, newNonce(), vaultKey.bytes, data));
  }

  /** The vault key of a slot, which the caller disposes; undefined where it does not open or has another id. */
  openSlot(sealed: Uint8Array, vaultId: VaultId, keyId: KeyId): VaultKey | undefined {
    const data = this.#slotData(vaultId, keyId);
    return this.#withSlotKey((key) => openVaultKey(key, sealed, data, keyId));
  }

  /** X25519, 32 bytes: a new vault key can be sealed to it while the access is absent. */
  async publicKey(): Promise<Uint8Array> {
    return publicKeyOf(await this.#keyPair());
  }

  /** The key that a link leads to, which the caller disposes; undefined where it does not open or has another id. */
  async followLink(link: LinkToFollow, vaultId: VaultId): Promise<VaultKey | undefined> {
    return openLink(await this.#keyPair(), { vaultId, accessId: this.accessId }, link);
  }

  /** May be repeated. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#secret.fill(0);
  }

  async #keyPair(): Promise<KeyPair> {
    const secret = this.#derive("kem");
    try {
      return await linkKeyPair(secret);
    } finally {
      secret.fill(0);
    }
  }

  #withSlotKey<T>(use: (key: Uint8Array) => T): T {
    const key = this.#derive("slot");
    try {
      return use(key);
    } finally {
      key.fill(0);
    }
  }

  #derive(name: "verifier" | "slot" | "kem"): Uint8Array {
    if (this.#isDisposed) throw new Error("an access's secret was used after it was disposed");
    return derive(this.#secret, this.#salt, `dormouse/v1/${name}`);
  }

  #slotData(vaultId: VaultId, keyId: KeyId): Uint8Array {
    return Buffer.concat([utf8(slotLabel), uuidBytes(vaultId), this.#salt, fromHex(keyId)]);
  }
}
