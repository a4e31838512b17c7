import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { fromHex, toHex, utf8 } from "../core/bytes.ts";
import { Refusal } from "../core/errors.ts";
import { type KeyId, uuidBytes, type VaultId } from "../core/ids.ts";
import type { Random } from "../core/ports.ts";
import { type AccessClaim, claimBytes } from "./access-claim.ts";
import { newNonce, openBytes, sealBytes } from "./aes-gcm.ts";
import { derive, keyBytes, noSalt } from "./derive.ts";

const keyIdBytes = 16;
const olderLabel = "dormouse/v1/older";

/** Keys that follow from a vault's key, each made when it is first needed. */
type Subkey = "entry" | "psk" | "access" | "older";

/**
 * A vault's key in memory. Whoever makes one disposes it: the key and what was derived from it are zeroed, and any use after that
 * throws, so that nothing is ever sealed under zeros. What Node holds as a KeyObject is cleared by it when that is collected.
 */
export class VaultKey implements Disposable {
  /** Follows from the key: the first 16 bytes of its own label. */
  readonly id: KeyId;
  readonly #key: Buffer;
  readonly #subkeys = new Map<Subkey, Uint8Array>();
  #entryKey: KeyObject | undefined;
  #isDisposed = false;

  private constructor(key: Buffer, id?: KeyId) {
    this.#key = key;
    this.id = id ?? (toHex(derive(key, noSalt, "dormouse/v1/key-id", keyIdBytes)) as KeyId);
  }

  /** A new key for a vault. */
  static generate(random: Random): VaultKey {
    const bytes = random.bytes(keyBytes);
    try {
      return VaultKey.of(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  /** @param bytes 32, which are copied: the caller zeroes its own */
  static of(bytes: Uint8Array): VaultKey {
    if (bytes.length !== keyBytes) throw new Error(`a vault key has ${keyBytes} bytes`);
    return new VaultKey(copyOf(bytes));
  }

  /**
   * The key of this id out of what `withEntryKey` returned, with nothing derived anew. The caller vouches for the two: nothing here
   * checks them.
   * @param bytes zeroed by this
   */
  static takeWithEntryKey(id: KeyId, bytes: Uint8Array): VaultKey {
    const key = new VaultKey(copyOf(bytes.subarray(0, keyBytes)), id);
    key.#subkeys.set("entry", copyOf(bytes.subarray(keyBytes)));
    bytes.fill(0);
    return key;
  }

  /** The key and its entry key, one behind the other, in memory of its own that the caller zeroes. */
  withEntryKey(): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(2 * keyBytes);
    bytes.set(this.bytes);
    bytes.set(this.#subkey("entry"), keyBytes);
    return bytes;
  }

  /** The key itself, for sealing it: this object's own memory, never kept or changed. */
  get bytes(): Uint8Array {
    this.#assertUsable();
    return this.#key;
  }

  /** What entries are sealed under. A KeyObject, because making one for each entry costs more than the sealing. */
  get entryKey(): KeyObject {
    this.#assertUsable();
    this.#entryKey ??= createSecretKey(this.#subkey("entry"));
    return this.#entryKey;
  }

  /** What an HPKE link from this key is sealed under beside a public key. This object's own memory, never kept or changed. */
  psk(): Uint8Array {
    return this.#subkey("psk");
  }

  /** The 32 bytes that an access's row carries: HMAC-SHA256 over `claimBytes`, which whoever has this key can make. */
  accessMac(claim: AccessClaim): Uint8Array {
    const mac = createHmac("sha256", createSecretKey(this.#subkey("access")));
    return new Uint8Array(mac.update(claimBytes(claim, this.id)).digest());
  }

  /** A key of before, sealed under this one: nonce 12, ciphertext 32, tag 16. */
  sealOlder(older: VaultKey, vaultId: VaultId): Uint8Array {
    return sealBytes(this.#subkey("older"), newNonce(), older.bytes, olderData(vaultId, older.id));
  }

  /**
   * The key of before that `sealOlder` sealed. The caller disposes it.
   * @throws Refusal `sealed_key_unknown` where it does not open, or is another than `keyId`
   */
  openOlder(sealed: Uint8Array, vaultId: VaultId, keyId: KeyId): VaultKey {
    const key = openVaultKey(this.#subkey("older"), sealed, olderData(vaultId, keyId), keyId);
    if (key !== undefined) return key;
    throw new Refusal("sealed_key_unknown", `the older key ${keyId} does not open with the key ${this.id}`);
  }

  /** May be repeated. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#key.fill(0);
    for (const subkey of this.#subkeys.values()) subkey.fill(0);
    this.#subkeys.clear();
    this.#entryKey = undefined;
  }

  #subkey(name: Subkey): Uint8Array {
    this.#assertUsable();
    const known = this.#subkeys.get(name);
    if (known !== undefined) return known;
    const subkey = derive(this.#key, noSalt, `dormouse/v1/${name}`);
    this.#subkeys.set(name, subkey);
    return subkey;
  }

  #assertUsable(): void {
    if (this.#isDisposed) throw new Error("a vault key was used after it was disposed");
  }
}

/** The vault key of this id that lies sealed; undefined where it does not open or has another id. */
export function openVaultKey(
  under: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
  keyId: KeyId,
): VaultKey | undefined {
  const bytes = openBytes(under, sealed, associated);
  return bytes && takeVaultKey(bytes, keyId);
}

/** The vault key that the bytes are, where it has this id. The bytes are zeroed in any case. */
export function takeVaultKey(bytes: Uint8Array, keyId: KeyId): VaultKey | undefined {
  try {
    if (bytes.length !== keyBytes) return undefined;
    const key = VaultKey.of(bytes);
    if (key.id === keyId) return key;
    key[Symbol.dispose]();
    return undefined;
  } finally {
    bytes.fill(0);
  }
}

/** Whether two MACs are equal, in constant time. */
export function isSameMac(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function olderData(vaultId: VaultId, keyId: KeyId): Uint8Array {
  return Buffer.concat([utf8(olderLabel), uuidBytes(vaultId), fromHex(keyId)]);
}

/** A pooled buffer would share its memory with whatever else is allocated. */
function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
