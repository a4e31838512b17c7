import { createHash } from "node:crypto";
import { Refusal } from "../core/errors.ts";

/** What an invitation's code tells the site that joins. */
export type InviteCode = {
  /** The primary's public URL: scheme, host and port. */
  readonly url: string;
  /** 16 bytes: proves to the primary that the operator of the joining site was given the code. */
  readonly secret: Uint8Array;
  /** SHA-256 of the primary's certificate, 64 hex digits; null where it shows none of its own. */
  readonly fingerprint: string | null;
};

const prefix = "dmi_";
const version = 1;
const secretBytes = 16;
const fingerprintBytes = 32;
const checksumBytes = 4;
const headBytes = 1 + secretBytes + 1;
const urlBytesMax = 300;
const textLengthMax = 600;

/** One word that can be copied by a double click: version, secret, fingerprint, URL and a checksum, in base64url. */
export function formatInviteCode({ url, secret, fingerprint }: InviteCode): string {
  const print = Buffer.from(fingerprint ?? "", "hex");
  const bytes = Buffer.concat([
    Buffer.from([version]),
    secret,
    Buffer.from([print.length]),
    print,
    Buffer.from(url),
  ]);
  return prefix + Buffer.concat([bytes, checksum(bytes)]).toString("base64url");
}

/**
 * Of each code exactly one text is taken, but for white space around it.
 * @throws Refusal `invite_malformed`, which says what is wrong and never repeats the text
 */
export function parseInviteCode(text: string): InviteCode {
  const word = text.trim();
  if (!word.startsWith(prefix)) throw malformed(`an invitation's code begins with ${prefix}`);
  const encoded = word.slice(prefix.length);
  if (!/^[A-Za-z0-9_-]*$/.test(encoded)) throw malformed("it holds characters that no code has");
  if (word.length > textLengthMax) throw malformed("it is too long: something else was copied with it");
  const bytes = Buffer.from(encoded, "base64url");
  if (bytes.length > 0 && bytes[0] !== version) {
    throw malformed("it is of another version of Dormouse, or mistyped at its beginning");
  }
  const body = bytes.subarray(0, -checksumBytes);
  const isWhole = bytes.length >= headBytes + checksumBytes && bytes.toString("base64url") === encoded;
  if (!isWhole || !checksum(body).equals(bytes.subarray(-checksumBytes))) {
    throw malformed("its checksum does not fit: it was mistyped, or not copied whole");
  }
  return readBody(body);
}

/** With its checksum right, only a program of another kind can have made it otherwise than is expected here. */
function readBody(body: Buffer): InviteCode {
  const printBytes = body[1 + secretBytes] ?? 0;
  const url = body.subarray(headBytes + printBytes).toString("utf8");
  const isUrl = URL.canParse(url) && new URL(url).origin === url && /^https?:/.test(url);
  if ((printBytes !== 0 && printBytes !== fingerprintBytes) || !isUrl || url.length > urlBytesMax) {
    throw malformed("it does not name a primary as this version of Dormouse does");
  }
  return {
    url,
    secret: new Uint8Array(body.subarray(1, 1 + secretBytes)),
    fingerprint: printBytes === 0 ? null : body.subarray(headBytes, headBytes + printBytes).toString("hex"),
  };
}

function malformed(why: string): Refusal {
  return new Refusal("invite_malformed", `this is no code of an invitation: ${why}`);
}

function checksum(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(`${prefix}checksum`).update(bytes).digest().subarray(0, checksumBytes);
}
