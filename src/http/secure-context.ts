import type { FastifyInstance } from "fastify";
import { Server, type ServerOptions as HttpsOptions } from "node:https";
import type { ServerTls } from "./server-options.ts";

/** What certificate and key make of a server, and what it asks of its callers. The same at the start and at each reload. */
export function secureContextOf({ key, cert, clientCa }: ServerTls): HttpsOptions {
  return { key, cert, ...(clientCa !== undefined && { ca: clientCa }) };
}

/** A caller that shows no certificate, or a wrong one, is let in all the same: most calls need none. */
export function clientCertificateOptions({ clientCa }: ServerTls): HttpsOptions {
  return clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: false };
}

/**
 * Gives new connections another certificate; those that are open keep theirs and are not disturbed. Tickets of earlier sessions
 * are void from then on. Whether client certificates are asked for stays as it was at the start.
 * @throws where key or certificate cannot be used; then everything stays as it was
 */
export function exchangeCertificate({ server }: Pick<FastifyInstance, "server">, tls: ServerTls): void {
  if (!(server instanceof Server)) throw new Error("a server without TLS has no certificate to exchange");
  server.setSecureContext(secureContextOf(tls));
}
