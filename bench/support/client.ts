import { Pool } from "undici";

/** A client of one site with kept-alive connections. */
export class Client implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #token: string;

  constructor(origin: string, token: string, connections = 1) {
    this.#pool = new Pool(origin, { connections });
    this.#token = token;
  }

  /** One call; throws for an answer that is no 2xx. */
  async call<T>(method: "GET" | "POST" | "PUT", path: string, body?: string): Promise<T> {
    const answer = await this.#pool.request({
      method,
      path,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return { ...JSON.parse(text), etag: answer.headers["etag"] } as T;
  }

  /** Whether there is something at that path. */
  async has(path: string): Promise<boolean> {
    const answer = await this.#pool.request({
      method: "GET",
      path,
      headers: { authorization: `Bearer ${this.#token}` },
    });
    await answer.body.dump();
    return answer.statusCode === 200;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close();
  }
}
