import { access, constants } from "node:fs/promises";
import { pathBeside, type Secrets } from "./complete.ts";
import type { FileDraft } from "./draft.ts";
import { parseHttpUrl } from "./file-schema.ts";
import type { RuleFinding } from "./rules.ts";
import { errnoOf, readSecretFile } from "./secret-files.ts";
import type { Path } from "./yaml-source.ts";

export type SecretsOptions = {
  /** Judges a text of a token's shape (its checksum). Without it, shape is all that is looked at. */
  readonly isPeerToken?: (text: string) => boolean;
  /** Stands in for a token file that does not exist, which otherwise is a mistake. Given the file's absolute path. */
  readonly newPeerToken?: (tokenFile: string) => string;
};

/** A mistake in a file that the configuration names. */
export type SecretFinding = RuleFinding & { readonly isExposed: boolean };

/** `dms_`, 32 hex digits of id, `_`, 43 characters of secret and 6 of checksum: 86 in all. */
const tokenPattern = /^dms_[0-9a-f]{32}_[A-Za-z0-9_-]{49}$/;

/** Reads every file with a secret that the configuration names, and tells of all that cannot be used. */
export async function readSecrets(
  configPath: string,
  file: FileDraft,
  options: SecretsOptions,
): Promise<{ readonly secrets: Secrets; readonly findings: readonly SecretFinding[] }> {
  const reader = new SecretReader(configPath);
  const webhookUrl = await readWebhookUrl(reader, file.alerts);
  const tokens: string[] = [];
  const peers = file.edition === "commercial" ? (file.replication?.peers ?? []) : [];
  for (const [i, peer] of peers.entries()) {
    if (peer?.token_file === undefined) continue;
    tokens.push(await readToken(reader, ["replication", "peers", i, "token_file"], peer.token_file, options));
  }
  await checkTls(reader, file.listen?.tls);
  return { secrets: { webhookUrl, tokens }, findings: reader.findings };
}

/** Reads files beside the configuration and keeps what is wrong with them. */
class SecretReader {
  readonly findings: SecretFinding[] = [];
  readonly #configPath: string;

  constructor(configPath: string) {
    this.#configPath = configPath;
  }

  pathOf(path: string): string {
    return pathBeside(this.#configPath, path);
  }

  find(path: Path, message: string, isExposed = false): void {
    this.findings.push({ path, message, isExposed });
  }

  /** The file's text; undefined where it cannot be used, "missing" being told with the remedy that fits. */
  async read(at: Path, path: string, missing: string): Promise<string | undefined> {
    const secret = await readSecretFile(this.pathOf(path));
    switch (secret.kind) {
      case "read":
        return secret.text;
      case "missing":
        this.find(at, `names a file that does not exist: ${this.pathOf(path)}; ${missing}`);
        return undefined;
      case "exposed":
        this.find(
          at,
          `names a file that others can read (mode ${secret.mode}): chmod 600 ${this.pathOf(path)}`,
          true,
        );
        return undefined;
      case "unreadable":
        this.find(at, `names something that ${secret.reason}: ${this.pathOf(path)}`);
        return undefined;
    }
  }
}

async function readWebhookUrl(reader: SecretReader, alerts: FileDraft["alerts"]): Promise<string | null> {
  if (alerts?.webhook_file === undefined) return alerts?.webhook ?? null;
  const at = ["alerts", "webhook_file"];
  const text = await reader.read(at, alerts.webhook_file, "make it, with the webhook's URL as its only line");
  if (text === undefined) return null;
  if (parseHttpUrl(text) === undefined) {
    reader.find(
      at,
      "names a file whose content is no http or https URL without a password; give it one such line",
    );
  }
  return text;
}

async function readToken(
  reader: SecretReader,
  at: Path,
  path: string,
  options: SecretsOptions,
): Promise<string> {
  if (options.newPeerToken !== undefined && (await isMissing(reader.pathOf(path)))) {
    return options.newPeerToken(reader.pathOf(path));
  }
  const remedy = "`dormouse init` on the primary makes it; copy it from there, with mode 0600";
  const text = await reader.read(at, path, remedy);
  if (text === undefined) return "";
  if (!tokenPattern.test(text)) {
    reader.find(at, "names a file without a peer token: one line of 86 characters that begins with dms_");
  } else if (options.isPeerToken?.(text) === false) {
    reader.find(at, "names a file whose token is mistyped: its checksum does not fit; copy the file again");
  }
  return text;
}

async function isMissing(path: string): Promise<boolean> {
  return (await readSecretFile(path)).kind === "missing";
}

/** The server reads both files itself at its start; here is only told what would stop it. */
async function checkTls(reader: SecretReader, tls: Draft): Promise<void> {
  if (tls?.cert !== undefined) {
    const path = reader.pathOf(tls.cert);
    await access(path, constants.R_OK).catch((error: unknown) => {
      reader.find(
        ["listen", "tls", "cert"],
        `names a file that cannot be read (${errnoOf(error) ?? "unknown"}): ${path}`,
      );
    });
  }
  if (tls?.key !== undefined)
    await reader.read(["listen", "tls", "key"], tls.key, "name the certificate's private key");
}

type Draft = NonNullable<FileDraft["listen"]>["tls"];
