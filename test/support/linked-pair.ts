import Sqlite from "better-sqlite3";
import { afterEach } from "vitest";
import { utf8 } from "../../src/core/bytes.ts";
import { Refusal } from "../../src/core/errors.ts";
import { type EntryId, newUuidV7, type SiteName, type VaultId } from "../../src/core/ids.ts";
import type { Transport } from "../../src/core/ports.ts";
import type { RowKey } from "../../src/core/row.ts";
import { WritesInFlight } from "../../src/core/writes-in-flight.ts";
import { receivePush } from "../../src/replication/backup/apply.ts";
import { receiveAside } from "../../src/replication/backup/aside.ts";
import { receiveLocate } from "../../src/replication/backup/locate.ts";
import { receiveRepair } from "../../src/replication/backup/repair.ts";
import {
  applyPath,
  asidePath,
  type Exchange,
  locatePath,
  makeTransport,
  type Reply,
  repairPath,
} from "../../src/replication/transport.ts";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { openMemoryStore } from "../../src/store/sqlite/open.ts";
import type { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { wholeText } from "./json-text.ts";
import { SeededRandom, sha256Hash, VirtualClock } from "./ports.ts";

export const calgary = "calgary" as SiteName;
export const zurich = "zurich" as SiteName;

type Side = "primary" | "backup";

/** A request that has reached the backup. */
export type Arrived = { readonly path: string; readonly body: Readonly<Record<string, unknown>> };

const opened: SqliteStore[] = [];

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

/**
 * The stores of a primary and its backup, and the real way between them but for the network: every request is made into JSON,
 * and answered by the handler of its path.
 */
export class LinkedPair {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(5);
  #primary = this.#open(this.#newImage(calgary, "primary"));
  #backup = this.#open(this.#newImage(zurich, "backup"));
  readonly writesInFlight = new WritesInFlight();
  readonly arrived: Arrived[] = [];
  readonly transport: Transport = makeTransport(this.#exchange());
  /** A test's own answer in place of the backup's, or something done before it; undefined lets the request go on. */
  intercept: (request: Arrived) => Reply | undefined | Promise<Reply | undefined> = () => undefined;
  readonly vault: RowKey & { kind: "vault" } = { kind: "vault", vaultId: this.newId() as VaultId };

  /** A pair of which the primary knows its peer, and that it is empty. */
  static async open(): Promise<LinkedPair> {
    const pair = new LinkedPair();
    await pair.primary.transact((tx) => tx.replication.configurePeers([zurich]));
    return pair;
  }

  get primary(): SqliteStore {
    return this.#primary;
  }

  get backup(): SqliteStore {
    return this.#backup;
  }

  newId(): string {
    return newUuidV7(this.clock.now(), this.random);
  }

  newEntries(count: number): (RowKey & { kind: "entry" })[] {
    const { vaultId } = this.vault;
    return Array.from({ length: count }, () => ({
      kind: "entry",
      vaultId,
      entryId: this.newId() as EntryId,
    }));
  }

  /** Sets rows of the primary in one write. */
  async set(keys: readonly RowKey[], text: string | null): Promise<void> {
    const body = text === null ? null : utf8(text);
    await this.primary.transact((tx) =>
      tx.rows.write({ keys, decide: () => keys.map((key) => ({ key, body })) }),
    );
  }

  /** Ends a store, and opens another on a copy of its database: an older one, or one that was changed. */
  restart(side: Side, image: Buffer): void {
    this[side].abandon();
    const store = this.#open(image);
    if (side === "primary") this.#primary = store;
    else this.#backup = store;
  }

  /** Changes a side's database while its store is down, as a failing disk does. */
  behind(side: Side, sql: string, ...values: (string | number | Uint8Array)[]): void {
    const database = new Sqlite(this[side].serialize());
    database.prepare(sql).run(...values);
    this.restart(side, database.serialize());
    database.close();
  }

  /** Flips a bit of an entry's body, in the database of one side. */
  damage(side: Side, key: RowKey & { kind: "entry" }): void {
    const sql = "UPDATE rows SET body = CAST('damaged' AS BLOB) WHERE kind = 'entry' AND item_id = ?";
    this.behind(side, sql, key.entryId);
  }

  lose(side: Side, key: RowKey & { kind: "entry" }): void {
    this.behind(side, "DELETE FROM rows WHERE kind = 'entry' AND item_id = ?", key.entryId);
  }

  bodiesOf(path: string): readonly Arrived["body"][] {
    return this.arrived.filter((request) => request.path === path).map(({ body }) => body);
  }

  #newImage(site: SiteName, role: Side): Buffer {
    const { clock, random } = this;
    return siteImage({ site, role, clock, random });
  }

  #open(image: Buffer): SqliteStore {
    const { clock, random } = this;
    const store = openMemoryStore({ image, clock, random, hash: sha256Hash });
    opened.push(store);
    return store;
  }

  #exchange(): Exchange {
    return {
      post: async (path, json, signal, onLeaving) => {
        signal.throwIfAborted();
        const text = wholeText(json);
        onLeaving?.();
        const request = { path, body: JSON.parse(text) as Arrived["body"] };
        this.arrived.push(request);
        const reply = (await this.intercept(request)) ?? (await this.#answer(request));
        return { reply: { ...reply, body: overTheWire(reply.body) }, bytes: text.length };
      },
    };
  }

  async #answer({ path, body }: Arrived): Promise<Reply> {
    const receive = receivers[path];
    if (!receive) throw new Error(`nobody answers ${path}`);
    try {
      return await receive(this.backup, calgary, body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { status: error.code === "unauthorized" ? 401 : 400, body: { code: error.code } };
    }
  }
}

type Receive = (store: SqliteStore, peer: SiteName, body: unknown) => Promise<Reply>;

const receivers: Readonly<Record<string, Receive>> = {
  [applyPath]: receivePush,
  [repairPath]: receiveRepair,
  [asidePath]: receiveAside,
  [locatePath]: receiveLocate,
};

function overTheWire(body: unknown): unknown {
  return body === undefined ? undefined : JSON.parse(JSON.stringify(body));
}
