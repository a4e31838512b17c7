import { describe, expect, it } from "vitest";
import { fromHex, toHex, utf8 } from "../core/bytes.ts";
import { derive, hkdf, noSalt } from "./derive.ts";

/** Counting bytes, as the RFC writes its inputs. */
function count(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => from + index);
}

describe("a derived key", () => {
  it.each([
    {
      name: "A.1",
      secret: new Uint8Array(22).fill(0x0b),
      salt: count(0, 13),
      info: count(0xf0, 10),
      okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    },
    {
      name: "A.2",
      secret: count(0, 80),
      salt: count(0x60, 80),
      info: count(0xb0, 80),
      okm: `b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
        da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87`.replace(/\s/g, ""),
    },
    {
      name: "A.3",
      secret: new Uint8Array(22).fill(0x0b),
      salt: noSalt,
      info: noSalt,
      okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    },
  ])("is HKDF-SHA256's: RFC 5869, $name", ({ secret, salt, info, okm }) => {
    expect(toHex(hkdf(secret, salt, info, okm.length / 2))).toBe(okm);
  });

  it("has its label as info, and memory that nothing else shares", () => {
    const secret = fromHex("0b".repeat(32));
    const key = derive(secret, noSalt, "dormouse/v1/entry");
    expect(key).toEqual(hkdf(secret, noSalt, utf8("dormouse/v1/entry"), 32));
    expect(key).not.toEqual(derive(secret, noSalt, "dormouse/v1/psk"));
    expect(key.buffer.byteLength).toBe(32);
  });
});
