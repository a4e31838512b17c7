import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { guardOf } from "../../../test/contract/repair-driver.ts";
import {
  batch,
  calgary,
  drain,
  expectApplied,
  fill,
  geneva,
  newAccess,
  newEntry,
  newVault,
  newVersion,
  pushOf,
  set,
  zurich,
} from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import type { AuditPart } from "../../core/audit.ts";
import { bucketOf } from "../../core/digest.ts";
import type { ChainId } from "../../core/ids.ts";
import type { RowKey } from "../../core/row.ts";
import type { Store } from "../../core/store/store.ts";
import { migrate, migrations } from "./migrations.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";

const { init, open } = sqliteSite();

type AccessKey = RowKey & { readonly kind: "access" };
type EntryKey = RowKey & { readonly kind: "entry" };

/** Every statement that a store prepares while all of it is used, on both roles. */
async function statementsInUse(): Promise<readonly string[]> {
  const primary = open(init()).store;
  const backup = openMemoryStore({ image: siteImage({ site: zurich, role: "backup", ...ports }), ...ports });
  await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
  await backup.transact((tx) => tx.replication.configurePeers([calgary]));
  await useRows(primary);
  await primary.transact((tx) => tx.site.recordEpoch({ number: 0, id: "" }));
  await primary.transact((tx) => tx.replication.markDirtyAbove(null, 10));
  await drain(primary, backup);
  await useQuarantine(primary);
  await useRepair(primary, backup);
  await useAlerts(primary);
  await useAudit(primary, backup);
  await useRoles(primary, backup);
  await primary.transact((tx) => tx.replication.configurePeers([]));
  const statements = [...primary.statements(), ...backup.statements()];
  await backup.close();
  return [...new Set(statements)].filter((sql) => /^\s*(SELECT|UPDATE|DELETE|INSERT)/.test(sql));
}

async function useRows(store: Store): Promise<void> {
  const { vault, keys } = await fill(store, 5);
  const access = newAccess(vault.vaultId);
  await set(store, access, "token");
  await set(store, keys[0] ?? vault, null);
  await store.read((r) => r.accesses.find(access.accessId));
  await useAccesses(store, access);
  await store.read((r) => r.rows.vaults());
  const [newest] = await store.read((r) => r.rows.entries(vault.vaultId, undefined, 10));
  const key = newest?.key;
  if (key?.kind === "entry") {
    await store.read((r) => r.rows.entries(vault.vaultId, key.entryId, 10));
    await useVersions(store, key);
  }
  await fill(store, 2);
  await set(store, vault, null);
  await store.read((r) => r.rows.orphans(10));
  const { head } = await store.read((r) => r.site.digest());
  await store.read((r) => r.site.firstKnown([head]));
  await store.read((r) => r.site.pointsBelow(head.position, 10));
}

async function useAccesses(store: Store, { vaultId, accessId }: AccessKey): Promise<void> {
  await store.read((r) => r.accesses.ofVault(vaultId, accessId, 10));
  await store.read((r) => r.accesses.everywhere(accessId));
  await store.transact((tx) => tx.accesses.block(accessId));
  await store.read((r) => r.accesses.isBlocked(accessId));
  await store.read((r) => r.accesses.blocked());
  await store.transact((tx) => tx.accesses.unblock(accessId));
  store.uses.note(vaultId, accessId, 1);
  await fill(store, 1);
  await store.uses.last(vaultId);
}

async function useVersions(store: Store, entry: EntryKey): Promise<void> {
  const version = newVersion(entry, 1);
  await set(store, version, "then");
  await store.read((r) => r.rows.versions(entry.vaultId, entry.entryId, 9, 10));
  await store.read((r) => r.rows.newestVersion(entry.vaultId, entry.entryId));
  await store.read((r) => r.rows.vaultRows(entry.vaultId, "version", version.versionId, 10));
  await store.read((r) => r.rows.vaultRows(entry.vaultId, "entry", entry.entryId, 10));
  await set(store, version, null);
  await store.erasure.hasRemains();
  await store.erasure.eraseRemains();
}

