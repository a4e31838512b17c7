import { decodeEntry, type Entry, encodeEntry } from "../core/entry.ts";
import type { EntrySeal } from "../core/entry-seal.ts";
import { Refusal } from "../core/errors.ts";
import type { EntryId, KeyId, VaultId } from "../core/ids.ts";
import type { Random } from "../core/ports.ts";
import {
  encodeSealedHeader,
  readSealedHeader,
  type SealedHeader,
  sealedHeaderBytes,
} from "../core/sealed-header.ts";
import { nonceBytes, openBytes, sealBytes, sealingBytes } from "./aes-gcm.ts";
import { padmeLength } from "./padme.ts";
import type { VaultKey } from "./vault-key.ts";

/** In front of the encoded entry, so that what pads it is told from it: u32be. */
const lengthBytes = 4;

/**
 * Seals the entries of one vault. A sealed body is header 58, nonce 12, ciphertext, tag 16; the header is the associated data.
 * The plaintext is the encoded entry behind its length, and zeros up to its Padmé length. It owns its keys and disposes them.
 */
export class VaultSeal implements EntrySeal, Disposable {
  readonly vaultId: VaultId;
  readonly keyId: KeyId;
  readonly #current: VaultKey;
  #older: readonly VaultKey[] | (() => readonly VaultKey[]);
  readonly #random: Random;

  constructor({
    vaultId,
    current,
    older,
    random,
  }: {
    readonly vaultId: VaultId;
    readonly current: VaultKey;
    /** Or what opens them: called once, and only where an entry is under another key than the current. */
    readonly older: readonly VaultKey[] | (() => readonly VaultKey[]);
    readonly random: Random;
  }) {
    this.vaultId = vaultId;
    this.keyId = current.id;
    this.#current = current;
    this.#older = older;
    this.#random = random;
  }

  seal(entryId: EntryId, entry: Entry): Uint8Array {
    const encoded = encodeEntry(entry);
    try {
      return this.sealEncoded(entryId, entry.version, encoded);
    } finally {
      encoded.fill(0);
    }
  }

  sealEncoded(entryId: EntryId, version: number, encoded: Uint8Array): Uint8Array {
    const { vaultId, keyId } = this;
    const header = encodeSealedHeader({ vaultId, entryId, version, keyId });
    const plaintext = padded(encoded);
    const sealed = sealBytes(this.#current.entryKey, this.#random.bytes(nonceBytes), plaintext, header);
    plaintext.fill(0);
    const body = new Uint8Array(header.length + sealed.length);
    body.set(header);
    body.set(sealed, header.length);
    return body;
  }

  open(entryId: EntryId, body: Uint8Array): Entry {
    const header = this.#readHeader(entryId, body);
    const key = this.#keyOf(header.keyId);
    if (key === undefined) {
      throw new Refusal("sealed_key_unknown", `the entry ${entryId} is sealed under the key ${header.keyId}`);
    }
    const associated = body.subarray(0, sealedHeaderBytes);
    const plaintext = openBytes(key.entryKey, body.subarray(sealedHeaderBytes), associated);
    if (plaintext === undefined) throw new Refusal("sealed_tampered", `the entry ${entryId} does not open`);
    try {
      return unpadded(plaintext, entryId, header.version);
    } finally {
      plaintext.fill(0);
    }
  }

  /** May be repeated. */
  [Symbol.dispose](): void {
    this.#current[Symbol.dispose]();
    if (typeof this.#older !== "function") for (const key of this.#older) key[Symbol.dispose]();
  }

  #keyOf(keyId: KeyId): VaultKey | undefined {
    if (keyId === this.keyId) return this.#current;
    if (typeof this.#older === "function") this.#older = this.#older();
    return this.#older.find(({ id }) => id === keyId);
  }

  /** The header of a body that is whole, of a known format, and the one that was asked for. */
  #readHeader(entryId: EntryId, body: Uint8Array): SealedHeader {
    if (body.length < sealedHeaderBytes) throw truncated(entryId);
    const header = readSealedHeader(body);
    if (header === undefined) {
      throw new Refusal("sealed_tampered", `the entry ${entryId} is sealed in no known format`);
    }
    if (header.vaultId !== this.vaultId || header.entryId !== entryId) {
      throw new Refusal("sealed_swapped", `in place of the entry ${entryId} lies ${header.entryId}`);
    }
    const paddedBytes = body.length - sealedHeaderBytes - sealingBytes;
    if (paddedBytes <= lengthBytes || padmeLength(paddedBytes) !== paddedBytes) throw truncated(entryId);
    return header;
  }
}

/** The plaintext, in memory of its own that the caller zeroes. */
function padded(encoded: Uint8Array): Uint8Array {
  const plaintext = new Uint8Array(padmeLength(lengthBytes + encoded.length));
  new DataView(plaintext.buffer).setUint32(0, encoded.length);
  plaintext.set(encoded, lengthBytes);
  return plaintext;
}

/** What `padded` made. Whoever sealed anything else had the key, so that it is called tampered and not read. */
function unpadded(plaintext: Uint8Array, entryId: EntryId, version: number): Entry {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  const end = lengthBytes + view.getUint32(0);
  if (padmeLength(end) !== plaintext.length) throw malformed(entryId);
  const entry = decoded(plaintext.subarray(lengthBytes, end));
  if (entry?.version !== version) throw malformed(entryId);
  return entry;
}

/** Undefined where it is no entry: what JSON.parse throws repeats what it read, and would bring it into a log. */
function decoded(encoded: Uint8Array): Entry | undefined {
  try {
    return decodeEntry(encoded);
  } catch {
    return undefined;
  }
}

function truncated(entryId: EntryId): Refusal {
  return new Refusal("sealed_truncated", `the sealed body of the entry ${entryId} has an impossible length`);
}

function malformed(entryId: EntryId): Refusal {
  return new Refusal("sealed_tampered", `the entry ${entryId} opens, and is not what a site seals`);
}
