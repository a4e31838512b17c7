import type { X509Certificate } from "node:crypto";
import { type ConnectionOptions, TLSSocket } from "node:tls";
import { buildConnector } from "undici";
import type { PeerTls } from "../core/peer-tls.ts";

/** Why a peer was not spoken to, in words for an operator. Has no `code`, and never holds an address or anything the peer sent. */
export class PeerTlsFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = "PeerTlsFault";
  }
}

/**
 * Opens connections to one peer. They are handed on only when the peer's certificate is the one demanded, so that not a byte of
 * a request goes to anybody else. Sessions are never resumed: every connection shows its certificate. HTTP/1.1 alone is
 * offered, because a connection of HTTP/2 pings and would wake a sleeping site.
 * @param onFault hears why a connection that was handed on was then refused by the peer, as TLS 1.3 does it
 */
export function peerConnector(
  tls: PeerTls,
  timeoutMs: number,
  onFault: (fault: PeerTlsFault) => void = () => undefined,
): buildConnector.connector {
  const connect = buildConnector({
    ...secureOptionsOf(tls),
    allowH2: false,
    maxCachedSessions: 0,
    timeout: timeoutMs,
  });
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      const fault = error ? nameTlsFault(error) : findFault(socket, tls);
      if (fault === undefined && socket) {
        socket.on("error", (late) => {
          const named = nameTlsFault(late);
          if (named instanceof PeerTlsFault) onFault(named);
        });
        return callback(null, socket);
      }
      socket?.destroy();
      return callback(fault ?? new PeerTlsFault("there is no connection"), null);
    });
}

type SecureOptions = Pick<ConnectionOptions, "rejectUnauthorized" | "ca" | "cert" | "key">;

/** What a TLS connection to this peer takes, but for what `findFault` looks at once it is there. */
function secureOptionsOf({ ca, fingerprint, cert, key }: PeerTls): SecureOptions {
  return {
    // A pinned certificate need not be of any authority, nor for any host: it is compared as a whole.
    rejectUnauthorized: ca !== null || fingerprint === null,
    ...(ca !== null && { ca }),
    ...(cert !== null && key !== null && { cert, key }),
  };
}

function findFault(socket: unknown, { fingerprint }: PeerTls): PeerTlsFault | undefined {
  if (fingerprint === null || !(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return new PeerTlsFault("the peer shows no certificate");
  if (fingerprintOf(certificate) !== fingerprint) return new PeerTlsFault(notPinned);
  const nowMs = Date.now();
  if (nowMs > certificate.validToDate.getTime()) return new PeerTlsFault(expired);
  return nowMs < certificate.validFromDate.getTime() ? new PeerTlsFault(notYet) : undefined;
}

/** The SHA-256 of a certificate, as the configuration keeps it. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

const notPinned = "the peer's certificate is not the pinned one";
const expired = "the peer's certificate expired";
const notYet = "the peer's certificate is not valid yet; one of the two clocks may be wrong";
const untrusted = "the peer's certificate is of no authority that is trusted here";

/** By the codes of OpenSSL and Node (their manuals: X509_STORE_CTX_get_error, tls.checkServerIdentity). */
const faultsByCode: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: expired,
  CERT_NOT_YET_VALID: notYet,
  CERT_REVOKED: "the peer's certificate was revoked",
  ERR_TLS_CERT_ALTNAME_INVALID: "the peer's certificate is for another host",
  HOSTNAME_MISMATCH: "the peer's certificate is for another host",
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_SIGNATURE_FAILURE: untrusted,
  CERT_UNTRUSTED: untrusted,
  CERT_REJECTED: untrusted,
  INVALID_CA: untrusted,
  INVALID_PURPOSE: "the peer's certificate is not meant for a server",
  ERR_SSL_WRONG_VERSION_NUMBER: "the peer does not speak TLS",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "the peer does not speak TLS",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "the peer asks for a client certificate, and was shown none",
  "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE":
    "the peer refuses the handshake; it may ask for a client certificate",
};

/** The named failure that an error of a connection stands for; the error itself where it is none of certificates. */
export function nameTlsFault(error: Error): Error {
  const { code } = error as { readonly code?: unknown };
  if (typeof code !== "string") return error;
  const name = Object.hasOwn(faultsByCode, code) ? faultsByCode[code] : undefined;
  if (name !== undefined) return new PeerTlsFault(name);
  const isOfOurs = /^ERR_SSL_.*_ALERT_.*(CERTIFICATE|UNKNOWN_CA)/.test(code);
  return isOfOurs ? new PeerTlsFault("the peer refuses this site's client certificate") : error;
}
