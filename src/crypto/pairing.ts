import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { SiteName } from "../core/ids.ts";
import { agree, digestOfParts, type ExchangeKey } from "./key-agreement.ts";
import type { Token } from "./token.ts";

/** What one site says of itself while two are paired. */
export type PairingParty = {
  readonly site: SiteName;
  /** Its public URL. */
  readonly url: string;
  /** SHA-256 of its certificate, 64 hex digits; null where it has none of its own. */
  readonly fingerprint: string | null;
  /** 32 random bytes, made for this pairing. */
  readonly nonce: Uint8Array;
  /** The shown half of its exchange key. */
  readonly key: Uint8Array;
};

/** All that two sites must see alike: whoever changed any of it on its way changed the proofs. */
export type Pairing = {
  /** The 16 bytes of the invitation's code. */
  readonly secret: Uint8Array;
  readonly primary: PairingParty;
  readonly joiner: PairingParty;
};

/** What follows from a pairing, the same on both sites. */
export type PairingOutcome = {
  /** HMAC-SHA-256, by which each shows the other that it has the code and its own half of the exchange. */
  readonly proofs: { readonly joiner: Uint8Array; readonly primary: Uint8Array };
  /** The pair's secret, a `dms_` token. */
  readonly token: Token;
};

const label = "dormouse/v1/pairing";

/**
 * Works out proofs and secret of a pairing. The pair's secret follows from the exchange and from the code together: the code
 * alone, seen afterwards beside everything that was sent, does not give it, nor does the exchange without the code.
 * @param own this site's half; its shown part is the `key` of its side
 * @param shown the other side's key, as it arrived
 * @returns undefined where that is no key
 */
export function pairingOutcome(
  pairing: Pairing,
  own: ExchangeKey,
  shown: Uint8Array,
): PairingOutcome | undefined {
  const shared = agree(own, shown);
  if (shared === undefined) return undefined;
  const seen = digestOfParts([label, ...partsOf(pairing.primary), ...partsOf(pairing.joiner)]);
  const input = Buffer.concat([pairing.secret, shared]);
  const expand = (what: string, bytes: number): Buffer =>
    Buffer.from(hkdfSync("sha256", input, seen, `${label}/${what}`, bytes));
  const proof = (role: "joiner" | "primary"): Uint8Array =>
    new Uint8Array(createHmac("sha256", expand(role, 32)).update(seen).digest());
  const token = expand("token", 48);
  return {
    proofs: { joiner: proof("joiner"), primary: proof("primary") },
    token: { kind: "peer", id: token.subarray(0, 16), secret: token.subarray(16) },
  };
}

/** Whether two proofs are the same, in constant time. */
export function isSameProof(expected: Uint8Array, given: Uint8Array): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}

function partsOf({ site, url, fingerprint, nonce, key }: PairingParty): readonly (string | Uint8Array)[] {
  return [site, url, fingerprint ?? "", nonce, key];
}
