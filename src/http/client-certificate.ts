import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { Refusal } from "../core/errors.ts";
import { type ClientCertificateFault, clientCertificateMistake } from "../protocol/client-certificate.ts";

/**
 * Lets a peer pass whose connection has shown a certificate of the authority that this site demands.
 * @throws Refusal `unauthorized`, saying what is wrong with the certificate
 */
export function demandCertificate(socket: Socket): void {
  // OpenSSL has looked at it during the handshake, which goes on without one for the sake of all other callers.
  if (socket instanceof TLSSocket && socket.authorized) return;
  const mistake = clientCertificateMistake(faultOf(socket));
  throw new Refusal("unauthorized", "This call needs a client certificate beside the token.", [mistake]);
}

function faultOf(socket: Socket): ClientCertificateFault {
  if (!(socket instanceof TLSSocket) || socket.getPeerX509Certificate() === undefined) return "missing";
  // The types say Error; what is there is the code of OpenSSL.
  return String(socket.authorizationError) === "CERT_HAS_EXPIRED" ? "expired" : "untrusted";
}
