import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { ReplicationStatus } from "../../src/protocol/replication-status.ts";
import { call, initPair, Sites, type SiteProcess } from "../../test/support/processes.ts";
import { floorSides } from "../floor.ts";
import { seqOf } from "./bench-pair.ts";
import { Client } from "./client.ts";
import { instantMs, pause } from "./instant.ts";

/** A process that is started and killed. */
export type Side = {
  readonly url: string;
  readonly pid: number;
  start(): Promise<void>;
  kill(): Promise<void>;
};

/** An entry that was created: where it is read, and where it stands in the order of all writes. */
export type Written = { readonly path: string; readonly seq: number };

export const connections = 64;
const valueBytes = 400;
const statusPath = "/api/replication";
const pollMs = 2;

type Access = {
  readonly entriesPath: string;
  readonly token: string;
  readonly operatorTokens: { readonly primary: string; readonly backup: string };
};

/**
 * A pair that is measured from outside, by one client over HTTP: Dormouse's as an operator runs it, or the floor's. Both understand the
 * same calls, so whatever is measured of one is measured of the other by the same code.
 */
export class Subject implements AsyncDisposable {
  readonly primary: Side;
  readonly backup: Side;
  readonly entriesPath: string;
  readonly token: string;
  readonly #writer: Client;
  readonly #reader: Client;
  readonly #operator: Client;
  readonly #backupOperator: Client;
  readonly #end: () => Promise<void>;

  private constructor(sides: { primary: Side; backup: Side }, access: Access, end: () => Promise<void>) {
    this.primary = sides.primary;
    this.backup = sides.backup;
    this.entriesPath = access.entriesPath;
    this.token = access.token;
    this.#writer = new Client(this.primary.url, access.token, connections);
    this.#reader = new Client(this.backup.url, access.token);
    this.#operator = new Client(this.primary.url, access.operatorTokens.primary);
    this.#backupOperator = new Client(this.backup.url, access.operatorTokens.backup);
    this.#end = end;
  }

  static async ofFloor(folder: string): Promise<Subject> {
    const sides = await floorSides(folder);
    await sides.backup.start();
    await sides.primary.start();
    const operatorTokens = { primary: "", backup: "" };
    return new Subject(sides, { entriesPath: "/entries", token: "", operatorTokens }, async () => {});
  }

  /** Of the built program, started by bin/dormouse; each logs JSON to a file. */
  static async ofDormouse(folder: string): Promise<Subject> {
    const sites = await Sites.inTemporaryFolder(folder);
    const { calgary, zurich } = await initPair(sites);
    const sides = { primary: logging(sites, calgary), backup: logging(sites, zurich) };
    await sides.backup.start();
    await sides.primary.start();
    const made = await call(calgary, { method: "POST", path: "/api/vaults", body: { name: "Harbour" } });
    const { vault_id: vaultId, token } = made.body as { vault_id: string; token: string };
    const operatorTokens = { primary: calgary.operatorToken, backup: zurich.operatorToken };
    const access = { entriesPath: `/api/vaults/${vaultId}/entries`, token, operatorTokens };
    return new Subject(sides, access, async () => await sites[Symbol.asyncDispose]());
  }

  /** Resolves with the 2xx. @param client another than the one that is connected already */
  async write(client = this.#writer): Promise<Written> {
    const made = await client.call<{ entry_id: string; etag: string }>(
      "POST",
      this.entriesPath,
      JSON.stringify(newValue()),
    );
    return { path: `${this.entriesPath}/${made.entry_id}`, seq: seqOf(made.etag) };
  }

  async import(count: number): Promise<void> {
    const text = JSON.stringify({ entries: Array.from({ length: count }, newValue) });
    await this.#writer.call("POST", `${this.entriesPath}/import`, text);
  }

  async read(path: string): Promise<void> {
    await this.#writer.call("GET", path);
  }

  /** Resolves once the backup serves an entry; asks back to back. */
  async visible({ path }: Written): Promise<void> {
    while (!(await this.#reader.has(path)));
  }

  /** Pushes that the primary has made so far, once it knows that all is on the backup. */
  async pushes(): Promise<number> {
    for (;;) {
      const { head, peers } = await this.#primaryStatus();
      const [peer] = peers ?? [];
      if (peer?.acked === head) return peer.counters.pushes;
      await pause(pollMs);
    }
  }

  async head(): Promise<number> {
    return seqOf(`"${(await this.#primaryStatus()).head}"`);
  }

  /** Up to which seq the backup holds everything, at that instant. Asked of the backup: a primary counts what waits for each answer. */
  async applied(): Promise<{ readonly seq: number; readonly atMs: number }> {
    const { applied } = await this.#backupOperator.call<ReplicationStatus>("GET", statusPath);
    return { seq: seqOf(`"${applied}"`), atMs: instantMs() };
  }

  /** Resolves once the backup holds all that was written. */
  async caughtUp(): Promise<void> {
    const head = await this.head();
    while ((await this.applied()).seq < head) await pause(pollMs);
  }

  #primaryStatus(): Promise<ReplicationStatus> {
    return this.#operator.call<ReplicationStatus>("GET", statusPath);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clients = [this.#writer, this.#reader, this.#operator, this.#backupOperator];
    for (const client of clients) await client[Symbol.asyncDispose]();
    await this.primary.kill();
    await this.backup.kill();
    await this.#end();
  }
}

/** An entry with 400 bytes that no compression shortens by much. */
function newValue(): object {
  const notes = randomBytes(valueBytes).toString("base64").slice(0, valueBytes);
  return { type: "note", title: "Harbour office", notes };
}

function logging(sites: Sites, site: SiteProcess): Side {
  return {
    url: site.url,
    get pid() {
      return site.pid;
    },
    start: () => site.start(join(sites.folder, `${site.site}.log`)),
    kill: () => site.kill(),
  };
}
