import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemRandom } from "../app/system-ports.ts";
import { fromHex, setU64be } from "../core/bytes.ts";
import { encodeEntry, type Entry } from "../core/entry.ts";
import { type EntryId, newUuidV7, type VaultId } from "../core/ids.ts";
import { encodeSealedHeader, sealedHeaderBytes } from "../core/sealed-header.ts";
import { anyEntry, anyId, anyKey, flipped, refusalOf } from "../../test/support/sealing.ts";
import { newNonce, sealBytes } from "./aes-gcm.ts";
import { VaultSeal } from "./entry-seal.ts";
import { padmeLength } from "./padme.ts";
import { VaultKey } from "./vault-key.ts";

const random = systemRandom;
const vaultId = newUuidV7(0, random) as VaultId;
const entryId = newUuidV7(1, random) as EntryId;
const [oneKey, otherKey] = [random.bytes(32), random.bytes(32)];

/** A seal with keys of its own, so that it may dispose them. */
function sealOf(of: VaultId, current: Uint8Array, ...older: readonly Uint8Array[]): VaultSeal {
  return new VaultSeal({
    vaultId: of,
    current: VaultKey.of(current),
    older: older.map((key) => VaultKey.of(key)),
    random,
  });
}

const seal = sealOf(vaultId, oneKey, otherKey);
const sample: Entry = {
  content: {
    type: "login",
    title: "Mail",
    urls: ["https://mail.example"],
    tags: [],
    favourite: false,
    fields: [{ label: "password", value: "correct horse", kind: "concealed" }],
    notes: "",
  },
  version: 7,
  createdAt: 1_790_000_000_000,
  updatedAt: 1_790_000_000_000,
  trashedAt: null,
};
const body = seal.seal(entryId, sample);
const nonceAt = sealedHeaderBytes;
const overhead = sealedHeaderBytes + 12 + 16;

describe("a sealed entry", () => {
  it("opens as what it was, under the current key and under an older one", () => {
    fc.assert(
      fc.property(anyId<VaultId>(), anyId<EntryId>(), anyEntry, anyKey, anyKey, (vault, id, entry, a, b) => {
        using before = sealOf(vault, a);
        using after = sealOf(vault, b, a);
        const sealed = before.seal(id, entry);
        expect(before.open(id, sealed)).toEqual(entry);
        expect(after.open(id, sealed)).toEqual(entry);
        expect(after.open(id, after.seal(id, entry))).toEqual(entry);
      }),
    );
  });

  it("is another body each time", () => {
    expect(seal.seal(entryId, sample)).not.toEqual(seal.seal(entryId, sample));
  });

  it("shows of its length only to which Padmé length it was padded", () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        const padded = padmeLength(4 + encodeEntry(entry).length);
        expect(seal.seal(entryId, entry)).toHaveLength(overhead + padded);
      }),
    );
  });

  it("shows nothing of what it holds", () => {
    const texts = ["Mail", "mail.example", "password", "correct horse", "concealed", "login"];
    for (const text of texts) expect(Buffer.from(body).includes(text)).toBe(false);
  });
});

/** What a flipped bit of the byte at this place is called. */
function nameOfFlip(at: number): string {
  if (at === 0 || at === nonceAt - 1) return "sealed_tampered";
  if (at < 33) return "sealed_swapped";
  return at >= 41 && at < 57 ? "sealed_key_unknown" : "sealed_tampered";
}

describe("a sealed entry that was changed", () => {
  it("in any one bit is refused, and named after what the bit stood for", () => {
    for (let bit = 0; bit < body.length * 8; bit += 1) {
      const code = refusalOf(() => seal.open(entryId, flipped(body, bit)));
      if (code !== nameOfFlip(bit >> 3)) expect(code, `bit ${bit}`).toBe(nameOfFlip(bit >> 3));
    }
  });

  it("in any one bit is refused whatever the entry", () => {
    fc.assert(
      fc.property(anyEntry, fc.nat(), (entry, place) => {
        const sealed = seal.seal(entryId, entry);
        const changed = flipped(sealed, place % (sealed.length * 8));
        expect(refusalOf(() => seal.open(entryId, changed))).toMatch(/^sealed_/);
      }),
    );
  });

  it("in its length is refused, shorter or longer, and as truncated where no entry has that length", () => {
    const longer = new Uint8Array(body.length * 2);
    longer.set(body);
    for (let length = 0; length < longer.length; length += 1) {
      if (length === body.length) continue;
      const padded = length - overhead;
      const isPossible = padded > 4 && padmeLength(padded) === padded;
      const code = refusalOf(() => seal.open(entryId, longer.subarray(0, length)));
      expect(code, String(length)).toBe(isPossible ? "sealed_tampered" : "sealed_truncated");
    }
  });

  it("into one of an unknown key is refused by name of the key", () => {
    using elsewhere = sealOf(vaultId, random.bytes(32));
    const sealed = elsewhere.seal(entryId, sample);
    expect(refusalOf(() => seal.open(entryId, sealed))).toBe("sealed_key_unknown");
    expect(() => seal.open(entryId, sealed)).toThrow(elsewhere.keyId);
  });
});

