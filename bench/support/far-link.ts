import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/**
 * A TCP proxy that stands for a long way: whatever is sent arrives so much later, and a connection costs a round trip before
 * its first byte. Bandwidth is the machine's.
 */
export class FarLink implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #oneWayMs: number;
  #isCut = false;
  /** Bytes that were carried, both ways together. */
  bytes = 0;

  private constructor(oneWayMs: number, targetPort: number) {
    this.#oneWayMs = oneWayMs;
    this.#server = createServer((near) => this.#carry(near, targetPort));
  }

  static async open(oneWayMs: number, targetPort: number): Promise<FarLink> {
    const link = new FarLink(oneWayMs, targetPort);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #carry(near: Socket, targetPort: number): void {
    if (this.#isCut) return void near.destroy();
    const far = connect(targetPort, "127.0.0.1");
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
    }
    this.#pass(near, far, performance.now() + 3 * this.#oneWayMs);
    this.#pass(far, near, 0);
  }

  /** @param notBefore when the first byte may arrive */
  #pass(from: Socket, to: Socket, notBefore: number): void {
    const later = (act: () => void): void => {
      const atMs = Math.max(performance.now() + this.#oneWayMs, notBefore);
      setTimeout(act, Math.max(0, atMs - performance.now()));
    };
    from.on("data", (chunk) => {
      this.bytes += chunk.length;
      later(() => to.write(chunk));
    });
    from.on("end", () => later(() => to.end()));
    from.on("close", () => later(() => to.destroy()));
  }
}
