import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Alert } from "../../core/alert-events.ts";
import { isSiteName, type SiteName } from "../../core/ids.ts";
import { DeliveryError } from "./alert-channel.ts";
import { WebhookChannel } from "./webhook-channel.ts";

function siteName(name: string): SiteName {
  if (!isSiteName(name)) throw new Error("no site's name");
  return name;
}

const alert: Alert = {
  id: 7,
  event: "replication_failed",
  severity: "critical",
  message: "Backup unreachable after retries",
  details: { backup: "zurich", count: 3 },
  at: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  incident: "incident-1",
  endedAt: null,
};

const never = new AbortController().signal;
const secretPath = "/hooks/T0SECRET?key=K0SECRET";
let owned: { close: () => Promise<void> }[] = [];
beforeEach(() => {
  owned = [];
});
afterEach(async () => {
  for (const one of owned) await one.close();
});

async function listen(server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  };
  owned.push({ close });
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  return listen(createServer(answer));
}

function channelTo(origin: string, timeoutMs = 10_000): WebhookChannel {
  const channel = new WebhookChannel({ url: origin + secretPath, site: siteName("calgary"), timeoutMs });
  owned.unshift(channel);
  return channel;
}

async function failureOf(channel: WebhookChannel, signal = never): Promise<string> {
  const error: unknown = await channel.deliver(alert, signal).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DeliveryError);
  const message = error instanceof Error ? error.message : "";
  expect(message).not.toMatch(/SECRET/);
  return message;
}

test("an alert arrives as the JSON that receivers are promised", async () => {
  const received: unknown[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method, url, headers } = request;
    received.push({ method, url, type: headers["content-type"], body: JSON.parse(await text(request)) });
    response.writeHead(204).end();
  };
  const origin = await serve((request, response) => void take(request, response));
  await channelTo(origin).deliver(alert, never);
  expect(received).toEqual([
    {
      method: "POST",
      url: secretPath,
      type: "application/json",
      body: {
        event: "replication_failed",
        site: "calgary",
        severity: "critical",
        message: "Backup unreachable after retries",
        details: { backup: "zurich", count: 3 },
        at: "2026-01-02T03:04:05.006Z",
        incident: "incident-1",
      },
    },
  ]);
});

test("where a channel leads is named without its path and query", () => {
  expect(channelTo("https://hooks.example").target).toBe("https://hooks.example");
});

test.each([200, 201, 202, 204, 299])("an answer of %i means taken", async (status) => {
  const origin = await serve((_, response) => void response.writeHead(status).end());
  await channelTo(origin).deliver(alert, never);
});

test.each([400, 401, 404, 429, 500, 503])("an answer of %i means not taken", async (status) => {
  const origin = await serve((_, response) => void response.writeHead(status).end("no"));
  expect(await failureOf(channelTo(origin))).toBe(`it answered ${status}`);
});

test.each([301, 302, 303, 307, 308])(
  "a redirect (%i) is not followed and means not taken",
  async (status) => {
    const asked: (string | undefined)[] = [];
    const origin = await serve((request, response) => {
      asked.push(request.url);
      response.writeHead(status, { location: "/elsewhere" }).end();
    });
    expect(await failureOf(channelTo(origin))).toBe(`it answered ${status}; redirects are not followed`);
    expect(asked).toEqual([secretPath]);
  },
);

test("a server that is down means not taken", async () => {
  const server = createTcpServer();
  const origin = await listen(server);
  server.close();
  await once(server, "close");
  owned = [];
  expect(await failureOf(channelTo(origin))).toBe("it cannot be reached (ECONNREFUSED)");
});

test("an answer that is not HTTP means not taken", async () => {
  const origin = await listen(
    createTcpServer((socket) => void socket.once("data", () => socket.end("SSH-2.0-x\r\n\r\n"))),
  );
  expect(await failureOf(channelTo(origin))).toBe("its answer is not HTTP");
});

test("a connection that is cut means not taken", async () => {
  const origin = await listen(createTcpServer((socket) => void socket.once("data", () => socket.destroy())));
  expect(await failureOf(channelTo(origin))).toMatch(/^it cannot be reached/);
});

test("a server that never answers means not taken after the time-out", async () => {
  const origin = await serve(() => undefined);
  expect(await failureOf(channelTo(origin, 50))).toBe("it did not answer within 50 ms");
});

test("a server that is slow with each byte of its header does not hold the delivery longer than the time-out", async () => {
  const origin = await listen(
    createTcpServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nserver: ");
      const drip = setInterval(() => socket.write("x"), 10);
      socket.on("close", () => clearInterval(drip));
    }),
  );
  expect(await failureOf(channelTo(origin, 100))).toBe("it did not answer within 100 ms");
});

test("a 200 counts even when the rest of the answer never comes, or never ends", async () => {
  const silent = await serve(
    (_, response) => void response.writeHead(200, { "content-length": "10" }).write("x"),
  );
  await channelTo(silent, 50).deliver(alert, never);
  const endless = await serve((_, response) => {
    response.writeHead(200);
    const flood = setInterval(() => response.write("x".repeat(10_000)), 1);
    response.on("close", () => clearInterval(flood));
  });
  await channelTo(endless).deliver(alert, never);
});

test("stopping cuts an attempt at once", async () => {
  const stop = new AbortController();
  const origin = await serve(() => stop.abort());
  expect(await failureOf(channelTo(origin), stop.signal)).toBe("the site is stopping");
});
