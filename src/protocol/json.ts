import { fromUtf8 } from "../core/bytes.ts";
import { Refusal } from "../core/errors.ts";

const forbiddenName = "__proto__";
/** Finds texts that may hold the name: as it is, or spelled with escapes. */
const suspicious = /__proto__|\\u00/i;

/**
 * The JSON value of UTF-8 bytes.
 * @throws Refusal `malformed_json`; `invalid_request` where an object has a member `__proto__`: JSON.parse makes it an
 * ordinary member, but whoever copies it member by member afterwards changes a prototype
 */
export function parseJson(bytes: Uint8Array): unknown {
  const text = decode(bytes);
  const value = parse(text);
  if (suspicious.test(text)) refuseForbiddenName(value);
  return value;
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

/** Looks through the whole value without recursion: JSON may be nested deeper than the stack. */
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
