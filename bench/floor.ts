import { join } from "node:path";
import { Pool } from "undici";
import { Child } from "./support/child.ts";
import { instantMs } from "./support/instant.ts";
import { rowBody } from "./support/sample-entry.ts";

/** What one write took, in ms. */
export type Timed = { readonly acknowledgedMs: number; readonly visibleMs: number };

/** The floor under every figure: two plain processes, a raw commit in each and one POST between them. */
export class Floor implements AsyncDisposable {
  readonly #primary: Child;
  readonly #backup: Child;
  readonly #client: Pool;

  private constructor(primary: Child, backup: Child, client: Pool) {
    this.#primary = primary;
    this.#backup = backup;
    this.#client = client;
  }

  static async start(folder: string, connections = 1): Promise<Floor> {
    const backup = await Child.start("floor-backup.ts", join(folder, "floor-backup.db"));
    const origin = `http://127.0.0.1:${await backup.call<number>("port")}`;
    const primary = await Child.start("floor-primary.ts", join(folder, "floor-primary.db"), origin);
    const client = new Pool(`http://127.0.0.1:${await primary.call<number>("port")}`, { connections });
    return new Floor(primary, backup, client);
  }

  /** Writes as a client does, and waits until the other side has it. */
  async write(): Promise<Timed> {
    const beganMs = instantMs();
    const seq = await this.post();
    const acknowledgedMs = instantMs() - beganMs;
    return { acknowledgedMs, visibleMs: (await this.#backup.visible(seq)) - beganMs };
  }

  async post(): Promise<number> {
    const answer = await this.#client.request({ method: "POST", path: "/", body: rowBody });
    return Number(await answer.body.text());
  }

  visible(seq: number): Promise<number> {
    return this.#backup.visible(seq);
  }

  /** Writes that start inside the primary's process: ms from the beginning of each to its commit on the other side. */
  async writeInside(count: number, restMs: number): Promise<number[]> {
    const begun = await this.#primary.call<{ seq: number; beganMs: number }[]>("run", { count, restMs });
    const last = begun.at(-1);
    if (last) await this.#backup.visible(last.seq);
    return Promise.all(begun.map(async ({ seq, beganMs }) => (await this.#backup.visible(seq)) - beganMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy();
    await this.#primary[Symbol.asyncDispose]();
    await this.#backup[Symbol.asyncDispose]();
  }
}
