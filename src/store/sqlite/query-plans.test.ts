import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { batch, drain, fill, geneva, newAccess, set, zurich } from "../../../test/contract/store-harness.ts";
import { ports, sqliteSite } from "../../../test/support/sqlite-site.ts";
import { migrate, migrations } from "./migrations.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";

const { init, open } = sqliteSite();

/** Every statement that a store prepares while all of it is used, on both roles. */
async function statementsInUse(): Promise<readonly string[]> {
  const primary = open(init()).store;
  const backup = openMemoryStore({ image: siteImage({ site: zurich, role: "backup", ...ports }), ...ports });
  await primary.configurePeers([zurich, geneva]);
  const { vault, keys } = await fill(primary, 5);
  const access = newAccess(vault.vaultId);
  await set(primary, access, "token");
  await set(primary, keys[0] ?? vault, null);
  await primary.recordEpoch({ number: 0, id: "" });
  await primary.markDirtyAbove(10);
  await drain(primary, backup);
  const bad = await set(primary, keys[1] ?? vault, "bad");
  const { rows, through } = await primary.listAbove({ epoch: 1, seq: 2 }, batch);
  await primary.acknowledge(zurich, {
    through,
    rows,
    rejected: [{ ...bad, code: "row_malformed" }],
    verified: null,
  });
  await primary.acknowledge(zurich, { through, rows, rejected: [], verified: null });
  for (const peer of [zurich, geneva]) {
    await primary.backlog(peer);
    await primary.listQuarantined(peer, { epoch: 0, seq: 0 }, 10);
  }
  await primary.backlogOfAll();
  await primary.access(access.accessId);
  await primary.vaults();
  await primary.entries(vault.vaultId, undefined, 10);
  const [newest] = await primary.entries(vault.vaultId, undefined, 10);
  if (newest?.key.kind === "entry") await primary.entries(vault.vaultId, newest.key.entryId, 10);
  await set(primary, vault, null);
  await primary.orphans(10);
  const alert = await primary.addAlert("replication_failed", "zurich", "m", {});
  await primary.addAlert("replication_recovered", "zurich", "m", {});
  await primary.alerts(10);
  await primary.openIncidents();
  await primary.undelivered("webhook", 0);
  await primary.markDelivered("webhook", alert?.id ?? 0);
  await primary.configurePeers([]);
  const statements = [...primary.statements(), ...backup.statements()];
  await backup.close();
  return [...new Set(statements)].filter((sql) => /^\s*(SELECT|UPDATE|DELETE|INSERT)/.test(sql));
}

function planOf(database: Sqlite.Database, sql: string): string[] {
  const parameters = Array.from({ length: sql.split("?").length - 1 }, () => 1);
  const steps = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as { detail: string }[];
  return steps.map(({ detail }) => detail);
}

/** Listed whole because all of it is asked for, up to a limit, or because it is only as long as what is wrong or configured. */
const meant = [
  /^SCAN (site|peers|p|timeline|rejections|q|CONSTANT ROW|\(subquery-\d+\))( |$)/,
  /^SCAN (quarantine|peers|aside)( |$)/,
  /^SCAN alerts$/,
  /^SCAN alerts USING INDEX alerts_open$/,
  /^SCAN vaults USING (COVERING )?INDEX vaults_(live|deleted)$/,
  /^SCAN \w+ USING INDEX \w+_dirty_since$/,
];

describe("no statement of the store", () => {
  it("looks at every row of a table that grows, or sorts rows to list some of them", async () => {
    const statements = await statementsInUse();
    expect(statements.length).toBeGreaterThan(60);
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
  return step === "USE TEMP B-TREE FOR ORDER BY" && !/FROM (alerts|rejections) /.test(sql);
}
