import type { FastifyInstance } from "fastify";
import { type Mistake, Refusal } from "../core/errors.ts";
import { exchangeCertificate } from "../http/secure-context.ts";
import type { ServerTls } from "../http/server-options.ts";
import type { ListenTls } from "../ops/config/config.ts";
import {
  certificatesIn,
  findMismatch,
  readCertificateFile,
  readKeyFile,
  type TlsFile,
} from "../ops/config/tls-files.ts";
import type { Logger } from "../ops/logging.ts";
import { type CertificateFacts, describeExpiry, expirySoonMs, factsOf } from "./certificates.ts";

/**
 * Reads the files of a server's TLS, and finds whether they can serve together.
 * @throws Refusal `config_invalid` with everything that is wrong with them
 */
export async function readServerTls(files: ListenTls): Promise<ServerTls> {
  const { certFile, keyFile, clientCaFile } = files;
  const mistakes: Mistake[] = [];
  const textOf = (key: string, file: TlsFile): string => {
    if ("text" in file) return file.text;
    mistakes.push({ path: `listen.tls.${key}`, message: file.message });
    return "";
  };
  const cert = textOf("cert", await readCertificateFile(certFile));
  const key = textOf("key", await readKeyFile(keyFile));
  const clientCa =
    clientCaFile === null ? undefined : textOf("client_ca", await readCertificateFile(clientCaFile));
  const mismatch = mistakes.length === 0 ? findMismatch(cert, key) : undefined;
  if (mismatch !== undefined) mistakes.push({ path: "listen.tls.key", message: `${mismatch}: ${keyFile}` });
  if (mistakes.length > 0) throw new Refusal("config_invalid", "the TLS files cannot be used", mistakes);
  return { cert, key, ...(clientCa !== undefined && { clientCa }) };
}

/** The certificate that new connections are shown now. One that was renewed in its file is not it before a reload. */
export class ShownCertificate {
  #fingerprint: string | null = null;

  /** SHA-256, 64 lower-case hex digits; null where this site shows none. */
  get fingerprint(): string | null {
    return this.#fingerprint;
  }

  take(tls: Pick<ServerTls, "cert">): void {
    this.#fingerprint = ownFacts(tls).fingerprint;
  }
}

export type TlsReload = {
  readonly files: ListenTls;
  readonly server: Pick<FastifyInstance, "server">;
  readonly shown: ShownCertificate;
  readonly log: Logger;
};

/**
 * Gives new connections the certificate that lies in the files now; open ones are not disturbed. Files that cannot be used
 * change nothing, and the log says what would be right.
 * @returns what came of it, in words for the operator
 */
export async function reloadTls({ files, server, shown, log }: TlsReload): Promise<string> {
  try {
    const tls = await readServerTls(files);
    const facts = ownFacts(tls);
    if (facts.expiresAt <= Date.now()) {
      const message = `names a certificate that has expired: ${files.certFile}; put the renewed one there`;
      throw new Refusal("config_invalid", "", [{ path: "listen.tls.cert", message }]);
    }
    exchangeCertificate(server, tls);
    shown.take(tls);
    const text = `the TLS certificate, which ${describeExpiry(facts, Date.now())}`;
    log.info({ fingerprint: facts.fingerprint }, `reloaded ${text}`);
    warnBeforeExpiry(tls, log);
    return text;
  } catch (error) {
    const reasons =
      error instanceof Refusal
        ? error.mistakes.map(({ path, message }) => `${path} ${message}`).join("; ")
        : // What OpenSSL says of a file quotes nothing of it.
          `${error instanceof Error ? error.message : "unknown"}: ${files.certFile}, ${files.keyFile}`;
    const text = `nothing of TLS: the certificate in use stays. ${reasons}`;
    log.error({ reasons }, "the TLS files cannot be used; the certificate in use stays");
    return text;
  }
}

/** At the start and at each reload: a site that sleeps has no timer that could tell of it later. */
export function warnBeforeExpiry(tls: Pick<ServerTls, "cert">, log: Logger): void {
  const facts = ownFacts(tls);
  if (facts.expiresAt - Date.now() > expirySoonMs) return;
  log.warn(`this site's TLS certificate ${describeExpiry(facts, Date.now())}: renew it, then reload`);
}

function ownFacts({ cert }: Pick<ServerTls, "cert">): CertificateFacts {
  return factsOf(certificatesIn(String(cert)));
}
