import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Mistake, Refusal } from "../../core/errors.ts";
import { isSiteName, type SiteName } from "../../core/ids.ts";
import { completeConfig, pathBeside } from "./complete.ts";
import type { Config } from "./config.ts";
import { checkFile } from "./draft.ts";
import { readSecrets, type SecretsOptions } from "./read-secrets.ts";
import { checkRules } from "./rules.ts";
import { errnoOf } from "./secret-files.ts";
import { type Finding, type Path, parseYaml } from "./yaml-source.ts";

const fileBytesMax = 1024 * 1024;

export type ReadOptions = SecretsOptions & {
  /** Judged in the place of the file's contents: what the file is to become. */
  readonly text?: string;
};

/**
 * Reads the configuration and the files with secrets that it names. Changes nothing.
 * @throws Refusal `config_invalid` with every mistake at once, each with its line; `file_exposed` where the only mistakes
 * are secret files that others can read
 */
export async function readConfig(path: string, options: ReadOptions = {}): Promise<Config> {
  const configPath = resolve(path);
  const source = parseYaml(options.text ?? (await readText(configPath)));
  if ("findings" in source) throw refusal("config_invalid", configPath, source.findings);
  const checked = checkFile(source);
  const { secrets, findings: secretFindings } = await readSecrets(configPath, checked.draft, options);
  const located = [...checkRules(checked.draft), ...secretFindings].map(
    (finding): Finding => ({ ...finding, line: source.lineOf(finding.near ?? finding.path) }),
  );
  const findings = [...checked.findings, ...located].toSorted((a, b) => a.line - b.line);
  if (findings.length === 0 && checked.values !== undefined) {
    return completeConfig(configPath, checked.values, secrets);
  }
  const exposed = secretFindings.filter(({ isExposed }) => isExposed).length;
  throw refusal(exposed === findings.length ? "file_exposed" : "config_invalid", configPath, findings);
}

/** Which site a file is of, and where that lies. */
export type SiteLocation = {
  readonly configPath: string;
  readonly site: SiteName;
  readonly dataFolder: string;
};

/**
 * Reads from the configuration only where the site lies. What is wrong with the rest of the file, or with a secret that it
 * names, must not keep an operator from a site that runs.
 * @throws Refusal `config_invalid`, with every mistake, where not even that much is right
 */
export async function readLocation(path: string): Promise<SiteLocation> {
  const configPath = resolve(path);
  const source = parseYaml(await readText(configPath));
  if ("findings" in source) throw refusal("config_invalid", configPath, source.findings);
  const { draft, findings } = checkFile(source);
  const { site, data } = draft;
  if (data === undefined || site === undefined || !isSiteName(site)) {
    throw refusal("config_invalid", configPath, findings);
  }
  return { configPath, site, dataFolder: pathBeside(configPath, data) };
}

function refusal(
  code: "config_invalid" | "file_exposed",
  configPath: string,
  findings: readonly Finding[],
): Refusal {
  const mistakes = findings.map(
    ({ path, line, message }): Mistake => ({
      path: path.length === 0 ? `line ${line}` : `line ${line}, ${formatPath(path)}`,
      message,
    }),
  );
  const count = mistakes.length === 1 ? "a mistake" : `${mistakes.length} mistakes`;
  return new Refusal(code, `${configPath} has ${count}`, mistakes);
}

/** `replication.peers[0].url`. */
function formatPath(path: Path): string {
  const steps = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`));
  return steps.join("").replace(/^\./, "");
}

async function readText(configPath: string): Promise<string> {
  const bytes = await readFile(configPath).catch((error: unknown) => {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    const why = code === "ENOENT" ? "does not exist" : `cannot be read (${code})`;
    throw new Refusal("config_invalid", `${configPath} ${why}`);
  });
  if (bytes.length > fileBytesMax) throw new Refusal("config_invalid", `${configPath} is far too large`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Refusal("config_invalid", `${configPath} is not UTF-8 text`);
  }
}
