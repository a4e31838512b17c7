import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * The longest single timer. Node does not take a timer that was cleared out of its event loop: the loop wakes once more when
 * it would have fired. In steps, a process falls asleep this long after its last connection at the latest.
 */
const stepMsMax = 5_000;
/** A body that is late must at least have come at this rate, 8 kbit/s: a slow line is no attack, a byte a second is. */
const bodyBytesPerMsMin = 1;
/**
 * A client gets the deadline and the time that an answer takes at this rate, 64 kbit/s, to read it. Node does not tell how much of an
 * answer has left, so progress cannot be measured.
 */
const answerBytesPerMsMin = 8;
/** How long a client may go on sending a body after the server began to close, or after its request was refused. */
const closingMs = 1_000;

export type ConnectionOptions = {
  /** How long the other end may take for the rest of its headers or of its body, or to read an answer. */
  readonly deadlineMs: number;
  /** After how long Node closes an idle connection. This class closes one later, in case Node does not. */
  readonly keepAliveMs: number;
};

/** When the server began to read a body, and how many bytes its connection had carried before. */
type Arriving = { readonly since: number; readonly bytesBefore: number };

/**
 * One connection of a client or a peer. Cuts it off when the other end takes too long to send headers or a body, or to read an
 * answer. While the server works on a request, the other end owes nothing and no timer runs.
 */
export class Connection {
  readonly address: string;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  /** Requests whose answers have not left this process yet. */
  readonly #requests = new Map<IncomingMessage, ServerResponse>();
  #arriving: Arriving | undefined;
  /** The last request that the server refused before its body had arrived. */
  #refusedBody: IncomingMessage | undefined;
  #isClosing = false;
  /** Until when the other end may take for what it owes; monotonic ms. */
  #dueAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.address = socket.remoteAddress ?? "";
    this.#socket = socket;
    this.#options = options;
    this.#owe(options.deadlineMs);
  }

  /** Whether it is open and may be closed without anybody losing an answer. */
  get isIdle(): boolean {
    return this.#requests.size === 0 && !this.#socket.destroyed;
  }

  /** Called when a request's headers have arrived. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.#requests.set(request, response);
    this.#arriving = { since: performance.now(), bytesBefore: this.#socket.bytesRead };
    this.#owe(this.#isClosing ? closingMs : this.#options.deadlineMs);
    response.once("prefinish", () => this.#answered());
    response.once("close", () => this.#left(request));
  }

  /** Closes an idle connection, so that another may be taken. */
  end(): void {
    this.#socket.destroy();
  }

  close(): void {
    this.#isClosing = true;
    if (this.isIdle) this.#socket.destroy();
    else this.#owe(closingMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Called when an answer is complete. The part that the system does not take at once waits for the other end to read. */
  #answered(): void {
    const unread = this.#socket.writableLength;
    if (unread > 0) this.#owe(this.#options.deadlineMs + unread / answerBytesPerMsMin);
  }

  #left(request: IncomingMessage): void {
    this.#requests.delete(request);
    if (this.#requests.size > 0) return;
    if (this.#isClosing) this.#socket.destroySoon();
    else if (!request.complete) this.#refused(request);
    else this.#owe(this.#options.keepAliveMs + this.#options.deadlineMs);
  }

  /**
   * Called when a request was refused before its body had arrived. The server drops the rest of the body. A client that sends the rest
   * within `closingMs` keeps its connection; one that goes on for longer loses it.
   */
  #refused(request: IncomingMessage): void {
    this.#refusedBody = request;
    this.#owe(Math.min(closingMs, this.#options.deadlineMs));
  }

  #isOwing(): boolean {
    if (this.#requests.size === 0) return true;
    return [...this.#requests].some(
      ([request, response]) => !request.complete || (response.writableEnded && !response.writableFinished),
    );
  }

  #owe(ms: number): void {
    if (this.#socket.destroyed) return;
    this.#dueAt = performance.now() + ms;
    if (this.#timer !== undefined && !this.#isClosing) return;
    clearTimeout(this.#timer);
    this.#wait(ms);
  }

  /** One timer serves all requests of a connection. It looks at what is owed when it fires, and stops where that is nothing. */
  #wait(ms: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.min(ms, stepMsMax));
  }

  #look(): void {
    this.#timer = undefined;
    if (!this.#isOwing()) return;
    const restMs = this.#dueAt - performance.now();
    if (restMs > 0) this.#wait(restMs);
    else if (this.#isArriving()) this.#wait(Math.min(stepMsMax, this.#options.deadlineMs));
    else if (this.#refusedBody?.complete === true && this.isIdle) this.#goOn();
    else this.#socket.destroy();
  }

  /** Called when the rest of a refused body has arrived: from now on the connection is idle like any other. */
  #goOn(): void {
    this.#refusedBody = undefined;
    this.#owe(this.#options.keepAliveMs + this.#options.deadlineMs);
  }

  /** Whether a body that is past its deadline has come fast enough so far. */
  #isArriving(): boolean {
    if (this.#isClosing || this.#arriving === undefined) return false;
    if (![...this.#requests.keys()].some((request) => !request.complete)) return false;
    const { since, bytesBefore } = this.#arriving;
    const overdueMs = performance.now() - since - this.#options.deadlineMs;
    return this.#socket.bytesRead - bytesBefore >= overdueMs * bodyBytesPerMsMin;
  }
}
