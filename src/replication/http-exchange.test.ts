import { createServer as createHttpServer, type RequestListener, type Server } from "node:http";
import { createServer } from "node:https";
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { zstdDecompressSync } from "node:zlib";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  fingerprintOf,
  type Identity,
  inDays,
  makeAuthority,
  makeIdentity,
} from "../../test/support/certificates.ts";
import { openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import { systemClock } from "../app/system-ports.ts";
import type { SiteName } from "../core/ids.ts";
import type { PeerTls } from "../core/peer-tls.ts";
import { nameTlsFault } from "../crypto/peer-tls.ts";
import { httpExchange } from "./http-exchange.ts";
import type { Reply } from "./transport.ts";

const timeoutMs = 900;
const authority = await makeAuthority("the pair's authority");
const stranger = await makeAuthority("another authority");
const zurich = await makeIdentity("zurich", { ca: authority });
const lonely = await makeIdentity("lonely");

let close: () => Promise<unknown> = async () => undefined;
afterEach(() => close());

async function listen(server: Server | TcpServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const before = close;
  close = async () => {
    await before();
    close = async () => undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  };
  return (server.address() as AddressInfo).port;
}

/** A peer that takes everything and counts it. */
async function peer(identity: Identity, options: TlsOptions = {}) {
  const seen = { requests: 0, resumed: 0, client: undefined as string | undefined };
  const server = createServer({ ...identity, ...options }, (request, reply) => {
    seen.requests += 1;
    const socket = request.socket as TLSSocket;
    if (socket.isSessionReused()) seen.resumed += 1;
    seen.client = socket.getPeerX509Certificate()?.fingerprint256;
    reply.end("{}");
  });
  return { port: await listen(server), seen, server };
}

const demands = (tls: Partial<PeerTls>): PeerTls => ({
  ca: null,
  fingerprint: null,
  cert: null,
  key: null,
  ...tls,
});

/** The reply, or the words that stand in last_error. */
async function post(url: string, tls?: Partial<PeerTls>): Promise<Reply | string> {
  const exchange = httpExchange({
    url,
    credential: "secret",
    timeoutMs,
    clock: systemClock,
    ...(tls && { tls: demands(tls) }),
  });
  try {
    return (await exchange.post("/api/replication/hello", "{}", new AbortController().signal)).reply;
  } catch (error) {
    // As the transport tells it: a code, where there is one, goes before the message.
    if (!(error instanceof Error)) throw error;
    return "code" in error ? String(error.code) : error.message;
  } finally {
    await exchange.close();
  }
}

const ok: Reply = { status: 200, body: {} };

describe("a pinned fingerprint", () => {
  test("takes exactly that certificate, whoever signed it and whatever host it is for", async () => {
    const elsewhere = await makeIdentity("elsewhere", { hosts: ["elsewhere.example"] });
    const { port } = await peer(elsewhere);
    expect(await post(`https://127.0.0.1:${port}`, { fingerprint: fingerprintOf(elsewhere) })).toEqual(ok);
  });

  test("refuses every other certificate by name, before a single byte of a request is sent", async () => {
    const received: Buffer[] = [];
    const handshakes: TLSSocket[] = [];
    // Up to TLS 1.2 the server is the first to know that the handshake is over.
    const server = createTlsServer({ ...zurich, maxVersion: "TLSv1.2" }, (socket) => {
      handshakes.push(socket.on("error", () => undefined).on("data", (chunk) => received.push(chunk)));
    });
    const port = await listen(server);
    const pins = [fingerprintOf(lonely), fingerprintOf(authority), "0".repeat(64)];
    for (const fingerprint of pins) {
      for (const ca of [null, authority.cert]) {
        expect(await post(`https://127.0.0.1:${port}`, { fingerprint, ca })).toBe(
          "the peer's certificate is not the pinned one",
        );
      }
    }
    expect(handshakes).toHaveLength(6);
    expect(received).toEqual([]);
  });

  test("refuses an expired certificate, and one whose time has not come, even if it is the pinned one", async () => {
    const old = await makeIdentity("old", { from: inDays(-30), to: inDays(-1) });
    const early = await makeIdentity("early", { from: inDays(1), to: inDays(30) });
    for (const [identity, words] of [
      [old, /^the peer's certificate expired$/],
      [early, /^the peer's certificate is not valid yet/],
    ] as const) {
      const { port, seen } = await peer(identity);
      const url = `https://127.0.0.1:${port}`;
      expect(await post(url, { fingerprint: fingerprintOf(identity) })).toMatch(words);
      expect(seen.requests).toBe(0);
    }
  });

  test("is looked at on every connection: a resumed session proves nothing of it", async () => {
    const { port, server, seen } = await peer(lonely);
    const exchange = httpExchange({
      url: `https://127.0.0.1:${port}`,
      credential: "secret",
      timeoutMs,
      clock: systemClock,
      tls: demands({ fingerprint: fingerprintOf(lonely) }),
    });
    const { signal } = new AbortController();
    // The first attempt after a cut may still meet the connection that is gone.
    const again = () => exchange.post("/a", "{}", signal).catch(() => exchange.post("/a", "{}", signal));
    expect((await again()).reply).toEqual(ok);
    server.closeAllConnections();
    expect((await again()).reply).toEqual(ok);
    expect(seen).toMatchObject({ requests: 2, resumed: 0 });
    server.setSecureContext(zurich);
    server.closeAllConnections();
    await expect(again()).rejects.toThrow("the peer's certificate is not the pinned one");
    await exchange.close();
  });
});

describe("a certificate authority", () => {
  test("named for the peer is the only one: its certificates are taken, those of others are not", async () => {
    const { port } = await peer(zurich);
    expect(await post(`https://127.0.0.1:${port}`, { ca: authority.cert })).toEqual(ok);
    expect(await post(`https://127.0.0.1:${port}`, { ca: stranger.cert })).toMatch(/of no authority/);
    const both = { ca: authority.cert, fingerprint: fingerprintOf(zurich) };
    expect(await post(`https://127.0.0.1:${port}`, both)).toEqual(ok);
    expect(await post(`https://127.0.0.1:${port}`, { ...both, ca: stranger.cert })).toMatch(
      /of no authority/,
    );
  });

  test.each([
    ["expired", { from: inDays(-30), to: inDays(-1) }, "the peer's certificate expired"],
    ["for another host", { hosts: ["oslo.example"] }, "the peer's certificate is for another host"],
  ])("does not help a certificate that is %s", async (_, options, words) => {
    const { port, seen } = await peer(await makeIdentity("zurich", { ca: authority, ...options }));
    expect(await post(`https://127.0.0.1:${port}`, { ca: authority.cert })).toBe(words);
    expect(seen.requests).toBe(0);
  });

  test("that nobody trusts is refused by name, where nothing is pinned", async () => {
    const { port, seen } = await peer(lonely);
    const words = "the peer's certificate is of no authority that is trusted here";
    expect(await post(`https://127.0.0.1:${port}`)).toBe(words);
    expect(seen.requests).toBe(0);
  });
});

describe("a peer that asks for a certificate", () => {
  const asking = { ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  const calgary = makeIdentity("calgary", { ca: authority });

  test("is shown the configured one", async () => {
    const { port, seen } = await peer(zurich, asking);
    expect(await post(`https://127.0.0.1:${port}`, { ca: authority.cert, ...(await calgary) })).toEqual(ok);
    expect(seen.client?.replaceAll(":", "").toLowerCase()).toBe(fingerprintOf(await calgary));
  });

  test("and hangs up on a caller without a right one is not asked for anything", async () => {
    const { port, seen } = await peer(zurich, asking);
    const url = `https://127.0.0.1:${port}`;
    expect(await post(url, { ca: authority.cert })).toEqual(expect.any(String));
    expect(await post(url, { ca: authority.cert, ...lonely })).toEqual(expect.any(String));
    expect(seen.requests).toBe(0);
  });

  test.each([
    [
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      "the peer asks for a client certificate, and was shown none",
    ],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "the peer refuses this site's client certificate"],
    ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "the peer refuses this site's client certificate"],
  ])("and says so by the alert %s is named", (code, words) => {
    const error = Object.assign(new Error("10.0.0.2:443 said so"), { code });
    expect(nameTlsFault(error).message).toBe(words);
  });

  test("and is a Dormouse says why, which is told apart from a credential that is not taken", async () => {
    const edition = new ScriptedEdition([
      {
        method: "POST",
        path: "/api/replication/hello",
        caller: "peer",
        bodyBytesMax: 1_000,
        handle: async () => ({ status: 200, body: {} }),
      },
    ]);
    const site = await openHttpSite({ edition, tls: { ...zurich, clientCa: authority.cert } });
    close = () => site.close();
    const url = await site.app.listen({ host: "127.0.0.1", port: 0 });
    const old = await makeIdentity("old", { ca: authority, from: inDays(-30), to: inDays(-1) });
    const ca = authority.cert;
    expect(await post(url, { ca })).toBe("the peer asks for a client certificate, and was shown none");
    expect(await post(url, { ca, ...old })).toMatch(/client certificate: it expired$/);
    expect(await post(url, { ca, ...lonely })).toMatch(/client certificate: it is not of the authority/);
    // The certificate passes, the credential does not.
    expect(await post(url, { ca, ...(await calgary) })).toMatchObject({ status: 401 });
    edition.peers.set("secret", "calgary" as SiteName);
    expect(await post(url, { ca, ...(await calgary) })).toEqual(ok);
    expect(await post(url, { ca })).toBe("the peer asks for a client certificate, and was shown none");
  });
});

describe("what does not come to a handshake", () => {
  test("a peer that speaks plain HTTP is named, and is not asked", async () => {
    let requests = 0;
    const port = await listen(createHttpServer(() => void (requests += 1)));
    expect(await post(`https://127.0.0.1:${port}`)).toBe("the peer does not speak TLS");
    expect(requests).toBe(0);
  });

  test("a peer that says nothing is given up in time", async () => {
    const port = await listen(createTcpServer());
    const beganMs = performance.now();
    expect(await post(`https://127.0.0.1:${port}`)).toMatch(/TIME/);
    expect(performance.now() - beganMs).toBeLessThan(timeoutMs + 1_500);
  });
});

describe("a redirect", () => {
  test.each([301, 302, 303, 307, 308])(
    "of status %i is an answer like any other: nobody else is asked",
    async (status) => {
      const asked: string[] = [];
      const note =
        (who: string): RequestListener =>
        (request, reply) => {
          asked.push(`${who} ${request.method} ${request.url} ${request.headers.authorization}`);
          const location = who === "elsewhere" ? undefined : `${elsewhere}/api/replication/hello`;
          reply.writeHead(location === undefined ? 200 : status, location ? { location } : {}).end("{}");
        };
      const elsewhere = `http://127.0.0.1:${await listen(createHttpServer(note("elsewhere")))}`;
      const port = await listen(createServer(zurich, note("peer")));
      expect(await post(`https://127.0.0.1:${port}`, { ca: authority.cert })).toMatchObject({ status });
      expect(asked).toEqual(["peer POST /api/replication/hello Bearer secret"]);
    },
  );
});

describe("a text", () => {
  /** A peer that keeps what it is sent. */
  async function reader() {
    const seen: { encoding: string | undefined; text: string }[] = [];
    const port = await listen(
      createHttpServer((request, reply) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          const encoding = request.headers["content-encoding"];
          const body = Buffer.concat(chunks);
          seen.push({ encoding, text: (encoding === "zstd" ? zstdDecompressSync(body) : body).toString() });
          reply.end("{}");
        });
      }),
    );
    const turn = vi.fn(() => systemClock.turn());
    const exchange = httpExchange({
      url: `http://127.0.0.1:${port}`,
      credential: () => ["first", "second"],
      timeoutMs,
      clock: { ...systemClock, turn },
    });
    return { seen, turn, exchange };
  }

  function* slices(...texts: readonly string[]): Generator<Uint8Array, void, void> {
    for (const text of texts) yield Buffer.from(text);
  }

  const large = JSON.stringify("é".repeat(300_000));
  const never = new AbortController().signal;

  test("in slices arrives whole, and others run between the making of two; one slice waits for no turn", async () => {
    const { seen, turn, exchange } = await reader();
    await exchange.post("/a", slices("[1,", "2,", "3]"), never);
    expect(turn).toHaveBeenCalledTimes(2);
    await exchange.post("/a", slices("[4]"), never);
    await exchange.post("/a", "[5]", never);
    expect(turn).toHaveBeenCalledTimes(2);
    expect(seen.map(({ text }) => text)).toEqual(["[1,2,3]", "[4]", "[5]"]);
    await exchange.close();
  });

  test("that is long is compressed, and arrives as it was", async () => {
    const { seen, exchange } = await reader();
    const medium = JSON.stringify("x".repeat(20_000));
    for (const text of [large, medium]) await exchange.post("/a", text, never);
    expect(seen).toEqual([large, medium].map((text) => ({ encoding: "zstd", text })));
    await exchange.close();
  });

  test("that is given up while it is compressed is not sent", async () => {
    const { seen, exchange } = await reader();
    const abort = new AbortController();
    const posted = exchange.post("/a", large, abort.signal);
    // What a thread does is not there before the event loop has turned.
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
    abort.abort(new Error("no longer wanted"));
    await expect(posted).rejects.toThrow("no longer wanted");
    await exchange.close();
    expect(seen).toEqual([]);
  });
});
