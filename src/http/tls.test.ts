import { request } from "node:https";
import { connect } from "node:tls";
import { generate } from "selfsigned";
import { afterEach, expect, it } from "vitest";
import { type HttpSite, openHttpSite } from "../../test/support/http-site.ts";

let site: HttpSite;
afterEach(() => site.close());

/** A listening server with a certificate for localhost. */
async function listen(): Promise<{ readonly port: number; readonly ca: string }> {
  const made = await generate([{ name: "commonName", value: "localhost" }]);
  const tls = { key: Buffer.from(made.private), cert: Buffer.from(made.cert) };
  site = await openHttpSite({ tls, deadlineMs: 150, keepAliveMs: 100 });
  await site.app.listen({ host: "127.0.0.1", port: 0 });
  const address = site.app.server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, ca: made.cert };
}

it("with a certificate the server speaks TLS, and says that it always will", async () => {
  const { port, ca } = await listen();
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const sent = request({
    port,
    ca,
    host: "127.0.0.1",
    servername: "localhost",
    path: "/healthz",
    agent: false,
  });
  sent.on("error", reject).on("response", (response) => {
    response.resume();
    response.on("end", () => resolve(response.headers["strict-transport-security"]));
  });
  sent.end();
  expect(await promise).toBe("max-age=31536000");
});

it("a peer that owes bytes is cut off behind TLS too", async () => {
  const { port, ca } = await listen();
  const socket = connect({ port, ca, host: "127.0.0.1", servername: "localhost" });
  socket.on("error", () => {});
  socket.on("secureConnect", () => void socket.write("GET /healthz HTTP/1.1\r\n"));
  socket.resume();
  await new Promise((done) => socket.on("close", done));
});
