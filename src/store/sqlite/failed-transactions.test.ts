import Sqlite from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { calgary, drain, fill, newEntry, putAll, set, zurich } from "../../../test/contract/store-harness.ts";
import { ports } from "../../../test/support/sqlite-site.ts";
import type { RowKey } from "../../core/row.ts";
import type { Winner } from "../../core/store/roles.ts";
import { siteImage } from "./new-site.ts";
import { openMemoryStore } from "./open.ts";
import type { SqliteStore } from "./sqlite-store.ts";

/** A change of role, a repair and a decision are whole or not at all, wherever in them the disk fails: on the disk, and in what the process knows of it. */

function memory(role: "primary" | "backup"): SqliteStore {
  const site = role === "primary" ? calgary : zurich;
  return openMemoryStore({ image: siteImage({ site, role, ...ports }), ...ports });
}

/** Every table of a store, but for the statement that makes it fail. */
function contents(store: SqliteStore): string {
  const database = new Sqlite(store.serialize());
  const names = database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .pluck()
    .all() as string[];
  const tables = names.map((name) => [name, database.prepare(`SELECT * FROM ${name}`).all()]);
  database.close();
  return JSON.stringify(tables);
}

/** What a store says of itself, out of what it knows without asking its disk. */
async function knownBy(store: SqliteStore): Promise<string> {
  const known = [
    store.read((r) => r.site.record()),
    store.read((r) => r.site.timeline()),
    store.read((r) => r.replication.peers()),
    store.read((r) => r.site.digest()),
    store.read((r) => r.audit.chains()),
  ];
  return JSON.stringify(await Promise.all(known));
}

/** Tables that a change of role, a repair or a decision writes to, and how. */
const writes = [
  "UPDATE ON site",
  "INSERT ON timeline",
  "DELETE ON history",
  "INSERT ON history",
  "UPDATE ON digest",
  "INSERT ON peers",
  "DELETE ON quarantine",
  "DELETE ON rejections",
  "INSERT ON grants",
  "DELETE ON grants",
  "INSERT ON grant_answers",
  "INSERT ON aside",
  "UPDATE ON aside",
  "DELETE ON rows",
  "UPDATE ON rows",
  "INSERT ON rows",
] as const;

/** A store that fails at one kind of write, and the one it was before. */
function failing(image: Buffer, write: string): SqliteStore {
  const database = new Sqlite(image);
  database.exec(`CREATE TRIGGER fails BEFORE ${write} BEGIN SELECT RAISE(ABORT, 'the disk failed'); END`);
  const store = openMemoryStore({ image: database.serialize(), ...ports });
  database.close();
  return store;
}

/** Tries a step against every write that may fail, and returns at which of them it did. */
async function failures(image: Buffer, step: (store: SqliteStore) => Promise<unknown>): Promise<string[]> {
  const failed: string[] = [];
  for (const write of writes) {
    const store = failing(image, write);
    const [before, known] = [contents(store), await knownBy(store)];
    const error = await step(store).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined) {
      expect(String(error)).toContain("the disk failed");
      expect([write, contents(store)]).toEqual([write, before]);
      expect([write, await knownBy(store)]).toEqual([write, known]);
      failed.push(write);
    }
    await store.close();
  }
  return failed;
}

/** calgary, fenced, with a peer's acknowledgements and quarantine and rows of its own above the fork; and its winner. */
async function apart(): Promise<{
  image: Buffer;
  winner: Winner;
  keys: readonly RowKey[];
  promoted: Buffer;
}> {
  const [loser, winner] = [memory("primary"), memory("backup")];
  await loser.transact((tx) => tx.replication.configurePeers([zurich]));
  const { vault, keys } = await fill(loser, 3);
  await drain(loser, winner);
  const common = (await winner.read((r) => r.site.record())).head;
  await loser.transact((tx) => tx.rows.write(putAll([...keys, newEntry(vault.vaultId)], "alone")));
  const refused = await set(loser, newEntry(vault.vaultId), "refused");
  const { rows, through } = await loser.read((r) =>
    r.replication.listAbove(common.position, { rows: 100, bytes: 2 ** 20 }),
  );
  const rejected = [{ ...refused, code: "row_malformed" as const }];
  await loser.acknowledgements.take(zurich, { through, rows, rejected, verified: null });
  await set(loser, vault, "last");
  await winner.transact((tx) => tx.roles.promote());
  const { epoch } = await winner.read((r) => r.site.record());
  await loser.transact((tx) => tx.site.recordEpoch(epoch));
  const timeline = await winner.read((r) => r.site.timeline());
  const [image, promoted] = [loser.serialize(), winner.serialize()];
  await Promise.all([loser.close(), winner.close()]);
  return { image, winner: { epoch, timeline, common }, keys, promoted };
}

