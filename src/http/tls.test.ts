import { type AddressInfo, connect as connectPlain, createServer } from "node:net";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { fingerprintOf, makeAuthority, makeIdentity } from "../../test/support/certificates.ts";
import {
  type HttpSite,
  type HttpSiteOptions,
  openHttpSite,
  ScriptedEdition,
} from "../../test/support/http-site.ts";
import { follow, type Line } from "../../test/support/line.ts";
import type { SiteName } from "../core/ids.ts";
import { exchangeCertificate } from "./secure-context.ts";

const old = await makeIdentity("calgary");
const renewed = await makeIdentity("calgary");
const authority = await makeAuthority("the pair's authority");
const zurich = await makeIdentity("zurich", { ca: authority });
const stranger = await makeIdentity("stranger");

let site: HttpSite;
afterEach(() => site.close());

const hasty = { deadlineMs: 150, keepAliveMs: 100, handshakeMs: 150 };
const patient = { deadlineMs: 60_000, keepAliveMs: 60_000, handshakeMs: 60_000 };

/** A listening server with a certificate for this machine. */
async function listen(options: HttpSiteOptions = {}): Promise<number> {
  site = await openHttpSite({ tls: old, ...hasty, ...options });
  await site.app.listen({ host: "127.0.0.1", port: 0 });
  return (site.app.server.address() as AddressInfo).port;
}

async function open(port: number, options: ConnectionOptions = {}): Promise<Line<TLSSocket>> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  await new Promise<void>((resolve, fail) => {
    socket.once("secureConnect", resolve).once("error", fail);
  });
  return follow(socket);
}

const get = (headers = "") => `GET /healthz HTTP/1.1\r\nhost: a\r\n${headers}\r\n`;
const shown = (socket: TLSSocket): string | undefined => {
  const certificate = socket.getPeerX509Certificate();
  return certificate && fingerprintOf({ cert: certificate.toString() });
};

it("with a certificate the server speaks TLS, and says that it always will", async () => {
  const { socket, ended } = await open(await listen(), { ca: old.cert, rejectUnauthorized: true });
  socket.write(get("connection: close\r\n"));
  expect((await ended).toLowerCase()).toContain("strict-transport-security: max-age=31536000");
});

it("what speaks plain HTTP to it is answered nothing, and the server goes on", async () => {
  const port = await listen();
  const plain = follow(connectPlain(port, "127.0.0.1"));
  plain.socket.write(get());
  expect(await plain.ended).not.toContain("200 OK");
  const { socket, ended } = await open(port);
  socket.write(get("connection: close\r\n"));
  expect(await ended).toContain('"status":"ok"');
});

describe("a peer that owes bytes is cut off behind TLS too", () => {
  it("when its handshake does not begin", async () => {
    expect(await follow(connectPlain(await listen(), "127.0.0.1")).ended).toBe("");
  });

  it("in the middle of its handshake, even when it sends a little now and then", async () => {
    const hello = await clientHello();
    const { socket, ended } = follow(connectPlain(await listen(), "127.0.0.1"));
    let sent = 0;
    const trickle = setInterval(() => {
      // The second half never comes.
      if (sent < hello.length / 2) socket.write(hello.subarray(sent, (sent += 1)));
    }, 20);
    expect(await ended).toBe("");
    clearInterval(trickle);
    expect(sent).toBeGreaterThan(2);
  });

  it("when its handshake is over and it says nothing", async () => {
    const { ended } = await open(await listen());
    expect(await ended).toBe("");
  });

  it("in the middle of its headers, even when it sends a little now and then", async () => {
    const { socket, ended } = await open(await listen());
    socket.write("GET /healthz HTTP/1.1\r\n");
    const trickle = setInterval(() => socket.write("x: y\r\n"), 20);
    expect(await ended).toBe("");
    clearInterval(trickle);
  });
});

/** What a client sends first. */
async function clientHello(): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  socket.on("error", () => {});
  const first = await new Promise<Buffer>((resolve) => {
    server.once("connection", (raw) => void raw.once("data", resolve).on("error", () => {}));
  });
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  return first;
}

it("a server that closes waits for no handshake", async () => {
  const port = await listen(patient);
  const silent = follow(connectPlain(port, "127.0.0.1"));
  const half = follow(connectPlain(port, "127.0.0.1"));
  half.socket.write((await clientHello()).subarray(0, 100));
  const used = await open(port);
  used.socket.write(get());
  // The server has seen those that came before.
  await used.read('"status":"ok"');
  await site.app.close();
  expect(await Promise.all([silent.ended, half.ended])).toEqual(["", ""]);
});

