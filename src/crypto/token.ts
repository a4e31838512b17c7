import { createHash, timingSafeEqual } from "node:crypto";
import type { Random } from "../core/ports.ts";
import { derive } from "./derive.ts";

/**
 * Whose a token is: an access to a vault, an operator of one site, the pair of sites that replicate to each other, or a person
 * for as long as a session at one site lasts.
 */
export type TokenKind = "vault" | "operator" | "peer" | "session";

/** A bearer token, taken apart. The id is public and finds the verifier; whoever has the secret is whom the token is for. */
export type Token = {
  readonly kind: TokenKind;
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** 32 bytes. */
  readonly secret: Uint8Array;
};

const prefixes: Readonly<Record<TokenKind, string>> = {
  vault: "dmv_",
  operator: "dmo_",
  peer: "dms_",
  session: "dml_",
};
const kinds: ReadonlyMap<string, TokenKind> = new Map([
  ["dmv_", "vault"],
  ["dmo_", "operator"],
  ["dms_", "peer"],
  ["dml_", "session"],
]);

const pattern = /^(dm[vosl]_)([0-9a-f]{32})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/;
const tokenLength = 86;
const verifierBytes = 32;

export function newToken(kind: TokenKind, random: Random): Token {
  return { kind, id: random.bytes(16), secret: random.bytes(32) };
}

/** The 86 characters that stand for a token: kind, id, secret, and a checksum that finds mistyping. */
export function formatToken(token: Token): string {
  const id = Buffer.from(token.id).toString("hex");
  const text = `${prefixes[token.kind]}${id}_${Buffer.from(token.secret).toString("base64url")}`;
  return text + checksum(text);
}

/** The token that a text is, or undefined where it is none or mistyped. Of each token exactly one text is taken. */
export function parseToken(text: string): Token | undefined {
  if (text.length !== tokenLength) return undefined;
  const [, prefix = "", id = "", secret = ""] = pattern.exec(text) ?? [];
  const kind = kinds.get(prefix);
  if (kind === undefined) return undefined;
  const token = { kind, id: Buffer.from(id, "hex"), secret: Buffer.from(secret, "base64url") };
  // The last character of the secret has two bits to spare, and the checksum is over the text.
  return formatToken(token) === text ? token : undefined;
}

/** A token's id as it is stored and shown: 32 hex digits. */
export function formatTokenId(token: Token): string {
  return Buffer.from(token.id).toString("hex");
}

/** What a site stores of a token: 32 bytes that check it and from which neither the token nor another key follows. */
export function verifierOf(token: Token): Uint8Array {
  return derive(token.secret, token.id, "dormouse/v1/verifier");
}

const noVerifier = new Uint8Array(verifierBytes);

/**
 * Whether a token's verifier is the stored one, in constant time. Where none is stored the answer is no, and costs the same:
 * an unknown id must not be told from a wrong secret by the time it takes.
 */
export function isSameVerifier(verifier: Uint8Array, stored: Uint8Array | undefined): boolean {
  const expected = stored?.length === verifierBytes ? stored : noVerifier;
  return timingSafeEqual(verifier, expected) && expected === stored;
}

function checksum(text: string): string {
  return createHash("sha256").update(text, "ascii").digest("base64url").slice(0, 6);
}
