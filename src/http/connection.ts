import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * The longest single timer. Node does not take a timer that was cleared out of its event loop: the loop wakes once more when
 * it would have fired. In steps, a process falls asleep this long after its last connection at the latest.
 */
const stepMsMax = 5_000;
/** After its deadline a body has to have come at 8 kbit/s: a slow line is no attack, a byte a second is. */
const bodyBytesPerMsMin = 1;
/** Beside its deadline an answer is read at 64 kbit/s: how much of it has gone, Node does not tell. */
const answerBytesPerMsMin = 8;
/** What the rest of a body gets when the server closes, or when its request is refused. */
const closingMs = 1_000;

export type ConnectionOptions = {
  /** How long a peer may owe us the rest of its headers, of its body, or of reading an answer. */
  readonly deadlineMs: number;
  /** What Node allows an idle connection, which closes it sooner than we do. */
  readonly keepAliveMs: number;
};

/** A body that is arriving: since when, and what had come on its connection before. */
type Arriving = { readonly since: number; readonly bytesBefore: number };

/**
 * One connection of a client or a peer, and what its other end owes: headers where no request is here, a body where one is not
 * complete, and the reading of an answer. Who owes for too long is cut off.
 */
export class Connection {
  readonly address: string;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  /** Those whose answer is not out yet. */
  readonly #requests = new Map<IncomingMessage, ServerResponse>();
  #arriving: Arriving | undefined;
  /** The last request that was answered before its body was here. */
  #refusedBody: IncomingMessage | undefined;
  #isClosing = false;
  /** When the peer's debt falls due, where it has one; monotonic ms. */
  #dueAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.address = socket.remoteAddress ?? "";
    this.#socket = socket;
    this.#options = options;
    this.#owe(options.deadlineMs);
  }

  /** Whether it may be closed without anybody losing an answer. */
  get isIdle(): boolean {
    return this.#requests.size === 0;
  }

  /** A request's headers are here. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.#requests.set(request, response);
    this.#arriving = { since: performance.now(), bytesBefore: this.#socket.bytesRead };
    this.#owe(this.#isClosing ? closingMs : this.#options.deadlineMs);
    response.once("prefinish", () => this.#answered());
    response.once("close", () => this.#left(request));
  }

  /** Ends it in favour of another. */
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

  /** An answer is made: what does not go out at once, the peer owes us to read. */
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
   * A request was refused before its body was here, which nobody reads now. A client that has sent most of it goes on with its
   * connection; one that goes on sending for longer loses it.
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

  /** One timer for all of a busy connection's requests: it looks at what is owed when it fires, and stops by itself. */
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

  /** What was left of a refused body is here: the connection is as idle as any other. */
  #goOn(): void {
    this.#refusedBody = undefined;
    this.#owe(this.#options.keepAliveMs + this.#options.deadlineMs);
  }

  /** Whether the deadline is over for a body that still comes fast enough. */
  #isArriving(): boolean {
    if (this.#isClosing || this.#arriving === undefined) return false;
    if (![...this.#requests.keys()].some((request) => !request.complete)) return false;
    const { since, bytesBefore } = this.#arriving;
    const overdueMs = performance.now() - since - this.#options.deadlineMs;
    return this.#socket.bytesRead - bytesBefore >= overdueMs * bodyBytesPerMsMin;
  }
}
