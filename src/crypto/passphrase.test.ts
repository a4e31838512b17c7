import { argon2Sync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../test/support/ports.ts";
import { fromHex, toHex, utf8 } from "../core/bytes.ts";
import { Refusal } from "../core/errors.ts";
import {
  isTaken,
  type Login,
  loginAccessIds,
  newParameters,
  parametersWithSalt,
  parseLogin,
  stretchPassphrase,
} from "./passphrase.ts";

const salt = fromHex("000102030405060708090a0b0c0d0e0f");

it("the machine's Argon2id is that of RFC 9106, section 5.3", () => {
  const tag = argon2Sync("argon2id", {
    message: new Uint8Array(32).fill(1),
    nonce: new Uint8Array(16).fill(2),
    secret: new Uint8Array(8).fill(3),
    associatedData: new Uint8Array(12).fill(4),
    memory: 32,
    passes: 3,
    parallelism: 4,
    tagLength: 32,
  });
  expect(toHex(tag)).toBe("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
});

describe("a passphrase", () => {
  it("gives the same secret for ever", async () => {
    const secret = await stretchPassphrase("correct horse battery staple", parametersWithSalt(salt));
    expect(toHex(secret)).toBe("853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e");
  });

  it("is the same from every keyboard: composed, decomposed or of compatible characters", async () => {
    const parameters = parametersWithSalt(salt);
    const expected = await stretchPassphrase("caf\u00e9 fi", parameters);
    expect(await stretchPassphrase("cafe\u0301 \ufb01", parameters)).toEqual(expected);
    expect(await stretchPassphrase("cafe fi", parameters)).not.toEqual(expected);
  });

  it("gives 32 bytes in memory of their own, so that zeroing them leaves nothing", async () => {
    const secret = await stretchPassphrase("a", parametersWithSalt(salt));
    expect([secret.length, secret.buffer.byteLength]).toEqual([32, 32]);
  });

  it("gets a salt of its own", () => {
    const random = new SeededRandom(1);
    const [one, other] = [newParameters(random), newParameters(random)];
    expect([one.salt.length, one.memoryKiB, one.passes, one.lanes]).toEqual([16, 65_536, 3, 4]);
    expect(one.salt).not.toEqual(other.salt);
  });
});

describe("parameters", () => {
  const usual = parametersWithSalt(salt);
  const most = { salt, memoryKiB: 262_144, passes: 10, lanes: 16 };

  it.each([usual, most, { ...usual, lanes: 1 }])(
    "from the defaults to the most are taken: %o",
    (parameters) => {
      expect(isTaken(parameters)).toBe(true);
    },
  );

  it.each([
    { ...usual, memoryKiB: 65_535 },
    { ...usual, memoryKiB: 65_536.5 },
    { ...usual, passes: 2 },
    { ...usual, lanes: 0 },
    { ...usual, salt: salt.subarray(1) },
    { ...usual, salt: new Uint8Array(17) },
    { ...most, memoryKiB: 262_145 },
    { ...most, passes: 11 },
    { ...most, lanes: 17 },
    { ...usual, passes: Number.NaN },
  ])("that are weaker, or cost more than is taken, are refused before any work: %o", async (parameters) => {
    expect(isTaken(parameters)).toBe(false);
    const refusal = await stretchPassphrase("a", parameters).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({ code: "passphrase_parameters" });
  });
});

describe("a login", () => {
  it.each(["a", "anna", "anna.b@calgary.example", "a_b+c-1", "x".repeat(64)])("%s is one", (text) => {
    expect(parseLogin(text)).toBe(text);
  });

  it("is the same with capitals, which keyboards begin with", () => {
    expect(parseLogin("Anna")).toBe("anna");
  });

  // U+212A, the sign of Kelvin, is a k in lower case.
  it.each(["", " anna", "anna b", "x".repeat(65), "änna", "\u212aarl", "anna\0", "a/b"])(
    "%j is none",
    (text) => {
      expect(parseLogin(text)).toBeUndefined();
    },
  );

  it("gives the ids of its accesses, the same at every site, each another", () => {
    const ids = loginAccessIds("anna" as Login);
    expect(ids.slice(0, 2)).toEqual([
      "7dd9c1b9-79ca-80b0-9364-388fe672c8e6",
      "f0ede3b6-38b5-891a-8fee-6135d0891005",
    ]);
    expect(new Set([...ids, ...loginAccessIds("bert" as Login)]).size).toBe(32);
  });
});

it("UTF-8 is what is stretched", async () => {
  const parameters = parametersWithSalt(salt);
  const { memoryKiB: memory, passes, lanes: parallelism } = parameters;
  const expected = argon2Sync("argon2id", {
    message: utf8("žluťoučký"),
    nonce: salt,
    memory,
    passes,
    parallelism,
    tagLength: 32,
  });
  expect(toHex(await stretchPassphrase("žluťoučký", parameters))).toBe(toHex(expected));
});
