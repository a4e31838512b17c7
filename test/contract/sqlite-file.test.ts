import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { afterEach } from "vitest";
import { initialiseSite } from "../../src/store/sqlite/new-site.ts";
import { openSqliteStore } from "../../src/store/sqlite/open.ts";
import type { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { VirtualClock } from "../support/ports.ts";
import { SeededRandom, sha256Hash } from "../support/ports.ts";
import { storeContract } from "./store-contract.ts";

const random = new SeededRandom(1);
const folder = mkdtempSync(join(tmpdir(), "dormouse-contract-"));
const opened = new Map<unknown, { store: SqliteStore; path: string; clock: VirtualClock }>();
let made = 0;

function openPath(path: string, clock: VirtualClock): SqliteStore {
  const { store } = openSqliteStore({ path, clock, random, hash: sha256Hash });
  opened.set(store, { store, path, clock });
  return store;
}

afterEach(async () => {
  for (const { store } of opened.values()) await store.close();
  opened.clear();
  rmSync(folder, { recursive: true, force: true });
});

storeContract("SQLite in a file", {
  open: async ({ site, role, clock }) => {
    made += 1;
    const path = join(folder, `${made}`, "dormouse.db");
    initialiseSite(path, { site, role, clock, random });
    return openPath(path, clock);
  },
  reopen: async (known) => {
    const entry = opened.get(known);
    if (!entry) throw new Error("this store was not opened here");
    await entry.store.close();
    return openPath(entry.path, entry.clock);
  },
  threadedRuns: 4,
  behind: async (known, sql, ...values) => {
    const database = new Sqlite(opened.get(known)?.path);
    database.prepare(sql).run(...values);
    database.close();
  },
});
