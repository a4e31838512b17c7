import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Sqlite from "better-sqlite3";
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  batch,
  newAccess,
  newEntry,
  newVault,
  newVersion,
  pushOf,
  set,
  zurich,
} from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { type AccessBody, encodeAccess } from "../../core/access.ts";
import { byCaller } from "../../core/access-writes.ts";
import type { AuditEvent } from "../../core/audit.ts";
import type { KeyId } from "../../core/ids.ts";
import { origin } from "../../core/position.ts";
import type { RowKey } from "../../core/row.ts";
import type { ApplyOutcome, Listing } from "../../core/store/replication.ts";
import type { Write } from "../../core/store/rows.ts";
import { Connection } from "./connection.ts";
import { LogFile } from "./log-file.ts";
import { initialiseSite } from "./new-site.ts";
import type { SqliteStore } from "./sqlite-store.ts";

/** What the store's work costs, counted: no load of the machine makes these budgets noisy. */

const { folder, init, open } = sqliteSite();

type Site = { readonly path: string; readonly store: SqliteStore };
type Cost = { statements: number; commits: number; flushes: number; logBytes: number };

/** A page and its header in the log (sqlite.org/fileformat2.html, 4.1). */
const frameBytes = 4_096 + 24;
/** Not counted as statements: a COMMIT is counted as one. */
const framing = /^(BEGIN|COMMIT|SAVEPOINT|RELEASE|ROLLBACK|PRAGMA)/;

function backupSite(): Site {
  const path = join(folder(), "dormouse.db");
  initialiseSite(path, { site: zurich, role: "backup", ...ports });
  return { path, store: open(path).store };
}

function logBytesOf(path: string): number {
  const database = new Sqlite(path);
  const [found] = database.pragma("wal_checkpoint(NOOP)") as { log: number }[];
  database.close();
  return (found?.log ?? 0) * frameBytes;
}

/** What some work costs the site whose database lies at the path. */
async function costOf({ path }: Site, work: () => Promise<unknown>): Promise<Cost> {
  const statements = (["get", "all", "run", "each"] as const).map((name) =>
    vi.spyOn(Connection.prototype, name),
  );
  const flush = vi.spyOn(LogFile.prototype, "flush");
  const before = logBytesOf(path);
  await work();
  const sqls = statements.flatMap(({ mock }) => mock.calls.map(([sql]) => sql));
  const cost = {
    statements: sqls.filter((sql) => !framing.test(sql)).length,
    commits: sqls.filter((sql) => sql === "COMMIT").length,
    flushes: flush.mock.calls.length,
    logBytes: logBytesOf(path) - before,
  };
  for (const spy of [...statements, flush]) spy.mockRestore();
  return cost;
}

function expectWithin(cost: Cost, budget: Cost): void {
  expect({ cost, isWithin: exceeded(cost, budget) }).toEqual({ cost, isWithin: [] });
}

function exceeded(cost: Cost, budget: Cost): string[] {
  const names = ["statements", "commits", "flushes", "logBytes"] as const;
  return names.filter((name) => cost[name] > budget[name]).map((name) => `${name}: at most ${budget[name]}`);
}

const vault = newVault();
const access = newAccess(vault.vaultId);
const accessBody: AccessBody = {
  kind: "machine",
  name: "a machine",
  scope: "owner",
  verifier: new Uint8Array(32),
  publicKey: new Uint8Array(32),
  slot: { keyId: "0193a5d0-0000-4000-8000-000000000001" as KeyId, sealed: new Uint8Array(80) },
  mac: new Uint8Array(32),
  passphrase: null,
  createdAt: 0,
  expiresAt: null,
};
const body = new Uint8Array(400).fill(7);

function event(action: string): AuditEvent {
  const actor = { kind: "access", id: access.accessId } as const;
  return { actor, action, vaultId: null, itemId: null, address: "127.0.0.1", result: "ok" };
}

/** A write as the HTTP layer makes it: a caller's, with its audit record. */
function called(action: string, keys: readonly RowKey[], changed: readonly RowKey[]): Write {
  const write = { keys: [vault, ...keys], decide: () => changed.map((key) => ({ key, body })) };
  const caller = { ...access, now: 0, renewal: undefined };
  return { ...byCaller(write, caller), audit: event(action) };
}

let primary: Site;
let backup: Site;

const create = (entry = newEntry(vault.vaultId)) =>
  primary.store.transact((tx) => tx.rows.write(called("createEntry", [entry], [entry])));

function createMany(count: number): Promise<unknown> {
  const entries = Array.from({ length: count }, () => newEntry(vault.vaultId));
  return primary.store.transact((tx) => tx.rows.write(called("importEntries", entries, entries)));
}

