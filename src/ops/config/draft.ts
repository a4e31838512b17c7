import { type FileValues, fileSchema } from "./file-schema.ts";
import { describeUnknownKey } from "./suggestion.ts";
import type { Finding, Path, YamlSource } from "./yaml-source.ts";

/** What is left of a value when everything that is wrong in it is taken out. */
export type Draft<Value> = Value extends readonly (infer Item)[]
  ? readonly (Draft<Item> | undefined)[]
  : Value extends object
    ? { readonly [Key in keyof Value]?: Draft<Value[Key]> | undefined }
    : Value;

export type FileDraft = Draft<FileValues>;

/** The complete values are there only where nothing was found. */
export type CheckedFile = {
  readonly values: FileValues | undefined;
  readonly draft: FileDraft;
  readonly findings: readonly Finding[];
};

/**
 * The first step: each value for itself. What is wrong is taken out, so that the rules that join several values can still
 * look at the rest and all mistakes are told at once.
 */
export function checkFile(source: YamlSource): CheckedFile {
  const parsed = fileSchema.safeParse(source.value);
  if (parsed.success) return { values: parsed.data, draft: parsed.data, findings: [] };
  const findings: Finding[] = [];
  let draft = source.value;
  for (const issue of parsed.error.issues) {
    const wrong: readonly Path[] =
      issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
    for (const path of wrong) {
      const message =
        issue.code === "unrecognized_keys"
          ? describeUnknownKey(path.slice(0, -1), String(path.at(-1)))
          : issue.message;
      findings.push({ path, line: source.lineOf(path), message });
      draft = without(draft, path);
    }
  }
  return { values: undefined, draft: asDraft(draft), findings };
}

/** Everything that the schema objected to is out, so what is left has the schema's types or is missing. */
function asDraft(value: unknown): FileDraft {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function without(value: unknown, path: Path): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return undefined;
  if (Array.isArray(value)) return value.map((item: unknown, i) => (i === step ? without(item, rest) : item));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, child]) => [
    key,
    key === step ? without(child, rest) : child,
  ]);
  return Object.fromEntries(entries);
}
