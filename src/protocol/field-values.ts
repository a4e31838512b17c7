import type { FieldKind } from "../core/entry.ts";
import { parseOneTimeKey } from "../core/one-time-key.ts";
import { urlLengthMax } from "./limits.ts";

/** An address of more has no place in SMTP (RFC 5321, section 4.5.3.1.3, less its brackets). */
const emailLengthMax = 254;

/** What kinds of field take, in words that continue "the value"; a kind without a line takes any text. */
const kinds: Readonly<
  Partial<Record<FieldKind, { readonly takes: (value: string) => boolean; readonly rule: string }>>
> = {
  url: {
    takes: (value) => value.length <= urlLengthMax && isEntryUrl(value),
    rule: `must be an absolute URL such as https://mail.example, of at most ${urlLengthMax} characters`,
  },
  email: { takes: isEmail, rule: "must be an email address such as joe@mail.example" },
  date: { takes: isDate, rule: "must be a day of the calendar such as 2026-02-28" },
  totp: {
    takes: (value) => parseOneTimeKey(value) !== undefined,
    rule: "must be an otpauth://totp/ URI of 6 to 10 digits, 5 to 300 s and SHA1, SHA256 or SHA512, or a base32 secret of at least 10 bytes",
  },
};

/** What is wrong with a field's value, never with the value in it; undefined where it may stand so. Empty is right for all. */
export function mistakeInValue(kind: FieldKind, value: string): string | undefined {
  const known = kinds[kind];
  return known === undefined || value === "" || known.takes(value) ? undefined : known.rule;
}

/** URLs of these run what they carry where a page makes links of them. */
const running = ["javascript", "vbscript", "data"];

/**
 * Whether a text is an absolute URL, of any scheme that names where something is (`ssh`, `androidapp`). Control characters are
 * refused because parsers drop them: what is opened would not be what is shown.
 */
export function isEntryUrl(text: string): boolean {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text) ?? [];
  if (scheme === undefined || running.includes(scheme.toLowerCase())) return false;
  return !/\p{Cc}/u.test(text) && URL.canParse(text);
}

/** As much of RFC 5322 as finds a slip: whether mail arrives there, only mail can tell. */
function isEmail(text: string): boolean {
  return text.length <= emailLengthMax && /^[^@\s\p{Cc}]+@[^@\s\p{Cc}]+$/u.test(text);
}

/** `full-date` of RFC 3339, of a day that there is. */
function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  // A 30th of February parses as a day in March.
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}
