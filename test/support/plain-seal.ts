import { decodeEntry, type Entry, encodeEntry } from "../../src/core/entry.ts";
import type { EntrySeal } from "../../src/core/entry-seal.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { EntryId, KeyId, VaultId } from "../../src/core/ids.ts";
import { encodeSealedHeader, readSealedHeader, sealedHeaderBytes } from "../../src/core/sealed-header.ts";

/** Seals nothing: bodies have the header of sealed ones, and behind it what they hold. For tests of what sealing does not change. */
export class PlainSeal implements EntrySeal {
  readonly vaultId: VaultId;
  readonly keyId: KeyId;
  readonly #older: ReadonlySet<KeyId>;

  constructor(vaultId: VaultId, keyId: KeyId, older: readonly KeyId[] = []) {
    this.vaultId = vaultId;
    this.keyId = keyId;
    this.#older = new Set(older);
  }

  seal(entryId: EntryId, entry: Entry): Uint8Array {
    return this.sealEncoded(entryId, entry.version, encodeEntry(entry));
  }

  sealEncoded(entryId: EntryId, version: number, encoded: Uint8Array): Uint8Array {
    const { vaultId, keyId } = this;
    return Buffer.concat([encodeSealedHeader({ vaultId, entryId, version, keyId }), encoded]);
  }

  open(entryId: EntryId, body: Uint8Array): Entry {
    const header = readSealedHeader(body);
    if (header === undefined) throw new Refusal("sealed_tampered");
    if (header.vaultId !== this.vaultId || header.entryId !== entryId) throw new Refusal("sealed_swapped");
    if (header.keyId !== this.keyId && !this.#older.has(header.keyId))
      throw new Refusal("sealed_key_unknown");
    return decodeEntry(body.subarray(sealedHeaderBytes));
  }
}
