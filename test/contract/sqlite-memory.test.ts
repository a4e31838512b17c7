import { afterEach } from "vitest";
import { type Connections, openImage } from "../../src/store/sqlite/connection.ts";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { VirtualClock } from "../support/ports.ts";
import { SeededRandom, sha256Hash } from "../support/ports.ts";
import { storeContract } from "./store-contract.ts";

const random = new SeededRandom(1);
type Opened = {
  readonly store: SqliteStore;
  readonly connections: Connections;
  readonly clock: VirtualClock;
};

const opened = new Map<unknown, Opened>();

function openStore(image: Buffer, clock: VirtualClock): SqliteStore {
  const connections = openImage(image);
  const log = { flush: async () => {} };
  const store = new SqliteStore({ connections, log, clock, random, hash: sha256Hash, checkRoom: () => {} });
  opened.set(store, { store, connections, clock });
  return store;
}

afterEach(async () => {
  for (const { store } of opened.values()) await store.close();
  opened.clear();
});

storeContract("SQLite in memory", {
  open: async ({ site, role, clock }) => openStore(siteImage({ site, role, clock, random }), clock),
  reopen: async (known) => {
    const entry = opened.get(known);
    if (!entry) throw new Error("this store was not opened here");
    await entry.store.acknowledgements.settle();
    const image = entry.store.serialize();
    await entry.store.close();
    return openStore(image, entry.clock);
  },
  threadedRuns: 40,
  behind: async (known, sql, ...values) => {
    opened
      .get(known)
      ?.connections.writer.database.prepare(sql)
      .run(...values);
  },
});
