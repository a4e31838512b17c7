import { createSecretKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../core/bytes.ts";
import { openBytes, sealBytes, sealingBytes } from "./aes-gcm.ts";

const zeroKey = "00".repeat(32);
const key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const nonce = "cafebabefacedbaddecaf888";
const plaintext =
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const ciphertext =
  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";

/** "The Galois/Counter Mode of Operation (GCM)" (McGrew, Viega; submitted to NIST), appendix B: those of 256-bit keys and 96-bit nonces. */
const cases = [
  {
    name: "13",
    key: zeroKey,
    nonce: "00".repeat(12),
    plaintext: "",
    associated: "",
    ciphertext: "",
    tag: "530f8afbc74536b9a963b4f1c4cb738b",
  },
  {
    name: "14",
    key: zeroKey,
    nonce: "00".repeat(12),
    plaintext: "00".repeat(16),
    associated: "",
    ciphertext: "cea7403d4d606b6e074ec5d3baf39d18",
    tag: "d0d1c8a799996bf0265b98b5d48ab919",
  },
  {
    name: "15",
    key,
    nonce,
    plaintext,
    associated: "",
    ciphertext,
    tag: "b094dac5d93471bdec1a502270e3cc6c",
  },
  {
    name: "16",
    key,
    nonce,
    plaintext: plaintext.slice(0, 120),
    associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    ciphertext: ciphertext.slice(0, 120),
    tag: "76fc6ece0f4e1768cddf8853bb2d551b",
  },
];

describe("what is sealed", () => {
  it.each(cases)("is AES-256-GCM's, with nonce and tag around it: test case $name", (vector) => {
    const sealed = vector.nonce + vector.ciphertext + vector.tag;
    const associated = fromHex(vector.associated);
    for (const under of [fromHex(vector.key), createSecretKey(fromHex(vector.key))]) {
      const bytes = sealBytes(under, fromHex(vector.nonce), fromHex(vector.plaintext), associated);
      expect(toHex(bytes)).toBe(sealed);
      expect(toHex(openBytes(under, fromHex(sealed), associated) ?? fromHex("ff"))).toBe(vector.plaintext);
    }
  });

  it("does not open where it is shorter than a nonce and a tag, or the tag is", () => {
    const under = fromHex(key);
    const whole = sealBytes(under, fromHex(nonce), fromHex(plaintext), new Uint8Array());
    for (let length = 0; length < whole.length; length += 1) {
      expect(openBytes(under, whole.subarray(0, length), new Uint8Array())).toBeUndefined();
    }
    expect(sealingBytes).toBe(whole.length - plaintext.length / 2);
  });
});