async function useQuarantine(store: Store): Promise<void> {
  const bad = await set(store, newVault(), "bad");
  const { rows, through } = await store.read((r) => r.replication.listAbove({ epoch: 1, seq: 2 }, batch));
  const rejected = [{ ...bad, code: "row_malformed" as const }];
  await store.acknowledgements.take(zurich, { through, rows, rejected, verified: false });
  await store.read((r) => r.replication.listAbove(through.position, batch, zurich));
  for (const peer of [zurich, geneva]) {
    await store.read((r) => r.replication.backlog(peer));
    await store.read((r) => r.replication.listQuarantined(peer, { epoch: 0, seq: 0 }, 10));
  }
  await store.read((r) => r.replication.backlogOfAll());
  await store.acknowledgements.take(zurich, { through, rows, rejected: [], verified: true });
}

async function useRepair(primary: Store, backup: Store): Promise<void> {
  await primary.transact((tx) => tx.replication.beginRepair(zurich));
  await primary.transact((tx) => tx.replication.demandRepair(zurich));
  await drain(primary, backup);
  const rows = (await primary.read((r) => r.replication.listAbove({ epoch: 0, seq: 0 }, batch))).rows;
  const remove = rows.map(({ key }) => key);
  const guard = await guardOf({ primary, backup });
  for (const key of remove) {
    await primary.survey.bucketRows(bucketOf(ports.hash, key), null, 10);
    await primary.survey.bucketRows(bucketOf(ports.hash, key), key, 10);
  }
  // Reads every row, of a file in a thread of its own.
  await primary.survey.recount();
  await primary.read((r) => r.repair.rowsOf(remove));
  await primary.transact((tx) => tx.repair.heal(rows));
  await backup.transact((tx) => tx.repair.apply(guard, [], remove));
  await backup.transact((tx) => tx.repair.apply(guard, rows, []));
}

async function useAlerts(store: Store): Promise<void> {
  const alert = await store.transact((tx) => tx.alerts.add("replication_failed", "zurich", "m", {}));
  await store.transact((tx) => tx.alerts.add("replication_recovered", "zurich", "m", {}));
  await store.read((r) => r.alerts.newest(10));
  await store.read((r) => r.alerts.openIncidents());
  await store.read((r) => r.alerts.undelivered("webhook", 0));
  await store.transact((tx) => tx.alerts.markDelivered("webhook", alert?.id ?? 0));
}

/** Both record, tell each other, and one is put back; then everything is read. */
async function useAudit(primary: Store, backup: Store): Promise<void> {
  const nothing = { vaultId: null, itemId: null, address: null } as const;
  const event = { actor: { kind: "anyone", id: null }, action: "read", ...nothing, result: "ok" } as const;
  for (let i = 0; i < 20; i += 1)
    await Promise.all([primary, backup].map((store) => store.journal.record(event)));
  const share = async (change: (part: AuditPart) => AuditPart = (part) => part): Promise<void> => {
    await set(primary, newVault(), "durable");
    const { head } = await backup.read((r) => r.site.record());
    const listing = await primary.read((r) => r.replication.listAbove(head.position, batch));
    const push = await pushOf(primary, listing, {
      audit: change(await primary.read((r) => r.audit.partFor(zurich))),
    });
    const { audit } = expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
    const { through, rows } = listing;
    await primary.acknowledgements.take(zurich, { through, rows, rejected: [], verified: true, audit });
  };
  await share();
  await share();
  const hash = new Uint8Array(32);
  await share(({ heads, ...part }) => ({
    ...part,
    heads: heads.map((shown) => ({ ...shown, head: { seq: 5, hash }, anchor: { seq: 3, hash } })),
  }));
  const chain = (await primary.read((r) => r.audit.chains()))[0]?.chain ?? newChain;
  await primary.read((r) => r.audit.records(chain, 0, 10));
  await primary.read((r) => r.audit.troubles());
  await primary.read((r) => r.audit.shown());
  const { next } = await primary.read((r) => r.audit.page({ limit: 2, before: undefined, vaultId: null }));
  await primary.read((r) => r.audit.page({ limit: 2, before: next, vaultId: "a vault" }));
}

