import { fieldKinds } from "../core/entry.ts";
import { type Fields, isFields, textOr } from "./fields.ts";
import { usageRefusal } from "./report.ts";

/** One labelled value of an entry. */
export type EntryField = { readonly label: string; readonly value: string; readonly kind: string };

const hiddenKinds: readonly string[] = ["concealed", "totp"];
const openKinds: readonly string[] = fieldKinds.filter((kind) => !hiddenKinds.includes(kind));

/**
 * `LABEL=VALUE` or `LABEL:KIND=VALUE` from the command line. A kind that is to be concealed is refused here: arguments are
 * seen by everybody on the machine.
 */
export function parseOpenField(text: string): EntryField {
  const at = text.indexOf("=");
  if (at < 1) throw usageRefusal("--field needs LABEL=VALUE", "such as --field username=demo");
  const { label, kind } = splitLabel(text.slice(0, at), fieldKinds, "text");
  if (hiddenKinds.includes(kind)) {
    throw usageRefusal(
      `--field ${label}: a ${kind} value is not taken from the command line`,
      "use --secret",
    );
  }
  return { label, kind, value: text.slice(at + 1) };
}

/** `LABEL` or `LABEL:totp`: a field whose value comes from a prompt or standard input. */
export function parseSecretLabel(text: string): { readonly label: string; readonly kind: string } {
  if (text.includes("=")) {
    throw usageRefusal(
      "--secret takes a label and no value",
      "the value is prompted for, or read from stdin",
    );
  }
  return splitLabel(text, hiddenKinds, "concealed");
}

/** `LABEL=FILE` or `LABEL:totp=FILE`. */
export function parseSecretFile(text: string): {
  readonly label: string;
  readonly kind: string;
  readonly path: string;
} {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) {
    throw usageRefusal("--secret-file needs LABEL=FILE", "such as --secret-file private-key=./id_ed25519");
  }
  return { ...splitLabel(text.slice(0, at), hiddenKinds, "concealed"), path: text.slice(at + 1) };
}

function splitLabel(text: string, kinds: readonly string[], usual: string) {
  const at = text.lastIndexOf(":");
  const kind = text.slice(at + 1);
  return at > 0 && kinds.includes(kind) ? { label: text.slice(0, at), kind } : { label: text, kind: usual };
}

/**
 * What a file holds as a value: a line ends with the editor's newline, which is no part of it; a text of several lines, such
 * as a private key, is kept whole.
 */
export function valueOfFile(text: string): string {
  const line = text.replace(/\r?\n$/, "");
  return line.includes("\n") ? text : line;
}

/** `fields` with each change in place of the field of its label, or at the end; without those labelled in `removed`. */
export function mergeFields(
  fields: readonly EntryField[],
  changes: readonly EntryField[],
  removed: readonly string[],
): readonly EntryField[] {
  const merged = fields.filter((field) => !removed.includes(field.label));
  for (const change of changes) {
    const at = merged.findIndex((field) => field.label === change.label);
    if (at === -1) merged.push(change);
    else merged[at] = change;
  }
  return merged;
}

/** The fields of an entry that a site answered. */
export function fieldsOf(entry: Fields): readonly EntryField[] {
  const fields = Array.isArray(entry.fields) ? entry.fields.filter(isFields) : [];
  return fields.map((field) => ({
    label: textOr(field, "label", ""),
    value: textOr(field, "value", ""),
    kind: textOr(field, "kind", "text"),
  }));
}

function isConcealed(field: EntryField): boolean {
  return !openKinds.includes(field.kind);
}

/** The entry as it may be shown: concealed values are null and marked `hidden`. */
export function concealEntry(entry: Fields): Fields {
  const fields = fieldsOf(entry).map((field) =>
    isConcealed(field) ? { ...field, value: null, hidden: true } : field,
  );
  return { ...entry, fields };
}

/** What a site or this command adds to an entry and takes back from nobody. */
const readOnlyNames = [
  "version",
  "created_at",
  "updated_at",
  "trashed_at",
  "replication",
  "position",
  "warnings",
];

/**
 * An entry from a person's JSON, as it may be sent: what `entry get --json --reveal` printed can be edited and sent back.
 * @throws Refusal `usage` where a value was hidden when it was read
 */
export function writableEntry(entry: Fields): Fields {
  if (Array.isArray(entry.fields) && entry.fields.some((field) => isFields(field) && field.hidden === true)) {
    throw usageRefusal("a field's value is hidden in this JSON", "read the entry with --reveal to edit it");
  }
  return Object.fromEntries(Object.entries(entry).filter(([name]) => !readOnlyNames.includes(name)));
}

/** The JSON object in a text. @throws Refusal `usage`, which never repeats the text */
export function parseEntryJson(text: string, source: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw usageRefusal(`${source} is not JSON`, "it is one JSON object, an entry");
  }
  if (!isFields(value))
    throw usageRefusal(`${source} is not a JSON object`, "it is one JSON object, an entry");
  return value;
}
