/** What one-time codes are made of (RFC 6238). */
export type OneTimeKey = {
  readonly secret: Uint8Array;
  readonly algorithm: OneTimeAlgorithm;
  readonly digits: number;
  readonly periodSeconds: number;
};

const algorithms = ["SHA1", "SHA256", "SHA512"] as const;
export type OneTimeAlgorithm = (typeof algorithms)[number];

/** RFC 4226 asks for 16 bytes; sites that hand out 10 are many. */
const secretBytesMin = 10;
const textLengthMax = 2_048;

/**
 * The key that a person was handed: an `otpauth://totp/` URI, or the bare secret in base32, grouped by spaces or hyphens or
 * not. Undefined where the text is neither, or names what no authenticator takes. A URI that is taken is one that the usual
 * libraries take too: label, then parameters, each once.
 */
export function parseOneTimeKey(text: string): OneTimeKey | undefined {
  if (text.length > textLengthMax) return undefined;
  const trimmed = text.trim();
  if (/^otpauth:/i.test(trimmed)) return parseUri(trimmed);
  const secret = parseSecret(trimmed.replaceAll(/[ -]/g, ""));
  return secret && { secret, algorithm: "SHA1", digits: 6, periodSeconds: 30 };
}

const uriPattern = /^otpauth:\/\/totp\/([^?#]+)\?([^?#]*)$/i;

function parseUri(uri: string): OneTimeKey | undefined {
  const [, label = "", query = ""] = uriPattern.exec(uri) ?? [];
  const parameters = parseParameters(query);
  if (decoded(label) === undefined || parameters === undefined) return undefined;
  const secret = parseSecret(parameters.get("secret") ?? "");
  const algorithm = algorithmOf(parameters.get("algorithm") ?? "SHA1");
  const digits = numberWithin(parameters.get("digits") ?? "6", 6, 10);
  const periodSeconds = numberWithin(parameters.get("period") ?? "30", 5, 300);
  if (secret === undefined || algorithm === undefined) return undefined;
  if (digits === undefined || periodSeconds === undefined) return undefined;
  return { secret, algorithm, digits, periodSeconds };
}

/** Undefined where one is malformed, or stands twice: which of the two counts, programs do not agree on. */
function parseParameters(query: string): ReadonlyMap<string, string> | undefined {
  const parameters = new Map<string, string>();
  for (const pair of query.split("&")) {
    const [, rawName = "", rawValue = ""] = /^([A-Za-z0-9.~_-]+)=(.*)$/.exec(pair) ?? [];
    const [name, value] = [rawName.toLowerCase(), decoded(rawValue)];
    if (name === "" || value === undefined || parameters.has(name)) return undefined;
    parameters.set(name, value);
  }
  return parameters;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function algorithmOf(name: string): OneTimeAlgorithm | undefined {
  return algorithms.find((algorithm) => algorithm === name.toUpperCase());
}

function numberWithin(text: string, min: number, max: number): number | undefined {
  const number = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : 0;
  return number >= min && number <= max ? number : undefined;
}

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Base32 (RFC 4648) of either case, padded or not. Bits that fill no byte are passed over, as authenticators do. */
function parseSecret(text: string): Uint8Array | undefined {
  const digits = text.toUpperCase().replace(/=+$/, "");
  const bytes = new Uint8Array(Math.floor((digits.length * 5) / 8));
  let [bits, count, at] = [0, 0, 0];
  for (const digit of digits) {
    const value = base32.indexOf(digit);
    if (value === -1) return undefined;
    bits = ((bits << 5) | value) & 0xfff;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes[at] = (bits >> count) & 0xff;
    at += 1;
  }
  return bytes.length < secretBytesMin ? undefined : bytes;
}