describe("where the disk fails, nothing has changed:", () => {
  it("a rejoin", async () => {
    const { image, winner } = await apart();
    expect(await failures(image, (store) => store.homecoming.rejoin(winner))).toEqual([
      "UPDATE ON site",
      "INSERT ON timeline",
      "DELETE ON history",
      "UPDATE ON digest",
      "INSERT ON peers",
      "DELETE ON quarantine",
      "INSERT ON aside",
      "DELETE ON rows",
    ]);
  });

  it("a forced promotion, also one that takes a grant back", async () => {
    const { image } = await apart();
    const promotion = [
      "UPDATE ON site",
      "INSERT ON timeline",
      "INSERT ON history",
      "INSERT ON peers",
      "DELETE ON quarantine",
    ];
    expect(await failures(image, (store) => store.transact((tx) => tx.roles.promote()))).toEqual(promotion);
    const primary = memory("primary");
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    const granting = primary.serialize();
    expect(await failures(granting, (store) => store.transact((tx) => tx.roles.grant(zurich)))).toEqual([
      "UPDATE ON site",
      "INSERT ON grants",
    ]);
    await primary.transact((tx) => tx.roles.grant(zurich));
    expect(
      await failures(primary.serialize(), (store) => store.transact((tx) => tx.roles.promote())),
    ).toEqual([...promotion.filter((write) => write !== "DELETE ON quarantine"), "DELETE ON grants"]);
    await primary.close();
  });

  it("a promotion by a grant", async () => {
    const [primary, backup] = [memory("primary"), memory("backup")];
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    await backup.transact((tx) => tx.replication.configurePeers([calgary]));
    await fill(primary, 2);
    await drain(primary, backup);
    const grant = await primary.transact((tx) => tx.roles.grant(zurich));
    expect(
      await failures(backup.serialize(), (store) => store.transact((tx) => tx.roles.promoteBy(grant, true))),
    ).toEqual([
      "UPDATE ON site",
      "INSERT ON timeline",
      "INSERT ON history",
      "INSERT ON peers",
      "INSERT ON grant_answers",
    ]);
    await Promise.all([primary.close(), backup.close()]);
  });

  it("what a primary takes of rows put aside", async () => {
    const { image, winner, promoted } = await apart();
    const loser = openMemoryStore({ image, ...ports });
    await loser.homecoming.rejoin(winner);
    const { rows } = await loser.read((r) => r.aside.waiting(100));
    await loser.close();
    expect(await failures(promoted, (store) => store.transact((tx) => tx.aside.take(rows)))).toEqual([
      "UPDATE ON site",
      "INSERT ON history",
      "UPDATE ON digest",
      "INSERT ON rows",
    ]);
  });

  it("a repair", async () => {
    const [primary, backup] = [memory("primary"), memory("backup")];
    await primary.transact((tx) => tx.replication.configurePeers([zurich]));
    const { keys } = await fill(primary, 3);
    await drain(primary, backup);
    const { site, realm, role, epoch, head } = await primary.read((r) => r.site.record());
    const guard = { from: { site, realm, role, epoch, applied: head }, at: head };
    const rows = (await primary.read((r) => r.repair.rowsOf(keys.slice(0, 2)))).map((row) => ({
      ...row,
      position: { epoch: 1, seq: 1 },
    }));
    expect(
      await failures(backup.serialize(), (store) =>
        store.transact((tx) => tx.repair.apply(guard, rows, keys.slice(2))),
      ),
    ).toEqual(["UPDATE ON digest", "INSERT ON aside", "DELETE ON rows", "UPDATE ON rows"]);
    await Promise.all([primary.close(), backup.close()]);
  });
});

it("a promotion's own head is a point that is kept for good: a backup may name it", async () => {
  const { image } = await apart();
  const store = openMemoryStore({ image, ...ports });
  const { from } = await store.transact((tx) => tx.roles.promote());
  const database = new Sqlite(store.serialize());
  const kept = database.prepare("SELECT acknowledged FROM history WHERE epoch = ? AND seq = ?").pluck();
  expect(kept.get(from.position.epoch, from.position.seq)).toBe(1);
  database.close();
  await store.close();
});
