import { createHmac, hkdfSync } from "node:crypto";
import type { SiteName } from "../core/ids.ts";
import { agree, digestOfParts, type ExchangeKey } from "./key-agreement.ts";
import type { Token } from "./token.ts";

/** What two sites show each other to agree on a new secret; `from` offers, `to` answers. */
export type RotationOffer = {
  readonly from: SiteName;
  readonly to: SiteName;
  /** The secret that the new one follows from. */
  readonly under: Token;
  readonly offered: RotationPart;
  readonly answered: RotationPart;
};

export type RotationPart = { readonly key: Uint8Array; readonly nonce: Uint8Array };

const label = "dormouse/v1/rotate";

/**
 * The pair's next secret. It follows from an exchange as well as from the secret of before: who comes to know the old one
 * afterwards, and kept all that was sent, does not have the new one.
 * @param own this site's half; @param shown the other's key
 * @returns undefined where that is no key
 */
export function nextToken(offer: RotationOffer, own: ExchangeKey, shown: Uint8Array): Token | undefined {
  const shared = agree(own, shown);
  if (shared === undefined) return undefined;
  const { under } = offer;
  const input = Buffer.concat([shared, under.secret]);
  const bytes = new Uint8Array(
    hkdfSync("sha256", input, digestOfParts(partsOf(offer)), `${label}/token`, 48),
  );
  const id = bytes.slice(0, 16);
  id[0] = succeeding(under);
  return { kind: "peer", id, secret: bytes.slice(16) };
}

/**
 * Whether one token was made by `nextToken` from the other: the first byte of their ids counts on. By it a site knows after a
 * crash which of two secrets is the newer, and so what it was doing.
 */
export function isNext(token: Token, before: Token): boolean {
  return token.id[0] === succeeding(before);
}

function succeeding({ id }: Token): number {
  return ((id[0] ?? 0) + 1) % 256;
}

/** What each message of a rotation proves: that its sender holds the token, and meant exactly these parts. */
export function rotationProof(
  token: Token,
  what: "offer" | "answer" | "confirm" | "confirmed",
  parts: readonly (string | Uint8Array)[],
): Uint8Array {
  const key = Buffer.from(hkdfSync("sha256", token.secret, token.id, `${label}/${what}`, 32));
  return new Uint8Array(createHmac("sha256", key).update(digestOfParts(parts)).digest());
}

function partsOf({ from, to, under, offered, answered }: RotationOffer): readonly (string | Uint8Array)[] {
  return [label, from, to, under.id, offered.key, offered.nonce, answered.key, answered.nonce];
}
