import { describe, expect, it } from "vitest";
import { systemRandom } from "../app/system-ports.ts";
import {
  formatToken,
  formatTokenId,
  isSameVerifier,
  newToken,
  parseToken,
  type Token,
  verifierOf,
} from "./token.ts";

/** Worked out by an independent implementation of RFC 5869 and base64url. */
const vector = {
  token: {
    kind: "vault",
    id: Uint8Array.from({ length: 16 }, (_, index) => index),
    secret: Uint8Array.from({ length: 32 }, (_, index) => 255 - index),
  } satisfies Token,
  text: "dmv_000102030405060708090a0b0c0d0e0f___79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eAJQD7Gp",
  verifier: "f92891e4e5aa6de0c508f25bbf184a3f82f85c7d1fdf095234295a094011a62b",
};

describe("a token", () => {
  it("has the fixed form of 86 characters", () => {
    expect(formatToken(vector.token)).toBe(vector.text);
    expect(vector.text).toHaveLength(86);
    expect(formatTokenId(vector.token)).toBe("000102030405060708090a0b0c0d0e0f");
  });

  it("is read back from its text, of whatever kind", () => {
    for (const kind of ["vault", "operator", "peer", "session"] as const) {
      const token = newToken(kind, systemRandom);
      const parsed = parseToken(formatToken(token));
      expect(parsed && { kind: parsed.kind, id: [...parsed.id], secret: [...parsed.secret] }).toEqual({
        kind,
        id: [...token.id],
        secret: [...token.secret],
      });
    }
  });

  it("with any one character mistyped is none", () => {
    const other = (character: string) => (character === "a" ? "b" : "a");
    for (let index = 0; index < vector.text.length; index += 1) {
      const mistyped =
        vector.text.slice(0, index) + other(vector.text.charAt(index)) + vector.text.slice(index + 1);
      expect(parseToken(mistyped), mistyped).toBeUndefined();
    }
  });

  it.each([
    "",
    "dmv_",
    vector.text.slice(0, -1),
    `${vector.text}a`,
    ` ${vector.text}`,
    vector.text.toUpperCase(),
    vector.text.replace("dmv_", "dmx_"),
    vector.text.replace("dmv_", "dmo_"),
    vector.text.replace("dmv_", "dml_"),
  ])("is none where the form is not kept: %j", (text) => {
    expect(parseToken(text)).toBeUndefined();
  });
});

describe("a verifier", () => {
  it("is derived as the design says", () => {
    expect(Buffer.from(verifierOf(vector.token)).toString("hex")).toBe(vector.verifier);
  });

  it("is its own token's and no other's", () => {
    const token = newToken("operator", systemRandom);
    const stored = verifierOf(token);
    expect(isSameVerifier(verifierOf(token), stored)).toBe(true);
    expect(isSameVerifier(verifierOf({ ...token, secret: systemRandom.bytes(32) }), stored)).toBe(false);
    expect(isSameVerifier(verifierOf({ ...token, id: systemRandom.bytes(16) }), stored)).toBe(false);
  });

  it("is not the same as none, one too short or one of zeros", () => {
    const verifier = verifierOf(newToken("operator", systemRandom));
    expect(isSameVerifier(verifier, undefined)).toBe(false);
    expect(isSameVerifier(verifier, new Uint8Array())).toBe(false);
    expect(isSameVerifier(verifier, verifier.slice(0, 31))).toBe(false);
    expect(isSameVerifier(verifier, new Uint8Array(32))).toBe(false);
    expect(isSameVerifier(new Uint8Array(32), undefined)).toBe(false);
  });
});