const place = fc.record({
  vaultId: fc.constantFrom(vaultId, newUuidV7(2, random) as VaultId),
  entryId: fc.constantFrom(entryId, newUuidV7(3, random) as EntryId),
  version: fc.integer({ min: 1, max: 3 }),
  key: fc.constantFrom(oneKey, otherKey),
});

describe("two sealed entries of which one lies in the place of the other", () => {
  it("are refused as swapped where the place is another entry's or vault's", () => {
    fc.assert(
      fc.property(place, place, anyEntry, (from, to, entry) => {
        fc.pre(from.vaultId !== to.vaultId || from.entryId !== to.entryId);
        using source = sealOf(from.vaultId, from.key);
        using target = sealOf(to.vaultId, to.key, from.key);
        const sealed = source.seal(from.entryId, { ...entry, version: from.version });
        expect(refusalOf(() => target.open(to.entryId, sealed))).toBe("sealed_swapped");
      }),
    );
  });

  it("are refused as tampered where the associated data was swapped with them, whatever differs in it", () => {
    fc.assert(
      fc.property(place, place, anyEntry, (from, to, entry) => {
        using source = sealOf(from.vaultId, from.key);
        using target = sealOf(to.vaultId, to.key, from.key);
        const sealed = source.seal(from.entryId, { ...entry, version: from.version });
        const header = target.seal(to.entryId, { ...entry, version: to.version }).slice(0, sealedHeaderBytes);
        fc.pre(header.some((byte, at) => byte !== sealed[at]));
        sealed.set(header);
        expect(refusalOf(() => target.open(to.entryId, sealed))).toBe("sealed_tampered");
      }),
    );
  });
});

describe("what one who has the key sealed, and no site does", () => {
  const key = VaultKey.of(oneKey);
  const header = encodeSealedHeader({ vaultId, entryId, version: 7, keyId: key.id });

  function sealedAsIs(plaintext: Uint8Array): Uint8Array {
    return Buffer.concat([header, sealBytes(key.entryKey, newNonce(), plaintext, header)]);
  }

  function plaintextOf(encoded: Uint8Array, length = encoded.length): Uint8Array {
    const plaintext = new Uint8Array(padmeLength(4 + encoded.length));
    new DataView(plaintext.buffer).setUint32(0, length);
    plaintext.set(encoded, 4);
    return plaintext;
  }

  it("opens where it is the same all the same", () => {
    expect(seal.open(entryId, sealedAsIs(plaintextOf(encodeEntry(sample))))).toEqual(sample);
  });

  it("is refused where its length does not fit", () => {
    const encoded = encodeEntry(sample);
    for (const length of [0, encoded.length * 2, 2 ** 32 - 1]) {
      const sealed = sealedAsIs(plaintextOf(encoded, length));
      expect(
        refusalOf(() => seal.open(entryId, sealed)),
        String(length),
      ).toBe("sealed_tampered");
    }
  });

  it("is refused where it is padded further than its length asks for", () => {
    const plaintext = plaintextOf(encodeEntry(sample));
    const further = new Uint8Array(padmeLength(plaintext.length + 1));
    further.set(plaintext);
    expect(refusalOf(() => seal.open(entryId, sealedAsIs(further)))).toBe("sealed_tampered");
  });

  it("is refused where it holds another version than the header says", () => {
    const sealed = sealedAsIs(plaintextOf(encodeEntry({ ...sample, version: 8 })));
    expect(refusalOf(() => seal.open(entryId, sealed))).toBe("sealed_tampered");
  });

  it("is refused where it is no entry, and not repeated", () => {
    for (const text of ["the secret of Zurich", "null", "{}"]) {
      const sealed = sealedAsIs(plaintextOf(Buffer.from(text)));
      expect(refusalOf(() => seal.open(entryId, sealed))).toBe("sealed_tampered");
      expect(() => seal.open(entryId, sealed)).not.toThrow(/secret|Zurich/);
    }
  });
});

describe("a seal that was disposed", () => {
  it("seals and opens nothing, and has zeroed every key of its own, one given twice too", () => {
    const keys = [oneKey, otherKey, oneKey].map((bytes) => VaultKey.of(bytes));
    const memory = keys.map(({ bytes }) => bytes);
    const [current, ...older] = keys;
    if (current === undefined) throw new Error("there is no key");
    const disposed = new VaultSeal({ vaultId, current, older, random });
    disposed.open(entryId, body);
    disposed[Symbol.dispose]();
    disposed[Symbol.dispose]();
    expect(() => disposed.seal(entryId, sample)).toThrow(/disposed/);
    expect(() => disposed.open(entryId, body)).toThrow(/disposed/);
    for (const bytes of memory) expect(new Uint8Array(bytes)).toEqual(new Uint8Array(32));
  });
});

describe("the version in a header", () => {
  it("is a u64be, beyond 2^32 too", () => {
    const version = 2 ** 40 + 5;
    const expected = new Uint8Array(8);
    setU64be(new DataView(expected.buffer), 0, version);
    const sealed = seal.seal(entryId, { ...sample, version });
    expect(sealed.slice(33, 41)).toEqual(expected);
    expect(expected).toEqual(fromHex("0000010000000005"));
    expect(seal.open(entryId, sealed).version).toBe(version);
  });
});
