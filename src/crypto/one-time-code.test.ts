import fc from "fast-check";
import { TOTP, URI } from "otpauth";
import { describe, expect, it } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { type OneTimeAlgorithm, parseOneTimeKey } from "../core/one-time-key.ts";
import { oneTimeCode } from "./one-time-code.ts";

/** RFC 6238, appendix B, with the seeds of its errata 2866: of 20, 32 and 64 bytes. */
const seeds: Readonly<Record<OneTimeAlgorithm, string>> = {
  SHA1: "12345678901234567890",
  SHA256: "12345678901234567890123456789012",
  SHA512: "1234567890123456789012345678901234567890123456789012345678901234",
};
const vectors: readonly (readonly [number, OneTimeAlgorithm, string])[] = [
  [59, "SHA1", "94287082"],
  [59, "SHA256", "46119246"],
  [59, "SHA512", "90693936"],
  [1111111109, "SHA1", "07081804"],
  [1111111109, "SHA256", "68084774"],
  [1111111109, "SHA512", "25091201"],
  [1111111111, "SHA1", "14050471"],
  [1111111111, "SHA256", "67062674"],
  [1111111111, "SHA512", "99943326"],
  [1234567890, "SHA1", "89005924"],
  [1234567890, "SHA256", "91819424"],
  [1234567890, "SHA512", "93441116"],
  [2000000000, "SHA1", "69279037"],
  [2000000000, "SHA256", "90698825"],
  [2000000000, "SHA512", "38618901"],
  [20000000000, "SHA1", "65353130"],
  [20000000000, "SHA256", "77737706"],
  [20000000000, "SHA512", "47863826"],
];

describe("a one-time code", () => {
  it.each(vectors)("at %i s of %s is %s, as RFC 6238 says", async (seconds, algorithm, code) => {
    const key = { secret: utf8(seeds[algorithm]), algorithm, digits: 8, periodSeconds: 30 };
    expect((await oneTimeCode(key, seconds * 1_000)).code).toBe(code);
  });

  it("stands until its period ends, and leaves the key as it was", async () => {
    const key = { secret: utf8(seeds.SHA1), algorithm: "SHA1", digits: 6, periodSeconds: 30 } as const;
    expect(await oneTimeCode(key, 59_999)).toEqual({ code: "287082", periodSeconds: 30, validUntil: 60_000 });
    expect((await oneTimeCode(key, 60_000)).validUntil).toBe(90_000);
    expect(key.secret).toEqual(utf8(seeds.SHA1));
  });

  it("of a secret that is a part of a longer buffer is that of the part", async () => {
    const whole = utf8(`xx${seeds.SHA1}yy`);
    const key = {
      secret: whole.subarray(2, 22),
      algorithm: "SHA1",
      digits: 8,
      periodSeconds: 30,
    } as const;
    expect((await oneTimeCode(key, 59_000)).code).toBe("94287082");
  });
});

/** Parameters of URIs, right and wrong ones. */
const parameters = fc.record(
  {
    secret: fc.constantFrom("JBSWY3DPEHPK3PXP", "jbswy3dpehpk3pxpjb", "JBSWY3DPEHPK3PXPJ===", "JBSW", "0189"),
    digits: fc.constantFrom("6", "8", "10", "11", "+6", "x"),
    period: fc.constantFrom("5", "30", "300", "301", "0", "+30"),
    algorithm: fc.constantFrom("SHA1", "sha256", "SHA512", "SHA-1", "MD5"),
    issuer: fc.string(),
  },
  { requiredKeys: ["secret"] },
);

it("a URI that is taken gives the code that the library makes of the URI itself", async () => {
  let taken = 0;
  const property = fc.asyncProperty(parameters, fc.string({ minLength: 1 }), async (chosen, label) => {
    const query = Object.entries(chosen).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const uri = `otpauth://totp/${encodeURIComponent(label)}?${query.join("&")}`;
    const key = parseOneTimeKey(uri);
    if (key === undefined) return;
    taken += 1;
    const theirs = URI.parse(uri);
    expect(theirs).toBeInstanceOf(TOTP);
    expect((await oneTimeCode(key, 1234567890_000)).code).toBe(
      (theirs as TOTP).generate({ timestamp: 1234567890_000 }),
    );
  });
  await fc.assert(property, { numRuns: 500 });
  expect(taken).toBeGreaterThan(20);
});
