import type { PeerTls } from "../../core/peer-tls.ts";
import { noPeerTls, pathBeside, type Secrets } from "./complete.ts";
import type { FileDraft } from "./draft.ts";
import { parseHttpUrl } from "./file-schema.ts";
import type { RuleFinding } from "./rules.ts";
import { readSecretFile } from "./secret-files.ts";
import { findMismatch, readCertificateFile, readKeyFile, type TlsFile } from "./tls-files.ts";
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
/** The new one and the one before. */
const tokensMax = 2;

/** Reads every file with a secret that the configuration names, and tells of all that cannot be used. */
export async function readSecrets(
  configPath: string,
  file: FileDraft,
  options: SecretsOptions,
): Promise<{ readonly secrets: Secrets; readonly findings: readonly SecretFinding[] }> {
  const reader = new SecretReader(configPath);
  const webhookUrl = await readWebhookUrl(reader, file.alerts);
  const tokens: (readonly string[])[] = [];
  const peerTls: PeerTls[] = [];
  const peers = file.edition === "commercial" ? (file.replication?.peers ?? []) : [];
  for (const [i, peer] of peers.entries()) {
    const at: Path = ["replication", "peers", i];
    const path = peer?.token_file;
    tokens.push(path === undefined ? [] : await readTokens(reader, [...at, "token_file"], path, options));
    peerTls.push(await readPeerTls(reader, [...at, "tls"], peer?.tls));
  }
  await readListenTls(reader, ["listen", "tls"], file.listen?.tls);
  return { secrets: { webhookUrl, tokens, peerTls }, findings: reader.findings };
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

  /** A PEM file's text; null where none is named or it cannot be used. */
  async readPem(
    at: Path,
    path: string | undefined,
    readFile: (path: string) => Promise<TlsFile>,
  ): Promise<string | null> {
    if (path === undefined) return null;
    const file = await readFile(this.pathOf(path));
    if ("text" in file) return file.text;
    this.find(at, file.message, file.isExposed);
    return null;
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

/** One token; or two different ones, each on a line of its own, while the pair's secret is being changed. */
async function readTokens(
  reader: SecretReader,
  at: Path,
  path: string,
  options: SecretsOptions,
): Promise<readonly string[]> {
  if (options.newPeerToken !== undefined && (await isMissing(reader.pathOf(path)))) {
    return [options.newPeerToken(reader.pathOf(path))];
  }
  const remedy = "`dormouse init` on the primary makes it; copy it from there, with mode 0600";
  const text = await reader.read(at, path, remedy);
  if (text === undefined) return [];
  const tokens = text.split(/\r?\n/);
  const isWrong = tokens.length > tokensMax || new Set(tokens).size < tokens.length;
  if (isWrong || !tokens.every((token) => tokenPattern.test(token))) {
    reader.find(at, "names a file without a peer token: one line of 86 characters that begins with dms_");
  } else if (!tokens.every((token) => options.isPeerToken?.(token) !== false)) {
    reader.find(at, "names a file whose token is mistyped: its checksum does not fit; copy the file again");
  }
  return tokens;
}

async function isMissing(path: string): Promise<boolean> {
  return (await readSecretFile(path)).kind === "missing";
}

type ListenTlsDraft = NonNullable<FileDraft["listen"]>["tls"];
type PeersDraft = NonNullable<NonNullable<FileDraft["replication"]>["peers"]>;
type PeerTlsDraft = NonNullable<PeersDraft[number]>["tls"];

/** The server reads its files itself at its start and at each reload; here is only told what would stop it. */
async function readListenTls(reader: SecretReader, at: Path, tls: ListenTlsDraft): Promise<void> {
  await readKeyPair(reader, at, tls ?? {});
  await reader.readPem([...at, "client_ca"], tls?.client_ca, readCertificateFile);
}

async function readPeerTls(reader: SecretReader, at: Path, tls: PeerTlsDraft): Promise<PeerTls> {
  if (tls === undefined) return noPeerTls;
  const ca = await reader.readPem([...at, "ca"], tls.ca, readCertificateFile);
  const fingerprint = tls.fingerprint?.replaceAll(":", "").toLowerCase() ?? null;
  return { ca, fingerprint, ...(await readKeyPair(reader, at, tls)) };
}

async function readKeyPair(
  reader: SecretReader,
  at: Path,
  files: { readonly cert?: string | undefined; readonly key?: string | undefined },
): Promise<Pick<PeerTls, "cert" | "key">> {
  const cert = await reader.readPem([...at, "cert"], files.cert, readCertificateFile);
  const key = await reader.readPem([...at, "key"], files.key, readKeyFile);
  const mismatch = cert === null || key === null ? undefined : findMismatch(cert, key);
  if (mismatch !== undefined) reader.find([...at, "key"], mismatch);
  return { cert, key };
}
