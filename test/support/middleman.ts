import { once } from "node:events";
import { createServer, request as requestHttp, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** One message on its way, as somebody in the middle sees it. */
export type Message = { readonly path: string; readonly body: string };

export type Meddling = {
  /** What goes on of a request. */
  readonly request?: (message: Message) => string;
  /** What goes back of an answer; undefined cuts the connection instead. */
  readonly answer?: (message: Message) => string | undefined;
};

/** Somebody between two sites who sees every message, and changes or drops what a test says. */
export class Middleman implements AsyncDisposable {
  readonly seen: string[] = [];
  meddling: Meddling = {};
  /** Where messages go on to; may be set later than the port is known. */
  target = "";
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(): Promise<Middleman> {
    const server = createServer();
    const middleman = new Middleman(server);
    server.on("request", (request, response) => {
      void middleman.#pass(request, response).catch(() => response.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return middleman;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #pass(
    request: Parameters<Parameters<typeof createServer>[1] & object>[0],
    response: Parameters<Parameters<typeof createServer>[1] & object>[1],
  ): Promise<void> {
    const path = request.url ?? "/";
    const body = await textOf(request);
    this.seen.push(body, JSON.stringify(request.headers));
    const sent = this.meddling.request?.({ path, body }) ?? body;
    const headers = { ...request.headers, "content-length": Buffer.byteLength(sent) };
    const onward = requestHttp(`${this.target}${path}`, { method: request.method, headers, agent: false });
    onward.end(sent);
    const [answer] = (await once(onward, "response")) as [typeof request];
    const answered = await textOf(answer);
    this.seen.push(answered);
    const back = this.meddling.answer ? this.meddling.answer({ path, body: answered }) : answered;
    if (back === undefined) return void response.destroy();
    response.writeHead(answer.statusCode ?? 502, {
      ...answer.headers,
      "content-length": Buffer.byteLength(back),
      connection: "close",
    });
    response.end(back);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

async function textOf(message: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}
