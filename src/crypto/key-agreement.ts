import { createHash, createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import type { Random } from "../core/ports.ts";

/** One side's part of an X25519 exchange (RFC 7748), used for one agreement only. */
export type ExchangeKey = {
  /** 32 bytes. A secret: whoever has it and saw the exchange can work out what was agreed on. */
  readonly secret: Uint8Array;
  /** 32 bytes, for the other side. */
  readonly shown: Uint8Array;
};

/** The bytes in front of a raw key that make it PKCS #8 and SPKI (RFC 8410). */
const privatePrefix = Buffer.from("302e020100300506032b656e04220420", "hex");
const publicPrefix = Buffer.from("302a300506032b656e032100", "hex");

export function newExchangeKey(random: Random): ExchangeKey {
  return exchangeKeyOf(random.bytes(32));
}

/** @param secret 32 bytes, from `newExchangeKey` */
export function exchangeKeyOf(secret: Uint8Array): ExchangeKey {
  const der = createPublicKey(privateKeyOf(secret)).export({ type: "spki", format: "der" });
  return { secret, shown: new Uint8Array(der.subarray(publicPrefix.length)) };
}

/** What both sides and nobody else can work out; undefined where what was shown is no key (RFC 7748, section 6.1). */
export function agree(own: ExchangeKey, shown: Uint8Array): Uint8Array | undefined {
  if (shown.length !== 32) return undefined;
  const key = Buffer.concat([publicPrefix, shown]);
  try {
    const publicKey = createPublicKey({ key, type: "spki", format: "der" });
    return new Uint8Array(diffieHellman({ privateKey: privateKeyOf(own.secret), publicKey }));
  } catch {
    // A point of small order: the result would be the same for every secret.
    return undefined;
  }
}

/** SHA-256 over parts of which no two lists give the same input: each goes in with its length. */
export function digestOfParts(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return new Uint8Array(hash.digest());
}

function privateKeyOf(secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([privatePrefix, secret]), type: "pkcs8", format: "der" });
}
