import { Refusal } from "../core/errors.ts";
import { parsePosition, type Position } from "../core/position.ts";
import type { RowMatch } from "../core/row-match.ts";
import { waitSecondsMax } from "../protocol/limits.ts";

const tagPattern = /^(?:W\/)?"[\x21\x23-\x7e]*"$/;

/**
 * What If-Match asks (RFC 9110, section 13.1.1). A tag that is weak or none of ours can never match, and is left out.
 * @throws Refusal `invalid_request` for what is no list of entity tags
 */
export function parseIfMatch(header: string | undefined): RowMatch | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return "any";
  const tags = header.split(",").map((tag) => tag.trim());
  if (!tags.every((tag) => tagPattern.test(tag))) {
    throw mistake("If-Match", 'must be * or entity tags such as "1:7"');
  }
  return tags
    .map((tag) => parsePosition(tag.slice(1, -1)))
    .filter((position): position is Position => position !== undefined);
}

/**
 * The seconds that `Prefer: wait` asks for (RFC 7240); undefined where it does not. Other preferences are ignored, and of
 * several waits the first counts, as the RFC has it.
 * @throws Refusal `invalid_request` for anything but whole seconds up to the maximum
 */
export function parsePreferWait(header: string | readonly string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const preferences = [header].flat().join(",").split(",");
  const wait = preferences
    .map((preference) => preference.split(";", 1)[0] ?? "")
    .find((text) => /^\s*wait\s*(=|$)/i.test(text));
  if (wait === undefined) return undefined;
  const seconds = /^\s*wait\s*=\s*("?)(\d{1,4})\1\s*$/i.exec(wait)?.[2];
  if (seconds === undefined || Number(seconds) > waitSecondsMax) {
    throw mistake("Prefer", `wait must be whole seconds from 0 to ${waitSecondsMax}`);
  }
  return Number(seconds);
}

function mistake(path: string, message: string): Refusal {
  return new Refusal("invalid_request", `The header ${path} is not valid.`, [{ path, message }]);
}
