import type { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import { buildConnector } from "undici";
import type { PeerTls } from "../core/peer-tls.ts";
import { fingerprintOf, peerConnector, PeerTlsFault } from "../crypto/peer-tls.ts";
import type { ListenTls, PeerConfig } from "../ops/config/config.ts";
import { certificatesIn, readCertificateFile } from "../ops/config/tls-files.ts";

const dayMs = 86_400_000;
/** An operator who is told so long before has time to renew; authorities that renew by themselves do it 30 days before. */
export const expirySoonMs = 21 * dayMs;

/** A certificate as an operator needs to know it. */
export type CertificateFacts = {
  /** The SHA-256, 64 lower-case hex digits: what `fingerprint` in a peer's `tls` takes. */
  readonly fingerprint: string;
  /** Wall clock, milliseconds since 1970. Of those in the file or chain, the one that ends first. */
  readonly expiresAt: number;
};

export type PeerCertificate =
  /** `fault` says why this site does not speak to the peer; null where it does. */
  | { readonly kind: "shown"; readonly facts: CertificateFacts; readonly fault: string | null }
  /** Plain http to this machine or to a proxy. */
  | { readonly kind: "no_tls" }
  /** No handshake came about; `reason` is an error's code or words. */
  | { readonly kind: "unreachable"; readonly reason: string };

/** The certificate that this site shows from its next reload or start on; undefined where the file cannot be read. */
export async function ownCertificate({
  certFile,
}: Pick<ListenTls, "certFile">): Promise<CertificateFacts | undefined> {
  const file = await readCertificateFile(certFile);
  return "text" in file ? factsOf(certificatesIn(file.text)) : undefined;
}

/** The certificate by which this site proves itself to a peer; undefined where none is configured. */
export function clientCertificate({ cert }: Pick<PeerTls, "cert">): CertificateFacts | undefined {
  return cert === null ? undefined : factsOf(certificatesIn(cert));
}

/**
 * Looks at the certificate that a peer shows now, and judges it as replication does. Two connections at most; no request is
 * sent, and no credential. Never rejects.
 */
export async function peerCertificate(
  { url, tls }: Pick<PeerConfig, "url" | "tls">,
  timeoutMs: number,
): Promise<PeerCertificate> {
  if (new URL(url).protocol !== "https:") return { kind: "no_tls" };
  const shown = await look(url, unjudgedConnector(timeoutMs), shownOn);
  if (typeof shown === "string") return { kind: "unreachable", reason: shown };
  const fault = await look(url, peerConnector(tls, timeoutMs), () => null);
  return { kind: "shown", facts: factsOf([shown]), fault };
}

/** How a peer's certificate is checked once two sites are paired. */
export type PeerPin = {
  /** `verified`: by the authorities that are known here, as for any URL. `none`: it shows none. */
  readonly certificate: "pinned" | "verified" | "none";
  /** The fingerprint to write down; null where nothing is pinned. */
  readonly pin: string | null;
};

/** What the operators of two sites that were paired are told. */
export type CertificateChecks = {
  /** How this site checks the other's certificate from now on. */
  readonly certificate: PeerPin["certificate"];
  /** How the other says that it checks this site's. */
  readonly own_certificate: PeerPin["certificate"];
};

/**
 * Whether the certificate that a site was proved to have is to be pinned. One for the URL's host, of an authority that is known
 * here, is not: authorities renew, and pinned, each renewal would stop the pair. One that is its own authority always is, whatever is
 * trusted in this process: its next one has nothing of it. One connection; nothing is sent. Never rejects.
 * @param peer its fingerprint null where it shows none of its own, but perhaps a proxy's
 */
export async function pinFor(
  { url, fingerprint }: { readonly url: string; readonly fingerprint: string | null },
  timeoutMs: number,
): Promise<PeerPin> {
  const isTls = new URL(url).protocol === "https:";
  if (fingerprint === null || !isTls) return { certificate: isTls ? "verified" : "none", pin: null };
  const isVouchedFor = await look(url, unjudgedConnector(timeoutMs), (socket) => {
    const shown = shownOn(socket);
    if (typeof shown === "string" || fingerprintOf(shown) !== fingerprint) return false;
    // Chain, dates and host, as they are judged where nothing is pinned.
    return socket instanceof TLSSocket && socket.authorized && !shown.checkIssued(shown);
  });
  return isVouchedFor === true
    ? { certificate: "verified", pin: null }
    : { certificate: "pinned", pin: fingerprint };
}

/** `expires on 2027-02-03 (in 72 days)`. */
export function describeExpiry({ expiresAt }: Pick<CertificateFacts, "expiresAt">, nowMs: number): string {
  const date = new Date(expiresAt).toISOString().slice(0, 10);
  const days = Math.floor((expiresAt - nowMs) / dayMs);
  return days < 0 ? `expired on ${date}` : `expires on ${date} (in ${days} days)`;
}

/** @throws where there is none */
export function factsOf(chain: readonly X509Certificate[]): CertificateFacts {
  const [first] = chain;
  if (first === undefined) throw new Error("a file that was read as certificates holds none");
  const expiresAt = Math.min(...chain.map(({ validToDate }) => validToDate.getTime()));
  return { fingerprint: fingerprintOf(first), expiresAt };
}

/** For connections on which nothing is sent: nobody need be trusted. */
function unjudgedConnector(timeoutMs: number): buildConnector.connector {
  return buildConnector({
    rejectUnauthorized: false,
    allowH2: false,
    maxCachedSessions: 0,
    timeout: timeoutMs,
  });
}

/** Connects, takes what it needs of the connection and ends it; words or a code where there is none. */
function look<T>(url: string, connect: buildConnector.connector, take: (socket: unknown) => T) {
  const { protocol, host, hostname, port } = new URL(url);
  return new Promise<T | string>((resolve) => {
    connect({ protocol, host, hostname, port }, (error, socket) => {
      resolve(error === null ? take(socket) : reasonOf(error));
      socket?.destroy();
    });
  });
}

function shownOn(socket: unknown): X509Certificate | string {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate ?? "it shows no certificate";
}

function reasonOf(error: Error): string {
  if (error instanceof PeerTlsFault) return error.message;
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
