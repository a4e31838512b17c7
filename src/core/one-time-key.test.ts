import { describe, expect, it } from "vitest";
import { utf8 } from "./bytes.ts";
import { parseOneTimeKey } from "./one-time-key.ts";

const base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const key = { secret: utf8("12345678901234567890"), algorithm: "SHA1", digits: 6, periodSeconds: 30 };
const uri = (query: string, label = "ACME:joe%40acme.example") => `otpauth://totp/${label}?${query}`;

describe("a one-time key", () => {
  it.each([
    base32,
    base32.toLowerCase(),
    ` ${base32}\n`,
    "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
    "gezd-gnbv-gy3t-qojq-gezd-gnbv-gy3t-qojq",
    `${base32}====`,
    uri(`secret=${base32}`),
    uri(`secret=${base32}&issuer=ACME&image=https%3A%2F%2Facme.example%2Fa.png`),
    uri(`secret=${base32.toLowerCase()}&digits=6&period=30&algorithm=sha1`, "Zürich: joe"),
    `OTPAUTH://TOTP/joe?SECRET=${base32}`,
  ])("is read from %j", (text) => {
    expect(parseOneTimeKey(text)).toEqual(key);
  });

  it("has the parameters that its URI names", () => {
    expect(parseOneTimeKey(uri(`algorithm=SHA512&secret=${base32}&digits=8&period=60`))).toEqual({
      ...key,
      algorithm: "SHA512",
      digits: 8,
      periodSeconds: 60,
    });
  });

  it("of ten bytes is the shortest", () => {
    expect(parseOneTimeKey("JBSWY3DPEHPK3PXP")?.secret).toHaveLength(10);
    expect(parseOneTimeKey("JBSWY3DPEHPK3P")).toBeUndefined();
    expect(parseOneTimeKey(uri("secret=JBSWY3DPEHPK3P"))).toBeUndefined();
  });

  it.each([
    "",
    "hunter2",
    "GEZDGNBVGY3TQOJ0GEZDGNBVGY3TQOJ1",
    `${base32}=A`,
    "A".repeat(2_049),
    uri(""),
    uri("digits=6"),
    uri(`secret=${base32}`, ""),
    uri(`secret=${base32}`, "%zz"),
    uri(`secret=${base32}&issuer=%zz`),
    uri(`secret=${base32}&secret=${base32}`),
    uri(`secret=${base32}#digits=8`),
    uri(`secret=${base32}&digits=5`),
    uri(`secret=${base32}&digits=11`),
    uri(`secret=${base32}&digits=6.5`),
    uri(`secret=${base32}&period=4`),
    uri(`secret=${base32}&period=301`),
    uri(`secret=${base32}&period=-30`),
    uri(`secret=${base32}&period=`),
    uri(`secret=${base32}&algorithm=MD5`),
    uri(`secret=${base32}&flag`),
    `otpauth://hotp/joe?secret=${base32}&counter=1`,
    `otpauth:totp/joe?secret=${base32}`,
    `https://totp/joe?secret=${base32}`,
  ])("is not what %j is", (text) => {
    expect(parseOneTimeKey(text)).toBeUndefined();
  });
});
