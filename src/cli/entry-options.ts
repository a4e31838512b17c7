import { type Command, Option } from "commander";
import { entryTypes } from "../core/entry.ts";
import {
  type EntryField,
  parseEntryJson,
  parseOpenField,
  parseSecretFile,
  parseSecretLabel,
  valueOfFile,
} from "./entry-content.ts";
import type { Fields } from "./fields.ts";
import { nameInput, readTextInput } from "./file-input.ts";
import { printable } from "./printable.ts";
import { askHidden } from "./prompt.ts";
import { usageRefusal } from "./report.ts";

/** The content of an entry as the command line names it. Secrets come from prompts, files or standard input only. */
export type ContentOptions = {
  readonly jsonFile?: string;
  readonly type?: string;
  readonly title?: string;
  readonly website?: readonly string[];
  readonly tag?: readonly string[];
  readonly favourite?: boolean;
  readonly field?: readonly string[];
  readonly secret?: readonly string[];
  readonly secretFile?: readonly string[];
  readonly notesFile?: string;
};

/** An entry may hold 256 KiB; as JSON with escapes it may take more. */
const inputBytesMax = 2 * 1024 * 1024;

export function addContentOptions(command: Command): Command {
  return command
    .option("--json-file <file>", "the whole entry as JSON, from a file or - for stdin; alone")
    .addOption(
      new Option("--type <type>", "what it is; login where a new entry names none").choices(entryTypes),
    )
    .option("--title <title>", "what it is called")
    .option("--website <url>", "where it is used; may be repeated", collect)
    .option("--tag <tag>", "may be repeated", collect)
    .option("--favourite", "mark it as a favourite")
    .option("--field <label=value>", "an open value; LABEL:email=, :url= or :date= name its kind", collect)
    .option(
      "--secret <label>",
      "a concealed value (LABEL:totp for a TOTP key), prompted for or a line of stdin",
      collect,
    )
    .option("--secret-file <label=file>", "a concealed value from a file, - for stdin", collect)
    .option("--notes-file <file>", "notes from a file, - for stdin");
}

/** Gathers the values of an option that may be repeated. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** The entry of `--json-file`, or undefined where the options describe the entry in parts. */
export async function readWholeEntry(options: ContentOptions): Promise<Fields | undefined> {
  if (options.jsonFile === undefined) return undefined;
  if (Object.keys(partsOf(options)).length > 0 || options.notesFile !== undefined || hasFields(options)) {
    throw usageRefusal("--json-file holds the whole entry", "leave out the options that name parts of it");
  }
  return parseEntryJson(await readTextInput(options.jsonFile, inputBytesMax), nameInput(options.jsonFile));
}

/** What the options name of an entry besides its fields, as the API names it. */
export async function readParts(options: ContentOptions): Promise<Fields> {
  const { notesFile } = options;
  const notes =
    notesFile === undefined ? {} : { notes: (await readTextInput(notesFile, inputBytesMax)).trimEnd() };
  return { ...partsOf(options), ...notes };
}

/** The fields that the options name, in their order: open ones, files, then what is asked for. */
export async function readFields(options: ContentOptions): Promise<readonly EntryField[]> {
  checkOneReaderOfStdin(options);
  const fields = (options.field ?? []).map(parseOpenField);
  for (const named of (options.secretFile ?? []).map(parseSecretFile)) {
    const text = await readTextInput(named.path, inputBytesMax);
    fields.push({ label: named.label, kind: named.kind, value: valueOfFile(text) });
  }
  const asked = (options.secret ?? []).map(parseSecretLabel);
  const values = await readSecrets(asked.map((secret) => secret.label));
  asked.forEach((secret, index) => fields.push({ ...secret, value: values[index] ?? "" }));
  return fields;
}

export function hasFields(options: ContentOptions): boolean {
  return options.field !== undefined || options.secret !== undefined || options.secretFile !== undefined;
}

function partsOf({ type, title, website, tag, favourite }: ContentOptions): Fields {
  return {
    ...(type === undefined ? {} : { type }),
    ...(title === undefined ? {} : { title }),
    ...(website === undefined ? {} : { urls: website }),
    ...(tag === undefined ? {} : { tags: tag }),
    ...(favourite === undefined ? {} : { favourite }),
  };
}

function checkOneReaderOfStdin(options: ContentOptions): void {
  const files = (options.secretFile ?? []).filter((text) => text.endsWith("=-")).length;
  const notes = options.notesFile === "-" ? 1 : 0;
  const prompts = options.secret !== undefined && !process.stdin.isTTY ? 1 : 0;
  if (files + notes + prompts > 1) {
    throw usageRefusal("standard input can be read for one option only", "give the others as files");
  }
}

async function readSecrets(labels: readonly string[]): Promise<readonly string[]> {
  if (labels.length === 0) return [];
  if (!process.stdin.isTTY) return await readSecretLines(labels);
  const values: string[] = [];
  for (const label of labels) values.push(await askValue(label));
  return values;
}

async function askValue(label: string): Promise<string> {
  const value = await askHidden(`${printable(label)}: `);
  if (value === "") throw usageRefusal(`no value was given for ${label}`, "type it, or leave out --secret");
  return value;
}

async function readSecretLines(labels: readonly string[]): Promise<readonly string[]> {
  const lines = (await readTextInput("-", inputBytesMax)).replace(/\r?\n$/, "").split(/\r?\n/);
  if (lines.length !== labels.length || lines.includes("")) {
    throw usageRefusal(
      `standard input holds ${lines.length === 1 && lines[0] === "" ? 0 : lines.length} lines for ${labels.length} --secret`,
      "one line with a value for each --secret, in their order",
    );
  }
  return lines;
}
