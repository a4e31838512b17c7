import Sqlite from "better-sqlite3";
import { afterEach } from "vitest";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { openMemoryStore } from "../../src/store/sqlite/open.ts";
import type { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { VirtualClock } from "../support/ports.ts";
import { SeededRandom, sha256Hash } from "../support/ports.ts";
import { storeContract } from "./store-contract.ts";

const random = new SeededRandom(1);
const opened = new Map<unknown, { store: SqliteStore; clock: VirtualClock }>();

function openImage(image: Buffer, clock: VirtualClock): SqliteStore {
  const store = openMemoryStore({ image, clock, random, hash: sha256Hash });
  opened.set(store, { store, clock });
  return store;
}

afterEach(async () => {
  for (const { store } of opened.values()) await store.close();
  opened.clear();
});

storeContract("SQLite in memory", {
  open: async ({ site, role, clock }) => openImage(siteImage({ site, role, clock, random }), clock),
  reopen: async (known) => {
    const entry = opened.get(known);
    if (!entry) throw new Error("this store was not opened here");
    const image = entry.store.serialize();
    await entry.store.close();
    return openImage(image, entry.clock);
  },
  threadedRuns: 40,
  behind: async (known, sql, ...values) => {
    const entry = opened.get(known);
    if (!entry) throw new Error("this store was not opened here");
    const database = new Sqlite(entry.store.serialize());
    database.prepare(sql).run(...values);
    entry.store.replaceDatabase(database.serialize());
    database.close();
  },
});
