import { bytesEqual, fromUtf8, utf8 } from "../../src/core/bytes.ts";
import type { Entry, EntryContent } from "../../src/core/entry.ts";
import type { EntrySeal } from "../../src/core/entry-seal.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { EntryId, KeyId, VaultId } from "../../src/core/ids.ts";
import { encodeSealedHeader, readSealedHeader, sealedHeaderBytes } from "../../src/core/sealed-header.ts";
import { sha256Hash } from "../support/ports.ts";

/** Stands for what authenticates a sealed body: header, text, and the first bytes of their hash. */
const tagBytes = 8;

export type SealedOf = {
  readonly vaultId: VaultId;
  readonly entryId: EntryId;
  readonly version: number;
  readonly keyId: KeyId;
};

export function sealText(of: SealedOf, text: string): Uint8Array {
  const open = Buffer.concat([encodeSealedHeader(of), utf8(text)]);
  return new Uint8Array(Buffer.concat([open, tagOf(open)]));
}

/** The text behind a header, of a body that may have been damaged. */
export function textBehind(body: Uint8Array): string {
  return fromUtf8(body.subarray(sealedHeaderBytes, body.length - tagBytes));
}

function isWhole(body: Uint8Array): boolean {
  const end = body.length - tagBytes;
  return end >= sealedHeaderBytes && bytesEqual(tagOf(body.subarray(0, end)), body.subarray(end));
}

function tagOf(bytes: Uint8Array): Uint8Array {
  return sha256Hash.sha256(bytes).subarray(0, tagBytes);
}

const noContent: EntryContent = {
  type: "note",
  title: "",
  urls: [],
  tags: [],
  favourite: false,
  fields: [],
  notes: "",
};

/** Opens and seals the simulator's entries. Nothing of them is secret; what was damaged does not open, as with a real one. */
export class HeaderSeal implements EntrySeal, Disposable {
  readonly vaultId: VaultId;
  readonly keyId: KeyId;
  readonly #keys: ReadonlySet<KeyId>;

  constructor(
    vaultId: VaultId,
    { keyId, older }: { readonly keyId: KeyId; readonly older: readonly { readonly keyId: KeyId }[] },
  ) {
    this.vaultId = vaultId;
    this.keyId = keyId;
    this.#keys = new Set([keyId, ...older.map((key) => key.keyId)]);
  }

  seal(entryId: EntryId, { version, content }: Entry): Uint8Array {
    const { vaultId, keyId } = this;
    return sealText({ vaultId, entryId, version, keyId }, content.notes);
  }

  sealEncoded(): never {
    throw new Error("the simulator imports nothing");
  }

  open(entryId: EntryId, body: Uint8Array): Entry {
    const header = readSealedHeader(body);
    if (header === undefined || !isWhole(body)) throw new Refusal("sealed_tampered");
    if (header.vaultId !== this.vaultId || header.entryId !== entryId) throw new Refusal("sealed_swapped");
    if (!this.#keys.has(header.keyId)) throw new Refusal("sealed_key_unknown");
    const content = { ...noContent, notes: textBehind(body) };
    return { content, version: header.version, createdAt: 0, updatedAt: 0, trashedAt: null };
  }

  [Symbol.dispose](): void {}
}