describe("a certificate that is exchanged", () => {
  it("is shown to new connections, while one that is open goes on being served", async () => {
    const port = await listen(patient);
    const before = await open(port);
    before.socket.write(get());
    await before.read('"status":"ok"');
    exchangeCertificate(site.app, renewed);
    const after = await open(port);
    expect([shown(before.socket), shown(after.socket)]).toEqual([fingerprintOf(old), fingerprintOf(renewed)]);
    before.socket.write(get("connection: close\r\n"));
    after.socket.write(get("connection: close\r\n"));
    expect((await before.ended).match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(await after.ended).toContain('"status":"ok"');
  });

  it("that does not fit its key changes nothing", async () => {
    const port = await listen();
    expect(() => exchangeCertificate(site.app, { cert: renewed.cert, key: old.key })).toThrow(
      "key values mismatch",
    );
    expect(() => exchangeCertificate(site.app, { cert: "x", key: "y" })).toThrow("PEM");
    expect(shown((await open(port)).socket)).toBe(fingerprintOf(old));
  });

  it("voids the sessions that began under the one before", async () => {
    const port = await listen({ tls: { ...old, clientCa: authority.cert } });
    const first = await open(port);
    const session = await new Promise<Buffer>((resolve) => first.socket.once("session", resolve));
    exchangeCertificate(site.app, { ...renewed, clientCa: authority.cert });
    expect((await open(port, { session })).socket.isSessionReused()).toBe(false);
  });
});

describe("with a client authority", () => {
  const push = `POST /api/replication/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer secret\r\nconnection: close\r\n\r\n`;

  async function listenForPeers(): Promise<number> {
    const route = {
      method: "POST",
      path: "/api/replication/x",
      caller: "peer",
      bodyBytesMax: 1_000,
    } as const;
    const edition = new ScriptedEdition([{ ...route, handle: async () => ({ status: 200, body: {} }) }]);
    edition.peers.set("secret", "zurich" as SiteName);
    return await listen({ edition, tls: { ...old, clientCa: authority.cert } });
  }

  async function answerTo(text: string, port: number, options: ConnectionOptions = {}): Promise<string> {
    const { socket, ended } = await open(port, options);
    socket.write(text);
    return await ended;
  }

  it("the calls of peers need a certificate of it beside the credential", async () => {
    const port = await listenForPeers();
    expect(await answerTo(push, port, zurich)).toContain("HTTP/1.1 200 ");
    for (const options of [{}, stranger]) {
      const refused = await answerTo(push, port, options);
      expect(refused).toContain("HTTP/1.1 401 ");
      expect(refused).toContain('"code":"unauthorized"');
      expect(refused).toContain('"path":"client_certificate"');
    }
  });

  it("a certificate alone is not enough either", async () => {
    const port = await listenForPeers();
    const refused = await answerTo(push.replace("secret", "another"), port, zurich);
    expect(refused).toContain("HTTP/1.1 401 ");
    expect(refused).not.toContain("client_certificate");
  });

  it("everybody else is served without one, or with any", async () => {
    const port = await listenForPeers();
    for (const options of [{}, stranger, zurich])
      expect(await answerTo(get("connection: close\r\n"), port, options)).toContain('"status":"ok"');
  });

  it("a session that began without a certificate does not pass for one when it is resumed", async () => {
    const port = await listenForPeers();
    const first = await open(port);
    const session = await new Promise<Buffer>((resolve) => first.socket.once("session", resolve));
    const second = await open(port, { session });
    expect(second.socket.isSessionReused()).toBe(true);
    second.socket.write(push);
    expect(await second.ended).toContain("HTTP/1.1 401 ");
  });
});

describe("behind a proxy", () => {
  it("connections from elsewhere are ended before anything is read, and logged once for each address", async () => {
    site = await openHttpSite({ ...patient, acceptsFrom: (address) => address === "127.0.0.1" });
    await site.app.listen({ host: "127.0.0.1", port: 0 });
    const { port } = site.app.server.address() as AddressInfo;
    const from = (localAddress: string) => follow(connectPlain({ port, host: "127.0.0.1", localAddress }));
    for (let round = 0; round < 3; round += 1) {
      const other = from("127.0.0.2");
      other.socket.write(get());
      expect(await other.ended).toBe("");
    }
    const proxy = from("127.0.0.1");
    proxy.socket.write(get("connection: close\r\n"));
    expect(await proxy.ended).toContain('"status":"ok"');
    expect(site.logged.filter((line) => line.includes("127.0.0.2"))).toHaveLength(1);
  });
});
