import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Refusal } from "../core/errors.ts";
import { SiteClient } from "./site-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function startServer(listener: RequestListener): Promise<Server> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

async function clientOf(listener: RequestListener, prefix = "", silenceMs?: number): Promise<SiteClient> {
  const { port } = (await startServer(listener)).address() as AddressInfo;
  const client = new SiteClient(new URL(`http://127.0.0.1:${port}${prefix}`), "dmo_secret", {
    ...(silenceMs !== undefined && { silenceMs }),
  });
  closers.push(() => client.close());
  return client;
}

async function refusalOf(client: SiteClient, body?: string): Promise<Refusal> {
  const call = body === undefined ? { method: "GET", path: "/x" } : { method: "POST", path: "/x", body };
  const error = await client.call(call as never).catch((thrown: unknown) => thrown);
  if (!(error instanceof Refusal)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

function problem(status: number, body: object, headers: Record<string, string> = {}): RequestListener {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/problem+json", ...headers });
    response.end(JSON.stringify(body));
  };
}

describe("a call to a site", () => {
  it("carries token and body, below the path of the address, and gives the answer with its ETag", async () => {
    let seen: IncomingMessage | undefined;
    const client = await clientOf((request, response) => {
      seen = request;
      response.setHeader("etag", '"1:7"');
      request.pipe(response.writeHead(201));
    }, "/dormouse/");
    const answer = await client.call({ method: "POST", path: "/api/vaults?a=1", body: `{"name":"ü"}` });
    expect(answer).toEqual({ status: 201, etag: '"1:7"', body: { name: "ü" } });
    expect(seen?.url).toBe("/dormouse/api/vaults?a=1");
    expect(seen?.headers).toMatchObject({
      authorization: "Bearer dmo_secret",
      "content-type": "application/json",
      "content-length": "13",
    });
  });

  it("tells of the position that an answer names, also where it refuses", async () => {
    const seen: string[] = [];
    const server = await startServer((_request, response) => {
      response.setHeader("dormouse-position", "1:52");
      problem(seen.length === 0 ? 200 : 404, { code: "entry_unknown" })(_request, response);
    });
    const { port } = server.address() as AddressInfo;
    const options = { onPosition: (position: string) => void seen.push(position) };
    const client = new SiteClient(new URL(`http://127.0.0.1:${port}`), undefined, options);
    closers.push(() => client.close());
    await client.call({ method: "GET", path: "/x" });
    expect((await refusalOf(client)).code).toBe("entry_unknown");
    expect(seen).toEqual(["1:52", "1:52"]);
  });

  it("gives an empty answer as one without members", async () => {
    const client = await clientOf((_request, response) => response.writeHead(204).end());
    expect((await client.call({ method: "DELETE", path: "/x" })).body).toEqual({});
  });

  it("fails with the site's own code, detail and mistakes", async () => {
    const errors = [{ path: "title", message: "is missing" }];
    const client = await clientOf(
      problem(400, { code: "invalid_request", detail: "It has mistakes.", errors }),
    );
    expect(await refusalOf(client)).toMatchObject({
      code: "invalid_request",
      message: "It has mistakes.",
      mistakes: errors,
    });
  });

  it("says where to write instead when the site is a backup", async () => {
    const headers = { "x-primary-location": "http://calgary.example" };
    const client = await clientOf(problem(503, { code: "read_only_backup", detail: "A backup." }, headers));
    expect(await refusalOf(client)).toMatchObject({
      code: "read_only_backup",
      remedy: "write to http://calgary.example",
    });
  });

  it("names a code that only a newer site knows", async () => {
    const client = await clientOf(problem(409, { code: "brand_new", detail: "New." }));
    expect(await refusalOf(client)).toMatchObject({ code: "internal", message: "brand_new: New." });
  });

  it("takes an early answer to a body that the site does not read", async () => {
    const client = await clientOf((_request, response) => {
      response.writeHead(503, { connection: "close" });
      response.end(JSON.stringify({ code: "read_only_backup", detail: "A backup." }));
    });
    expect((await refusalOf(client, " ".repeat(16 * 1024 * 1024))).code).toMatch(
      /read_only_backup|unreachable/,
    );
  });

  it("follows no redirect: the token is for this site alone", async () => {
    let others = 0;
    const { port } = (await startServer(() => (others += 1))).address() as AddressInfo;
    const client = await clientOf((_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${port}/` }).end("{}");
    });
    expect(await refusalOf(client)).toMatchObject({
      code: "unreachable",
      message: expect.stringMatching(/redirect \(307\)/),
    });
    expect(others).toBe(0);
  });

  it.each<[string, RequestListener]>([
    ["a page of something else", (_request, response) => response.end("<html>It works!</html>")],
    ["JSON that is no object", (_request, response) => response.end("[1]")],
    ["an error without a code", (_request, response) => response.writeHead(502).end("{}")],
    [
      "half of an answer",
      (_request, response) =>
        response.writeHead(200, { "content-length": "9" }).write("{", () => response.destroy()),
    ],
    ["nothing and hangs up", (request) => request.socket.destroy()],
  ])("is unreachable where the other side answers %s", async (_name, listener) => {
    expect((await refusalOf(await clientOf(listener))).code).toBe("unreachable");
  });

  it("is unreachable where no HTTP is spoken", async () => {
    const server = createTcpServer((socket) => socket.resume().end("SSH-2.0-x\r\n"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const client = new SiteClient(new URL(`http://127.0.0.1:${port}`), undefined);
    expect((await refusalOf(client)).code).toBe("unreachable");
    client.close();
  });

  it("is unreachable after a silence", async () => {
    const client = await clientOf(() => {}, "", 50);
    expect(await refusalOf(client)).toMatchObject({
      code: "unreachable",
      message: /no answer within 0.05 s/,
    });
  });

  it("is unreachable, in words, where nobody listens", async () => {
    const server = await startServer(() => {});
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    const refusal = await refusalOf(new SiteClient(new URL(`http://127.0.0.1:${port}`), undefined));
    expect(refusal.message).toBe(`http://127.0.0.1:${port}: nothing listens there`);
  });
});