const newChain = "0193a5d0-0000-4000-8000-000000000001" as ChainId;

/** A promotion by a grant, one by force, and coming home with rows to be stranded. */
async function useRoles(primary: Store, backup: Store): Promise<void> {
  await drain(primary, backup);
  const grantId = (await primary.transact((tx) => tx.roles.grant(zurich))).id;
  await primary.transact((tx) => tx.roles.endGrant(grantId, "declined"));
  const grant = await primary.transact((tx) => tx.roles.grant(zurich));
  await backup.transact((tx) => tx.roles.promoteBy(grant, false));
  await set(backup, newVault(), "after");
  const { head } = await primary.read((r) => r.site.record());
  const push = await pushOf(backup, await backup.read((r) => r.replication.listAbove(head.position, batch)));
  await primary.transact((tx) => tx.replication.applyPush(push));
  await primary.transact((tx) => tx.roles.promote());
  const { vault } = await fill(backup, 1);
  const entry = newEntry(vault.vaultId);
  await set(backup, newVersion(entry, 1), "then");
  await set(backup, newEntry(vault.vaultId), null);
  await set(backup, vault, null);
  const { epoch } = await primary.read((r) => r.site.record());
  await backup.transact((tx) => tx.site.recordEpoch(epoch));
  await backup.homecoming.rejoin({
    epoch,
    timeline: await primary.read((r) => r.site.timeline()),
    common: push.through,
  });
  const { rows } = await backup.read((r) => r.aside.waiting(10));
  await primary.transact((tx) => tx.aside.take(rows));
  const taken = rows.map(({ id }) => id);
  await backup.transact((tx) => tx.aside.settle(taken.slice(0, 1), taken.slice(1)));
  await drain(primary, backup);
  await primary.read((r) => r.aside.stranded(null, 10));
  for (const id of taken) {
    await primary.read((r) => r.aside.stranded(id, 10));
    await primary.read((r) => r.aside.strandedById(id));
  }
}

function planOf(database: Sqlite.Database, sql: string): string[] {
  const parameters = Array.from({ length: sql.split("?").length - 1 }, () => 1);
  const steps = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as { detail: string }[];
  return steps.map(({ detail }) => detail);
}

/** Listed whole because all of it is asked for, up to a limit, or because it is only as long as what is wrong or configured. */
const meant = [
  /^SCAN (site|peers|p|timeline|rejections|q|CONSTANT ROW|\(subquery-\d+\))( |$)/,
  /^SCAN (quarantine|peers|aside|grants)( |$)/,
  /^SCAN blocked_accesses$/,
  // As many as there are sites, and disks that were put back.
  /^SCAN (audit_chains|audit_shown)( |$)/,
  /^SCAN r USING INDEX audit_records_at$/,
  /^SCAN alerts$/,
  /^SCAN alerts USING INDEX alerts_open$/,
  // Four records; and ids that the statement is given.
  /^SCAN digest$/,
  /^SCAN json_each VIRTUAL TABLE/,
];

/** Sorted because there are few of them. */
const sorted = [
  /FROM (alerts|rejections) /,
  // idsOf in repair-rows.ts: one row in 256 of those that one step looks at. Live rows and tombstones lie apart in the index.
  /^SELECT id FROM rows INDEXED BY rows_key WHERE kind = '\w+' AND deleted IN \(0, 1\) AND bucket = \?/,
];

describe("no statement of the store", () => {
  it("looks at every row of a table that grows, or sorts rows to list some of them", async () => {
    const statements = await statementsInUse();
    expect(statements.length).toBeGreaterThan(100);
    const database = new Sqlite(":memory:");
    migrate(database, migrations, 0);
    const costly = statements.flatMap((sql) =>
      planOf(database, sql)
        .filter((step) => isCostly(step, sql))
        .map((step) => `${step}: ${sql}`),
    );
    database.close();
    expect(costly).toEqual([]);
  });
});

function isCostly(step: string, sql: string): boolean {
  if (step.startsWith("SCAN ")) return !meant.some((pattern) => pattern.test(step));
  return step === "USE TEMP B-TREE FOR ORDER BY" && !sorted.some((pattern) => pattern.test(sql));
}
