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
import type { Store } from "../../core/store.ts";
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
  await primary.configurePeers([zurich, geneva]);
  await backup.configurePeers([calgary]);
  await useRows(primary);
  await primary.recordEpoch({ number: 0, id: "" });
  await primary.markDirtyAbove(null, 10);
  await drain(primary, backup);
  await useQuarantine(primary);
  await useRepair(primary, backup);
  await useAlerts(primary);
  await useAudit(primary, backup);
  await useRoles(primary, backup);
  await primary.configurePeers([]);
  const statements = [...primary.statements(), ...backup.statements()];
  await backup.close();
  return [...new Set(statements)].filter((sql) => /^\s*(SELECT|UPDATE|DELETE|INSERT)/.test(sql));
}

async function useRows(store: Store): Promise<void> {
  const { vault, keys } = await fill(store, 5);
  const access = newAccess(vault.vaultId);
  await set(store, access, "token");
  await set(store, keys[0] ?? vault, null);
  await store.access(access.accessId);
  await useAccesses(store, access);
  await store.vaults();
  const [newest] = await store.entries(vault.vaultId, undefined, 10);
  if (newest?.key.kind === "entry") {
    await store.entries(vault.vaultId, newest.key.entryId, 10);
    await useVersions(store, newest.key);
  }
  await fill(store, 2);
  await set(store, vault, null);
  await store.orphans(10);
  const { head } = await store.digest();
  await store.firstKnown([head]);
  await store.pointsBelow(head.position, 10);
}

async function useAccesses(store: Store, { vaultId, accessId }: AccessKey): Promise<void> {
  await store.accesses(vaultId, accessId, 10);
  await store.accessesById(accessId);
  await store.blockAccess(accessId);
  await store.isBlocked(accessId);
  await store.blockedAccesses();
  await store.unblockAccess(accessId);
  store.noteUse(vaultId, accessId, 1);
  await fill(store, 1);
  await store.lastUses(vaultId);
}

async function useVersions(store: Store, entry: EntryKey): Promise<void> {
  const version = newVersion(entry, 1);
  await set(store, version, "then");
  await store.versions(entry.vaultId, entry.entryId, 9, 10);
  await store.newestVersion(entry.vaultId, entry.entryId);
  await store.vaultRows(entry.vaultId, "version", version.versionId, 10);
  await store.vaultRows(entry.vaultId, "entry", entry.entryId, 10);
  await set(store, version, null);
  await store.hasRemains();
  await store.eraseRemains();
}

async function useQuarantine(store: Store): Promise<void> {
  const bad = await set(store, newVault(), "bad");
  const { rows, through } = await store.listAbove({ epoch: 1, seq: 2 }, batch);
  const rejected = [{ ...bad, code: "row_malformed" as const }];
  await store.acknowledge(zurich, { through, rows, rejected, verified: false });
  await store.listAbove(through.position, batch, zurich);
  for (const peer of [zurich, geneva]) {
    await store.backlog(peer);
    await store.listQuarantined(peer, { epoch: 0, seq: 0 }, 10);
  }
  await store.backlogOfAll();
  await store.acknowledge(zurich, { through, rows, rejected: [], verified: true });
}

async function useRepair(primary: Store, backup: Store): Promise<void> {
  await primary.beginRepair(zurich);
  await primary.demandRepair(zurich);
  await drain(primary, backup);
  const rows = (await primary.listAbove({ epoch: 0, seq: 0 }, batch)).rows;
  const remove = rows.map(({ key }) => key);
  const guard = await guardOf({ primary, backup });
  for (const key of remove) {
    await primary.bucketRows(bucketOf(ports.hash, key), null, 10);
    await primary.bucketRows(bucketOf(ports.hash, key), key, 10);
  }
  // Reads every row, of a file in a thread of its own.
  await primary.recount();
  await primary.rowsOf(remove);
  await primary.healRows(rows);
  await backup.applyRepair(guard, [], remove);
  await backup.applyRepair(guard, rows, []);
}

async function useAlerts(store: Store): Promise<void> {
  const alert = await store.addAlert("replication_failed", "zurich", "m", {});
  await store.addAlert("replication_recovered", "zurich", "m", {});
  await store.alerts(10);
  await store.openIncidents();
  await store.undelivered("webhook", 0);
  await store.markDelivered("webhook", alert?.id ?? 0);
}

/** Both record, tell each other, and one is put back; then everything is read. */
async function useAudit(primary: Store, backup: Store): Promise<void> {
  const nothing = { vaultId: null, itemId: null, address: null } as const;
  const event = { actor: { kind: "anyone", id: null }, action: "read", ...nothing, result: "ok" } as const;
  for (let i = 0; i < 20; i += 1)
    await Promise.all([primary, backup].map((store) => store.recordAudit(event)));
  const share = async (change: (part: AuditPart) => AuditPart = (part) => part): Promise<void> => {
    await set(primary, newVault(), "durable");
    const { head } = await backup.site();
    const listing = await primary.listAbove(head.position, batch);
    const push = await pushOf(primary, listing, { audit: change(await primary.auditFor(zurich)) });
    const { audit } = expectApplied(await backup.applyPush(push));
    const { through, rows } = listing;
    await primary.acknowledge(zurich, { through, rows, rejected: [], verified: true, audit });
  };
  await share();
  await share();
  const hash = new Uint8Array(32);
  await share(({ heads, ...part }) => ({
    ...part,
    heads: heads.map((shown) => ({ ...shown, head: { seq: 5, hash }, anchor: { seq: 3, hash } })),
  }));
  await primary.auditRecords((await primary.auditChains())[0]?.chain ?? newChain, 0, 10);
  await primary.auditTroubles();
  await primary.auditShown();
  const { next } = await primary.auditPage({ limit: 2, before: undefined, vaultId: null });
  await primary.auditPage({ limit: 2, before: next, vaultId: "a vault" });
}

const newChain = "0193a5d0-0000-4000-8000-000000000001" as ChainId;

/** A promotion by a grant, one by force, and coming home with rows to be stranded. */
async function useRoles(primary: Store, backup: Store): Promise<void> {
  await drain(primary, backup);
  await primary.endGrant((await primary.grant(zurich)).id, "declined");
  await backup.promoteBy(await primary.grant(zurich), false);
  await set(backup, newVault(), "after");
  const { head } = await primary.site();
  const push = await pushOf(backup, await backup.listAbove(head.position, batch));
  await primary.applyPush(push);
  await primary.promote();
  const { vault } = await fill(backup, 1);
  const entry = newEntry(vault.vaultId);
  await set(backup, newVersion(entry, 1), "then");
  await set(backup, newEntry(vault.vaultId), null);
  await set(backup, vault, null);
  const { epoch } = await primary.site();
  await backup.recordEpoch(epoch);
  await backup.rejoin({ epoch, timeline: await primary.timeline(), common: push.through });
  const { rows } = await backup.aside(10);
  await primary.takeAside(rows);
  const taken = rows.map(({ id }) => id);
  await backup.settleAside(taken.slice(0, 1), taken.slice(1));
  await drain(primary, backup);
  await primary.stranded(null, 10);
  for (const id of taken) {
    await primary.stranded(id, 10);
    await primary.strandedById(id);
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
  /^SELECT id FROM rows INDEXED BY rows_key WHERE kind IN \(\?\) AND deleted IN \(0, 1\) AND bucket = \?/,
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
