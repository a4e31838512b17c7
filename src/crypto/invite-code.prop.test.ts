import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Refusal } from "../core/errors.ts";
import { formatInviteCode, type InviteCode, parseInviteCode } from "./invite-code.ts";

const code: fc.Arbitrary<InviteCode> = fc.record({
  url: fc
    .tuple(fc.constantFrom("http", "https"), fc.domain(), fc.integer({ min: 1, max: 65_535 }))
    .map(([scheme, host, port]) => new URL(`${scheme}://${host}:${port}`).origin),
  secret: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  fingerprint: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/)),
});

function refusalOf(text: string): string {
  try {
    parseInviteCode(text);
  } catch (error) {
    if (error instanceof Refusal && error.code === "invite_malformed") return error.message;
    throw error;
  }
  throw new Error("it was taken");
}

describe("an invitation's code", () => {
  it("is one word that is read back as what was written, with white space around it too", () => {
    fc.assert(
      fc.property(code, (written) => {
        const text = formatInviteCode(written);
        expect(text).toMatch(/^dmi_[A-Za-z0-9_-]+$/);
        expect(parseInviteCode(text)).toEqual(written);
        expect(parseInviteCode(`  ${text}\n`)).toEqual(written);
      }),
    );
  });

  it("with any one character mistyped, left out or added is none, and its secret is not repeated", () => {
    fc.assert(
      fc.property(code, fc.nat(), fc.constantFrom("A", "b", "7", "-"), (written, place, letter) => {
        const text = formatInviteCode(written);
        const at = place % text.length;
        const texts = [
          text.slice(0, at) + letter + text.slice(at + 1),
          text.slice(0, at) + text.slice(at + 1),
          text.slice(0, at) + letter + text.slice(at),
          text.slice(0, at),
        ];
        for (const wrong of texts.filter((candidate) => candidate !== text)) {
          const message = refusalOf(wrong);
          for (let from = 4; from + 8 <= wrong.length; from += 8) {
            expect(message).not.toContain(wrong.slice(from, from + 8));
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ["", /begins with dmi_/],
    ["https://calgary.example", /begins with dmi_/],
    ["dms_00", /begins with dmi_/],
    ["dmi_", /checksum/],
    ["dmi_AQ", /checksum/],
    ["dmi_ab cd", /characters that no code has/],
    ["dmi_Ag", /another version/],
    ["dmi_AAAAA".padEnd(700, "A"), /too long/],
  ])("is told apart from what only looks like one (%#)", (text, reason) => {
    expect(refusalOf(text)).toMatch(reason);
  });

  it("names no URL but an origin of http or https", () => {
    const secret = new Uint8Array(16);
    for (const url of ["ftp://a.example", "https://a.example/", "https://u:p@a.example", "nothing", ""]) {
      expect(refusalOf(formatInviteCode({ url, secret, fingerprint: null }))).toMatch(
        /does not name a primary/,
      );
    }
  });
});
