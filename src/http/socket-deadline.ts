import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import { importBytesMax } from "../protocol/limits.ts";

export type SocketDeadlineOptions = {
  /** How long a peer may owe us the rest of its headers or of its body. */
  readonly deadlineMs: number;
  /** What Node allows an idle connection, which closes it sooner than we do. */
  readonly keepAliveMs: number;
  /** Whether a connection from an IP address is taken; others are ended before anything of them is read. */
  readonly accepts?: (address: string) => boolean;
};

export type SocketDeadlines = {
  /** Closes what is idle now, cuts off unfinished requests soon, and closes each other connection after its answer. */
  close(): void;
};

/**
 * The longest single timer. Node does not take a timer that was cleared out of its event loop: the loop wakes once more when
 * it would have fired. In steps, a process falls asleep this long after its last connection at the latest.
 */
const stepMsMax = 5_000;
/** A large body on a slow line is no attack: beside the deadline it gets this rate, by its announced length. */
const bodyBytesPerMsMin = 64;
/** What the rest of a body gets when the server closes. */
const closingMs = 1_000;

/**
 * Cuts off peers that owe us bytes for too long. Node would do so by a checker that wakes every 30 s for as long as the
 * process lives; here a timer runs only while a connection is open and its peer owes something.
 */
export function enforceSocketDeadlines(server: Server, options: SocketDeadlineOptions): SocketDeadlines {
  const sockets = new Map<Socket, WatchedSocket>();
  /** Plain connections whose handshake is not over, by their peer's end: the secured socket is another object. */
  const handshakes = new Map<string, Socket>();
  let isClosing = false;
  const begin = (socket: Socket) => {
    if (isClosing || options.accepts?.(socket.remoteAddress ?? "") === false) return void socket.destroy();
    if (!isTls(server)) return watch(socket);
    const end = peerEnd(socket);
    handshakes.set(end, socket);
    socket.once("close", () => handshakes.delete(end));
  };
  const watch = (socket: Socket) => {
    if (isClosing) return void socket.destroy();
    handshakes.delete(peerEnd(socket));
    const watched = new WatchedSocket(socket, options);
    sockets.set(socket, watched);
    socket.once("close", () => {
      watched.stop();
      sockets.delete(socket);
    });
  };
  // With TLS the plain connection comes first; Node gives its handshake a time-out.
  server.on("connection", begin);
  if (isTls(server)) server.on("secureConnection", watch);
  // An answer in HTTP would wait for the end of the very handshake that did not come about.
  if (isTls(server)) server.on("tlsClientError", (_, socket) => void socket.destroy());
  server.on("request", (request, response) => sockets.get(request.socket)?.begin(request, response));
  return {
    close: () => {
      isClosing = true;
      for (const socket of handshakes.values()) socket.destroy();
      for (const watched of sockets.values()) watched.close();
    },
  };
}

function peerEnd({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function isTls(server: Server | TlsServer): server is TlsServer {
  return "setSecureContext" in server;
}

class WatchedSocket {
  readonly #socket: Socket;
  readonly #options: SocketDeadlineOptions;
  /** Those whose answer is not out yet. */
  readonly #requests = new Set<IncomingMessage>();
  #isClosing = false;
  /** When the peer's debt falls due, where it has one; monotonic ms. */
  #dueAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: SocketDeadlineOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#owe(options.deadlineMs);
  }

  /** A request's headers are here. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.#requests.add(request);
    const length = Math.min(Number(request.headers["content-length"] ?? 0), importBytesMax);
    this.#owe(this.#isClosing ? closingMs : this.#options.deadlineMs + length / bodyBytesPerMsMin);
    response.once("close", () => {
      this.#requests.delete(request);
      if (this.#requests.size > 0) return;
      if (this.#isClosing) this.#socket.destroySoon();
      else this.#owe(this.#options.keepAliveMs + this.#options.deadlineMs);
    });
  }

  close(): void {
    this.#isClosing = true;
    if (this.#requests.size === 0) this.#socket.destroy();
    else this.#owe(closingMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Headers are owed where no request is here, bodies where one is not complete; else it is for us to answer. */
  #isOwing(): boolean {
    return this.#requests.size === 0 || [...this.#requests].some((request) => !request.complete);
  }

  #owe(ms: number): void {
    if (this.#socket.destroyed) return;
    this.#dueAt = performance.now() + ms;
    if (this.#timer !== undefined && !this.#isClosing) return;
    clearTimeout(this.#timer);
    this.#wait(ms);
  }

  /** One timer for all of a busy connection's requests: it looks at what is owed when it fires, and stops by itself. */
  #wait(ms: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.min(ms, stepMsMax));
  }

  #look(): void {
    this.#timer = undefined;
    if (!this.#isOwing()) return;
    const restMs = this.#dueAt - performance.now();
    if (restMs > 0) this.#wait(restMs);
    else this.#socket.destroy();
  }
}
