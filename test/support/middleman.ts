import { once } from "node:events";
import { createServer, request as requestHttp, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** One message on its way, as somebody in the middle sees it: each byte is one character. */
export type Message = { readonly path: string; readonly body: string };

type Reply = string | undefined;

export type Meddling = {
  /** What goes on of a request, once that is settled. */
  readonly request?: (message: Message) => string | Promise<string>;
  /** What goes back of an answer, once that is settled; undefined cuts the connection instead. */
  readonly answer?: (message: Message & { readonly sent: string }) => Reply | Promise<Reply>;
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
    const sent = (await this.meddling.request?.({ path, body })) ?? body;
    const headers = { ...request.headers, "content-length": sent.length };
    const onward = requestHttp(`${this.target}${path}`, { method: request.method, headers, agent: false });
    onward.end(sent, "latin1");
    const [answer] = (await once(onward, "response")) as [typeof request];
    const answered = await textOf(answer);
    this.seen.push(answered);
    const back = this.meddling.answer ? await this.meddling.answer({ path, body: answered, sent }) : answered;
    if (back === undefined) return void response.destroy();
    response.writeHead(answer.statusCode ?? 502, {
      ...answer.headers,
      "content-length": back.length,
      connection: "close",
    });
    response.end(back, "latin1");
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
