import Sqlite from "better-sqlite3";
import { beforeEach, expect, test } from "vitest";
import { calgary, drain, fill, geneva, newVault, set, zurich } from "../../../test/contract/store-harness.ts";
import { sha256Hash, SeededRandom, VirtualClock } from "../../../test/support/ports.ts";
import { newUuidV4, type SiteName } from "../../core/ids.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";
import type { SqliteStore } from "./sqlite-store.ts";

const random = new SeededRandom(11);
let primary: SqliteStore;
let backup: SqliteStore;

function open(site: SiteName, role: "primary" | "backup"): SqliteStore {
  const ports = { clock: new VirtualClock(), random };
  return openMemoryStore({ image: siteImage({ site, role, ...ports }), ...ports, hash: sha256Hash });
}

beforeEach(async () => {
  primary = open(calgary, "primary");
  backup = open(zurich, "backup");
  await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
  await backup.transact((tx) => tx.replication.configurePeers([calgary, geneva]));
  await fill(primary, 1);
  await drain(primary, backup);
  return async () => {
    await primary.close();
    await backup.close();
  };
});

/** Rows that a site keeps about grants, its own and others'. */
function kept(store: SqliteStore): number {
  const database = new Sqlite(store.serialize());
  const sql = "SELECT (SELECT count(*) FROM grants) + (SELECT count(*) FROM grant_answers) AS kept";
  const { kept: rows } = database.prepare(sql).get() as { kept: number };
  database.close();
  return rows;
}

test("of grants that can never be used, whatever their ids, no answer is kept", async () => {
  const { epoch } = await backup.read((r) => r.site.record());
  await backup.transact((tx) => tx.site.recordEpoch({ number: 3, id: "three" }));
  const lower = [epoch, { number: 2, id: "two" }, { number: 3, id: "a" }];
  for (const of of lower) {
    expect(
      await backup.transact((tx) => tx.roles.decline(newUuidV4(random), { site: calgary, epoch: of })),
    ).toBe("declined");
  }
  expect(kept(backup)).toBe(0);
});

test("of a site that is not the primary of the epoch in force, no answer is kept", async () => {
  const { epoch } = await backup.read((r) => r.site.record());
  for (let times = 0; times < 100; times += 1) {
    expect(await backup.transact((tx) => tx.roles.decline(newUuidV4(random), { site: geneva, epoch }))).toBe(
      "declined",
    );
  }
  expect(kept(backup)).toBe(0);
});

test("an answer is kept while the grant could be used, and let go when it cannot be any more", async () => {
  const first = await primary.transact((tx) => tx.roles.grant(zurich));
  const of = { site: calgary, epoch: first.epoch };
  expect(await backup.transact((tx) => tx.roles.decline(first.id, of))).toBe("declined");
  await primary.transact((tx) => tx.roles.endGrant(first.id, "declined"));
  await set(primary, newVault(), "x");
  await drain(primary, backup);
  const second = await primary.transact((tx) => tx.roles.grant(zurich));
  expect(await backup.transact((tx) => tx.roles.decline(second.id, of))).toBe("declined");
  expect(kept(backup)).toBe(2);
  for (const grant of [first, second]) {
    await expect(backup.transact((tx) => tx.roles.promoteBy(grant, false))).rejects.toMatchObject({
      code: "grant_declined",
    });
  }
  const later = { number: 5, id: "five" };
  await backup.transact((tx) => tx.site.recordEpoch(later));
  expect(
    await backup.transact((tx) => tx.roles.decline(newUuidV4(random), { site: calgary, epoch: later })),
  ).toBe("declined");
  expect(kept(backup)).toBe(1);
  for (const grant of [first, second]) {
    await expect(backup.transact((tx) => tx.roles.promoteBy(grant, false))).rejects.toMatchObject({
      code: "grant_unmet",
    });
  }
});

test("that a grant was used is kept, whatever comes later", async () => {
  const grant = await primary.transact((tx) => tx.roles.grant(zurich));
  const promotion = await backup.transact((tx) => tx.roles.promoteBy(grant, false));
  const of = { site: calgary, epoch: grant.epoch };
  await backup.transact((tx) => tx.site.recordEpoch({ number: 9, id: "nine" }));
  await backup.transact((tx) =>
    tx.roles.decline(newUuidV4(random), { site: geneva, epoch: { number: 9, id: "nine" } }),
  );
  expect(await backup.transact((tx) => tx.roles.decline(grant.id, of))).toBe("promoted");
  expect(await backup.transact((tx) => tx.roles.promoteBy(grant, false))).toEqual(promotion);
});

test("of grants that were asked for and given back, the primary keeps nothing", async () => {
  for (let times = 0; times < 20; times += 1) {
    const { id } = await primary.transact((tx) => tx.roles.grant(zurich));
    expect(kept(primary)).toBe(1);
    await primary.transact((tx) => tx.roles.endGrant(id, "declined"));
  }
  expect(kept(primary)).toBe(0);
});
