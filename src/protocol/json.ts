import { fromUtf8 } from "../core/bytes.ts";
import { Refusal } from "../core/errors.ts";

const forbiddenName = "__proto__";
/** Finds texts that may hold the name: as it is, or spelled with escapes. */
const suspicious = /__proto__|\\u00/i;

/**
 * The JSON value of UTF-8 bytes.
 * @throws Refusal `malformed_json`, also where values are nested deeper than `depthMax`; `invalid_request` where an object has a member `__proto__`: JSON.parse makes it an
 * ordinary member, but whoever copies it member by member afterwards changes a prototype
 */
export function parseJson(bytes: Uint8Array): unknown {
  requireShallow(bytes);
  const text = decode(bytes);
  const value = parse(text);
  if (suspicious.test(text)) refuseForbiddenName(value);
  return value;
}

/** No call takes a value of a tenth of this depth. */
const depthMax = 32;
const [quote, backslash, openArray, openObject, closeArray, closeObject] = Buffer.from('"\\[{]}');

/**
 * JSON.parse takes a second for two megabytes of brackets, and holds up everybody meanwhile. What this costs grows with the bytes
 * outside of texts; texts are passed over whole.
 */
function requireShallow(bytes: Uint8Array): void {
  let depth = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) at = endOfText(bytes, at);
    else if (byte === openArray || byte === openObject) depth += 1;
    else if (byte === closeArray || byte === closeObject) depth -= 1;
    if (depth > depthMax) {
      throw new Refusal("malformed_json", `The body is nested deeper than ${depthMax} levels.`);
    }
  }
}

/** Where the quote stands that ends the text which begins at `start`; the end of the bytes where none does. */
function endOfText(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(quote ?? 0, start + 1); at >= 0; at = bytes.indexOf(quote ?? 0, at + 1)) {
    let before = at;
    while (bytes[before - 1] === backslash) before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
  return bytes.length;
}

function decode(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    throw new Refusal("malformed_json", "The body is not UTF-8.");
  }
}

function parse(text: string): unknown {
  if (text.trim() === "") throw new Refusal("malformed_json", "The body is empty.");
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may be a secret.
    throw new Refusal("malformed_json");
  }
}

/** Looks through the whole value. */
function refuseForbiddenName(root: unknown): void {
  const rest = [root];
  while (rest.length > 0) {
    const value = rest.pop();
    if (typeof value !== "object" || value === null) continue;
    if (Object.hasOwn(value, forbiddenName)) {
      const message = "no member may have this name";
      throw new Refusal("invalid_request", undefined, [{ path: forbiddenName, message }]);
    }
    for (const member of Object.values(value)) rest.push(member);
  }
}
