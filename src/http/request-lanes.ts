import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
type Waiting = { readonly request: IncomingMessage; readonly response: ServerResponse };

/** How many requests a client may send on one connection before it has their answers. Clients that do so at all send a handful. */
const aheadMax = 16;

/**
 * Works on one request of a connection at a time: the next begins when the answer before it has left this process. A client
 * that pipelines requests (RFC 9112, section 9.3.2) and reads no answer then holds one answer in memory, not hundreds.
 * While requests wait, the server reads nothing more from their connection; it cuts off a connection with more than `aheadMax`
 * waiting requests. Call this after every other listener for requests has been added: it puts itself before them.
 */
export function workInLanes(server: Server): void {
  const handlers = server.listeners("request") as Handler[];
  const lanes = new WeakMap<Socket, Lane>();
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    const { socket } = request;
    // Node still parses the rest of the bytes that it has read, which may be a thousand requests.
    if (socket.destroyed) return;
    const lane = lanes.get(socket) ?? new Lane(socket, handlers);
    lanes.set(socket, lane);
    lane.take({ request, response });
  });
}

class Lane {
  readonly #socket: Socket;
  readonly #handlers: readonly Handler[];
  readonly #waiting: Waiting[] = [];
  #isBusy = false;

  constructor(socket: Socket, handlers: readonly Handler[]) {
    this.#socket = socket;
    this.#handlers = handlers;
  }

  take(next: Waiting): void {
    if (!this.#isBusy) return this.#begin(next);
    if (this.#waiting.length >= aheadMax) return void this.#socket.destroy();
    this.#waiting.push(next);
    this.#socket.pause();
  }

  #begin({ request, response }: Waiting): void {
    this.#isBusy = true;
    response.once("close", () => this.#end());
    for (const handle of this.#handlers) handle(request, response);
  }

  #end(): void {
    this.#isBusy = false;
    if (this.#socket.destroyed) return;
    const next = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#socket.resume();
    if (next) this.#begin(next);
  }
}