const readOne = async (entry: RowKey) => {
  await primary.store.read((r) => r.accesses.find(access.accessId));
  await primary.store.read((r) => r.accesses.isBlocked(access.accessId));
  await primary.store.read((r) => r.rows.row(vault));
  await primary.store.read((r) => r.rows.row(entry));
  await primary.store.journal.record(event("getEntry"));
};

async function nextListing(): Promise<Listing> {
  const acked = (await primary.store.read((r) => r.replication.peers()))[0]?.acked ?? origin;
  return primary.store.read((r) => r.replication.listAbove(acked.position, batch, zurich));
}

/** Pushes what there is, audits included, and returns what the two sites paid. */
async function ship(): Promise<{ readonly push: Cost; readonly ack: Cost }> {
  const listing = await nextListing();
  const push = await pushOf(primary.store, listing, {
    audit: await primary.store.read((r) => r.audit.partFor(zurich)),
  });
  let outcome: ApplyOutcome | undefined;
  const cost = await costOf(backup, async () => {
    outcome = await backup.store.transact((tx) => tx.replication.applyPush(push));
  });
  if (outcome?.kind !== "applied") throw new Error("the push was refused");
  const { verified, audit } = outcome;
  const ack = {
    through: listing.through,
    rows: listing.rows,
    rejected: [],
    verified,
    ...(audit && { audit }),
  };
  const ackCost = await costOf(primary, () => primary.store.acknowledgements.take(zurich, ack));
  return { push: cost, ack: ackCost };
}

beforeEach(async () => {
  const path = init();
  [primary, backup] = [{ path, store: open(path).store }, backupSite()];
  await primary.store.transact((tx) => tx.replication.configurePeers([zurich]));
  await set(primary.store, vault, "a vault");
  await primary.store.transact((tx) =>
    tx.rows.write({ keys: [], decide: () => [{ key: access, body: encodeAccess(accessBody) }] }),
  );
  const entry = newEntry(vault.vaultId);
  await create(entry);
  await readOne(entry);
  // The audit's chain is made known, and statements are prepared.
  for (let i = 0; i < 3; i += 1) {
    await create();
    await ship();
  }
  await primary.store.acknowledgements.settle();
});

describe("the budget", () => {
  it("of a create: 12 statements, one flush", async () => {
    const cost = await costOf(primary, () => create());
    expectWithin(cost, { statements: 12, commits: 1, flushes: 1, logBytes: 44_000 });
  });

  it("of an edit, which keeps the version that it replaces: 14 statements, one flush", async () => {
    const entry = newEntry(vault.vaultId);
    await create(entry);
    const write = (version: number): Write => {
      const kept = newVersion(entry, version);
      return called("changeEntry", [entry], [kept, entry]);
    };
    await primary.store.transact((tx) => tx.rows.write(write(1)));
    const cost = await costOf(primary, () => primary.store.transact((tx) => tx.rows.write(write(2))));
    expectWithin(cost, { statements: 14, commits: 1, flushes: 1, logBytes: 66_000 });
  });

  it("of a read and its audit record: 3 statements, no flush", async () => {
    const entry = newEntry(vault.vaultId);
    await create(entry);
    await readOne(entry);
    const cost = await costOf(primary, () => readOne(entry));
    expectWithin(cost, { statements: 3, commits: 1, flushes: 0, logBytes: 11_000 });
  });

  it("of an ACK and its storing: 4 statements, no flush, and no commit but one that settles it before the worker sleeps", async () => {
    await create();
    const { ack } = await ship();
    const settling = await costOf(primary, () => primary.store.acknowledgements.settle());
    const statements = ack.statements + settling.statements;
    expectWithin({ ...ack, statements }, { statements: 4, commits: 0, flushes: 0, logBytes: 0 });
    expectWithin(settling, { statements: 4, commits: 1, flushes: 0, logBytes: 30_000 });
  });

  it("of a push of 1 row: 8 statements and 3 for the row, one flush", async () => {
    await create();
    const { push } = await ship();
    expectWithin(push, { statements: 8 + 3, commits: 1, flushes: 1, logBytes: 50_000 });
  });

  it("of a push of 100 rows: 8 statements and 3 for each row, one flush", async () => {
    await createMany(100);
    const { push } = await ship();
    expectWithin(push, { statements: 8 + 3 * 100, commits: 1, flushes: 1, logBytes: 182_000 });
  });
});

describe("live memory", () => {
  it("after 100,000 rows is what it was after 2,000", { timeout: 120_000 }, async () => {
    const script = fileURLToPath(new URL("../../../test/support/live-memory.ts", import.meta.url));
    const args = ["--expose-gc", script, "2000", "100000"];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const [before = 0, after = Number.POSITIVE_INFINITY] = JSON.parse(stdout) as number[];
    // Some forty bytes for each row: what compiled code and caches add on their way to a steady state, and not a single row.
    expect(after - before).toBeLessThan(4 * 1024 * 1024);
  });
});
