import { createServer, type RequestListener, type Server } from "node:http";
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { zstdDecompressSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../src/app/system-ports.ts";
import type { RealmId, SiteName } from "../../src/core/ids.ts";
import type { PushAnswer } from "../../src/core/ports.ts";
import { origin } from "../../src/core/position.ts";
import type { Push } from "../../src/core/push.ts";
import { httpTransport } from "../../src/editions/commercial.ts";

/** Whatever a peer does on a real socket, a push ends, within its time, as a failed attempt or as what the peer said. */

const timeoutMs = 400;
const push: Push = {
  protocol: 1,
  realm: "00000000-0000-4000-8000-000000000000" as RealmId,
  site: "calgary" as SiteName,
  publicUrl: "https://calgary.example",
  epoch: { number: 1, id: "00000000-0000-4000-8000-000000000001" },
  timeline: [],
  after: origin,
  through: origin,
  points: [],
  digest: null,
  except: [],
  rows: [],
};

let close: () => Promise<void> = async () => undefined;

afterEach(() => close());

async function listen(server: Server | TcpServer): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function pushTo(
  url: string,
  changes: Partial<Push> = {},
): Promise<PushAnswer & { readonly tookMs: number }> {
  const { transport, close: closeTransport } = httpTransport({
    url,
    credential: "secret",
    timeoutMs,
    clock: systemClock,
  });
  const beganMs = performance.now();
  try {
    const { answer } = await transport.push({ ...push, ...changes }, new AbortController().signal);
    return { ...answer, tookMs: performance.now() - beganMs };
  } finally {
    await closeTransport();
  }
}

const answering = async (listener: RequestListener): Promise<PushAnswer> =>
  pushTo(await listen(createServer(listener)));

test("an answer that is no JSON, or JSON that is no answer, is a failed attempt", async () => {
  const bodies = ["", "garbage", "[]", "null", '{"site":"zurich"}', '{"applied":"1:99","chain":"zz"}'];
  for (const body of bodies) {
    expect(await answering((_, reply) => reply.end(body))).toMatchObject({ kind: "failed" });
    await close();
  }
});

test("a peer that does not speak HTTP is a failed attempt", async () => {
  const server = createTcpServer((socket) => socket.end("SSH-2.0-nothing of this\r\n"));
  expect(await pushTo(await listen(server))).toMatchObject({ kind: "failed" });
});

test("a peer that never answers is given up after the configured time", async () => {
  const answer = await pushTo(await listen(createTcpServer()));
  expect(answer).toMatchObject({ kind: "failed", error: "ETIMEDOUT" });
  expect(answer.tookMs).toBeGreaterThanOrEqual(timeoutMs - 5);
});

test("a peer that answers in part, and no further, is given up after the same time", async () => {
  const answer = await answering((_, reply) => {
    reply.writeHead(200, { "content-length": "1000" });
    reply.write('{"site":');
  });
  expect(answer).toMatchObject({ kind: "failed" });
});

test("a peer that answers drop by drop is given up after the same time, however long it could go on", async () => {
  let drops: NodeJS.Timeout | undefined;
  const answer = await answering((_, reply) => {
    reply.writeHead(200);
    drops = setInterval(() => reply.write(" "), 20);
  });
  clearInterval(drops);
  expect(answer).toMatchObject({ kind: "failed", error: "ETIMEDOUT" });
});

test("a peer that cuts the connection in its answer is a failed attempt", async () => {
  const answer = await answering((_, reply) => {
    reply.writeHead(200, { "content-length": "1000" });
    reply.write('{"site":', () => reply.destroy());
  });
  expect(answer).toMatchObject({ kind: "failed" });
});

test("an answer without end is cut off, and not kept in memory", async () => {
  const chunk = " ".repeat(256 * 1024);
  let sent = 0;
  const answer = await answering((_, reply) => {
    const more = (): void => {
      sent += chunk.length;
      if (!reply.destroyed && sent < 64 * 1024 * 1024) reply.write(chunk, more);
    };
    more();
  });
  expect(answer).toMatchObject({ kind: "failed" });
  expect(sent).toBeLessThan(32 * 1024 * 1024);
});

test("a redirect is not followed: the credential goes nowhere else", async () => {
  const asked: (string | undefined)[] = [];
  const answer = await answering((request, reply) => {
    asked.push(request.url);
    reply.writeHead(307, { location: "/elsewhere" }).end();
  });
  expect(answer).toMatchObject({ kind: "failed", error: "answered 307" });
  expect(asked).toEqual(["/api/replication/apply"]);
});

test("401 and 413 are what they say, and nobody listening is a failed attempt", async () => {
  expect(await answering((_, reply) => reply.writeHead(401).end())).toMatchObject({ kind: "unauthorized" });
  await close();
  expect(await answering((_, reply) => reply.writeHead(413).end())).toMatchObject({ kind: "too_large" });
  await close();
  const url = await listen(createServer());
  await close();
  close = async () => undefined;
  expect(await pushTo(url)).toMatchObject({ kind: "failed", error: "ECONNREFUSED" });
});

test("a large push is compressed, a small one is not, and both carry the credential", async () => {
  const seen: { encoding: string | undefined; authorization: string | undefined; json: string }[] = [];
  const server = createServer((request, reply) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const encoding = request.headers["content-encoding"];
      const json = (encoding === "zstd" ? zstdDecompressSync(body) : body).toString();
      seen.push({ encoding, authorization: request.headers.authorization, json });
      reply.end("{}");
    });
  });
  const url = await listen(server);
  await pushTo(url);
  await pushTo(url, { publicUrl: `https://${"a".repeat(20_000)}.example` });
  expect(seen.map(({ encoding }) => encoding)).toEqual([undefined, "zstd"]);
  expect(seen.map(({ authorization }) => authorization)).toEqual(["Bearer secret", "Bearer secret"]);
  expect(seen.every(({ json }) => JSON.parse(json).site === "calgary")).toBe(true);
});
