import type { z } from "zod";
import { type Mistake, Refusal } from "../core/errors.ts";

/** As many mistakes as one answer names; more of them help nobody. */
const mistakesMax = 20;
const nameLengthMax = 64;

/**
 * The value as the schema has it.
 * @param at the path of the value in the request, where it is only a part of it
 * @throws Refusal `invalid_request` that names each mistake by its path and never the value that stands there
 */
export function check<Schema extends z.ZodType>(schema: Schema, value: unknown, at = ""): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const mistakes = result.error.issues.flatMap((issue) => mistakesOf(issue, at));
  throw new Refusal("invalid_request", undefined, mistakes.slice(0, mistakesMax));
}

type Issue = z.core.$ZodIssue;

function mistakesOf(issue: Issue, at: string): readonly Mistake[] {
  const path = formatPath(issue.path, at);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: joinName(path, key), message: "no such field is known" }));
  }
  return [{ path, message: messageOf(issue) }];
}

function messageOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.message.endsWith("received undefined")
        ? "is missing"
        : `must be ${withArticle(issue.expected)}`;
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}`;
    case "too_big":
      return `must have at most ${issue.maximum} ${unitOf(issue.origin)}`;
    case "too_small":
      return issue.minimum === 1
        ? "must not be empty"
        : `must have at least ${issue.minimum} ${unitOf(issue.origin)}`;
    default:
      // Messages of the schemas' own checks, which name no value.
      return issue.message;
  }
}

const units: Readonly<Record<string, string>> = { string: "characters", array: "items" };

function unitOf(origin: string): string {
  return units[origin] ?? "units";
}

function withArticle(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

/** `entries[3].fields[0].label` */
function formatPath(path: readonly PropertyKey[], at: string): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : joinName(text, String(step))),
    at,
  );
}

/** A name that a client made up is shown short and without control characters. */
function joinName(path: string, name: string): string {
  const shown = name.replace(/[^\x20-\x7e]/g, "?").slice(0, nameLengthMax);
  return path === "" ? shown : `${path}.${shown}`;
}
