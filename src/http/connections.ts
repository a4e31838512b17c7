import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { ConnectionCaps } from "./connection-caps.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";

export type ConnectionsOptions = ConnectionOptions & {
  /** Whether a connection from an IP address is taken; others are ended before anything of them is read. */
  readonly accepts?: (address: string) => boolean;
  readonly caps: ConnectionCaps;
  /** Whether an IP address speaks for many. */
  readonly isProxy?: (address: string) => boolean;
  /** Called when the last connection has closed. */
  readonly onAlone?: () => void;
  /** Called with the address of a connection that there was no room for. */
  readonly onFull?: (address: string) => void;
};

export type Connections = {
  /** Closes what is idle now, cuts off unfinished requests soon, and closes each other connection after its answer. */
  close(): void;
};

/** How many bytes of answers all clients together may leave unread. Beyond it, the server cuts off those that are slowest. */
const unreadBytesMax = 64 * 1024 * 1024;

const full =
  "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/**
 * Watches the connections of a server: how many there are, how long each takes to send or to read, and how many bytes of answers
 * are unread. At a cap, the server closes the connection that has been idle longest to take a new one, so that a client that holds
 * connections open keeps neither other clients nor pushes out. Node has a checker for slow clients that wakes every 30 s for as long
 * as the process lives; here a timer runs only while a connection is open and its other end owes something.
 */
export function watchConnections(server: Server, options: ConnectionsOptions): Connections {
  const watched = new Watched(options);
  /** Plain connections whose handshake is not over, by their peer's end: the secured socket is another object. */
  const handshakes = new Map<string, Socket>();
  let isClosing = false;
  const begin = (socket: Socket) => {
    if (isClosing || options.accepts?.(socket.remoteAddress ?? "") === false) return void socket.destroy();
    if (!watched.makeRoom(socket, handshakes.size)) return refuse(socket, isTls(server));
    if (!isTls(server)) return watched.add(socket);
    const end = peerEnd(socket);
    handshakes.set(end, socket);
    socket.once("close", () => handshakes.delete(end));
  };
  const secured = (socket: Socket) => {
    if (isClosing) return void socket.destroy();
    handshakes.delete(peerEnd(socket));
    watched.add(socket);
  };
  // With TLS the plain connection comes first; Node gives its handshake a time-out.
  server.on("connection", begin);
  if (isTls(server)) server.on("secureConnection", secured);
  // An answer in HTTP would wait for the end of the very handshake that did not come about.
  if (isTls(server)) server.on("tlsClientError", (_, socket) => void socket.destroy());
  server.on("request", (request, response) => watched.begin(request, response));
  return {
    close: () => {
      isClosing = true;
      for (const socket of handshakes.values()) socket.destroy();
      watched.close();
    },
  };
}

class Watched {
  readonly #options: ConnectionsOptions;
  /** In the order in which they were last used: what has been idle longest comes first. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #perAddress = new Map<string, number>();
  #isClosing = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Whether one more connection may be taken. Closes an idle one where that makes the room. */
  makeRoom(socket: Socket, inHandshake: number): boolean {
    const { caps, isProxy, onFull } = this.#options;
    const address = socket.remoteAddress ?? "";
    const isFull = this.#connections.size + inHandshake >= caps.total;
    const held = isProxy?.(address) === true ? 0 : (this.#perAddress.get(address) ?? 0);
    if (!isFull && held < caps.perAddress) return true;
    const idle = [...this.#connections.values()].find(
      (connection) => connection.isIdle && (held < caps.perAddress || connection.address === address),
    );
    if (!idle) onFull?.(address);
    else idle.end();
    return idle !== undefined;
  }

  add(socket: Socket): void {
    const connection = new Connection(socket, this.#options);
    const { address } = connection;
    this.#connections.set(socket, connection);
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    quieten(socket);
    socket.once("close", () => {
      connection.stop();
      this.#connections.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
      if (this.#connections.size === 0 && !this.#isClosing) this.#options.onAlone?.();
    });
  }

  begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    if (!connection) return;
    this.#connections.delete(socket);
    this.#connections.set(socket, connection);
    connection.begin(request, response);
    response.once("prefinish", () => this.#boundUnread());
  }

  close(): void {
    this.#isClosing = true;
    for (const connection of this.#connections.values()) connection.close();
  }

  /** Cuts off the clients that have left answers unread for longest, until the unread bytes are within `unreadBytesMax`. */
  #boundUnread(): void {
    const owing = [...this.#connections.keys()].filter(({ writableLength }) => writableLength > 0);
    let unread = owing.reduce((bytes, { writableLength }) => bytes + writableLength, 0);
    for (const socket of owing) {
      if (unread <= unreadBytesMax) return;
      unread -= socket.writableLength;
      socket.destroy();
    }
  }
}

/**
 * When a connection closes, Node makes an error with a stack for each request that it read and did not answer. After an attack of a
 * hundred connections with a thousand requests each, that is a second of work for stacks that nobody reads; so none is made.
 */
function quieten(socket: Socket): void {
  let limit = Error.stackTraceLimit;
  socket.prependOnceListener("close", () => {
    limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
  });
  socket.once("close", () => {
    Error.stackTraceLimit = limit;
  });
}

function refuse(socket: Socket, isTls: boolean): void {
  if (isTls) return void socket.destroy();
  socket.on("error", () => undefined);
  // Nothing of what it has sent is read.
  socket.pause();
  socket.end(full, () => socket.destroy());
}

function peerEnd({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function isTls(server: Server | TlsServer): server is TlsServer {
  return "setSecureContext" in server;
}
