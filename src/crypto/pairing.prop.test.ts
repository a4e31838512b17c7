import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SiteName } from "../core/ids.ts";
import { agree, digestOfParts, exchangeKeyOf } from "./key-agreement.ts";
import { isSameProof, type Pairing, type PairingParty, pairingOutcome } from "./pairing.ts";
import { formatToken, parseToken } from "./token.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const party = fc.record({
  site: fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/).map((name) => name as SiteName),
  url: fc.webUrl({ withQueryParameters: false }),
  fingerprint: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/)),
  nonce: bytes(32),
  key: bytes(32),
});

/** Both sides' halves, and the pairing with what each shows of its own. */
const scene = fc
  .record({ code: bytes(16), primary: party, joiner: party, ours: bytes(32), theirs: bytes(32) })
  .map(({ code, primary, joiner, ours, theirs }) => {
    const [primaryKey, joinerKey] = [exchangeKeyOf(ours), exchangeKeyOf(theirs)];
    const pairing: Pairing = {
      secret: code,
      primary: { ...primary, key: primaryKey.shown },
      joiner: { ...joiner, key: joinerKey.shown },
    };
    return { pairing, primaryKey, joinerKey };
  });

function outcomeOf(...args: Parameters<typeof pairingOutcome>) {
  const outcome = pairingOutcome(...args);
  if (outcome === undefined) throw new Error("the key is none");
  return outcome;
}

function changed(value: Uint8Array): Uint8Array {
  return value.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
}

describe("two sites that see the same", () => {
  it("work out the same proofs and the same secret, a token of a pair", () => {
    fc.assert(
      fc.property(scene, ({ pairing, primaryKey, joinerKey }) => {
        const primary = outcomeOf(pairing, primaryKey, joinerKey.shown);
        const joiner = outcomeOf(pairing, joinerKey, primaryKey.shown);
        expect(primary).toEqual(joiner);
        expect(parseToken(formatToken(primary.token))?.kind).toBe("peer");
      }),
      { numRuns: 30 },
    );
  });

  it("never send the same proof, so that neither can be sent back for the other", () => {
    fc.assert(
      fc.property(scene, ({ pairing, primaryKey, joinerKey }) => {
        const { proofs } = outcomeOf(pairing, primaryKey, joinerKey.shown);
        expect(isSameProof(proofs.joiner, proofs.primary)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });
});

describe("anything that one site sees otherwise", () => {
  const sides = ["primary", "joiner"] as const;
  const changes: readonly [string, (party: PairingParty) => PairingParty][] = [
    ["site", (of) => ({ ...of, site: `${of.site}x` as SiteName })],
    ["url", (of) => ({ ...of, url: `${of.url}x` })],
    ["fingerprint", (of) => ({ ...of, fingerprint: of.fingerprint === null ? "00" : null })],
    ["nonce", (of) => ({ ...of, nonce: changed(of.nonce) })],
    ["key", (of) => ({ ...of, key: changed(of.key) })],
  ];
  it.each(sides.flatMap((side) => changes.map(([name, change]) => ({ side, name, change }))))(
    "changes proofs and secret: the $name of the $side",
    ({ side, change }) => {
      fc.assert(
        fc.property(scene, ({ pairing, primaryKey, joinerKey }) => {
          const other = { ...pairing, [side]: change(pairing[side]) };
          const before = outcomeOf(pairing, primaryKey, joinerKey.shown);
          const after = outcomeOf(other, primaryKey, joinerKey.shown);
          expect(isSameProof(before.proofs.joiner, after.proofs.joiner)).toBe(false);
          expect(isSameProof(before.proofs.primary, after.proofs.primary)).toBe(false);
          expect(formatToken(before.token)).not.toBe(formatToken(after.token));
        }),
        { numRuns: 10 },
      );
    },
  );

  it("changes them too where it is the code, or a key exchanged in the middle", () => {
    fc.assert(
      fc.property(scene, bytes(32), ({ pairing, primaryKey, joinerKey }, middle) => {
        const before = outcomeOf(pairing, primaryKey, joinerKey.shown);
        const otherCode = { ...pairing, secret: changed(pairing.secret) };
        const inTheMiddle = exchangeKeyOf(middle).shown;
        const others = [
          outcomeOf(otherCode, primaryKey, joinerKey.shown),
          outcomeOf(pairing, primaryKey, inTheMiddle),
        ];
        for (const other of others) {
          expect(isSameProof(before.proofs.joiner, other.proofs.joiner)).toBe(false);
          expect(formatToken(before.token)).not.toBe(formatToken(other.token));
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("an exchange", () => {
  it("agrees as RFC 7748, section 6.1, does", () => {
    const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
    const bob = exchangeKeyOf(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    expect(bob.shown).toEqual(hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    const alice = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    expect(agree(bob, alice)).toEqual(
      hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
    );
  });

  it("takes no key of a wrong length, and none that gives the same secret to everybody", () => {
    const own = exchangeKeyOf(new Uint8Array(32).fill(7));
    expect(agree(own, new Uint8Array(31))).toBeUndefined();
    expect(agree(own, new Uint8Array(33))).toBeUndefined();
    expect(agree(own, new Uint8Array(32))).toBeUndefined();
    expect(agree(own, new Uint8Array(32).fill(1, 0, 1))).toBeUndefined();
  });

  it("keeps parts apart that are alike when written one after the other", () => {
    expect(digestOfParts(["ab", "c"])).not.toEqual(digestOfParts(["a", "bc"]));
    expect(digestOfParts(["a", ""])).not.toEqual(digestOfParts(["a"]));
  });
});
