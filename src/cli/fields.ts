import { CommandRefusal } from "./report.ts";

/** A JSON object of unknown content, as a site answered it. */
export type Fields = { readonly [name: string]: unknown };

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The objects of an array under a name. @throws Refusal `unreachable` where the site answered something else */
export function objectsIn(fields: Fields, name: string): readonly Fields[] {
  const value = fields[name];
  if (!Array.isArray(value) || !value.every(isFields)) throw notUnderstood(name);
  return value;
}

/** The object under a name. @throws Refusal `unreachable` where the site answered something else */
export function fieldsIn(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (!isFields(value)) throw notUnderstood(name);
  return value;
}

/** The text under a name. @throws Refusal `unreachable` where the site answered something else */
export function textIn(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw notUnderstood(name);
  return value;
}

/** The text under a name, or another where there is none. */
export function textOr(fields: Fields, name: string, otherwise: string): string {
  const value = fields[name];
  return typeof value === "string" ? value : otherwise;
}

/** The texts of an array under a name; what is no text is left out. */
export function textsIn(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** Any plain value as a cell of a table: nothing is a dash. */
export function cell(value: unknown): string {
  if (typeof value === "string") return value === "" ? "-" : value;
  return value === null || value === undefined ? "-" : JSON.stringify(value);
}

function notUnderstood(name: string): CommandRefusal {
  return new CommandRefusal(
    "unreachable",
    `the site's answer makes no sense: ${name} is missing`,
    "check that the address is a Dormouse of this version",
  );
}
