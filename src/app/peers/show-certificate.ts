import type { Socket } from "node:net";
import { createServer } from "node:tls";
import type { CommercialConfig } from "../../ops/config/config.ts";
import { readServerTls, ShownCertificate } from "../tls-reload.ts";

/** The certificate of a site that does not run, which can be seen until this is disposed of. */
export type CertificateOnShow = AsyncDisposable & {
  /** SHA-256, 64 lower-case hex digits; null where the site shows none of its own. */
  readonly fingerprint: string | null;
};

const handshakeMs = 5_000;

/**
 * Shows the certificate of a site that does not run where its server would: the site that it is paired with judges a certificate
 * by looking at it. No connection gets further than the handshake. Where nothing can listen there, it is not seen.
 * @throws Refusal `config_invalid` where the files of its TLS cannot serve
 */
export async function showCertificate({
  publicUrl,
  listen,
}: Pick<CommercialConfig, "publicUrl" | "listen">): Promise<CertificateOnShow> {
  if (listen.tls === null || !publicUrl.startsWith("https:")) {
    return { fingerprint: null, [Symbol.asyncDispose]: async () => undefined };
  }
  const tls = await readServerTls(listen.tls);
  const shown = new ShownCertificate();
  shown.take(tls);
  const sockets = new Set<Socket>();
  const server = createServer({ cert: tls.cert, key: tls.key, handshakeTimeout: handshakeMs });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.on("error", () => undefined).once("close", () => sockets.delete(socket)));
  });
  server.on("secureConnection", (socket) => void socket.on("error", () => undefined).end());
  server.on("tlsClientError", () => undefined);
  const isListening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen({ host: listen.host, port: listen.port }, () => resolve(true));
  });
  return {
    fingerprint: shown.fingerprint,
    [Symbol.asyncDispose]: async () => {
      if (!isListening) return;
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
