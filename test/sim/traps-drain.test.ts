import { expect, test } from "vitest";
import { formatPosition } from "../../src/core/position.ts";
import { type RowKey, formatKey } from "../../src/core/row.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { encodeBody } from "./bodies.ts";
import { alertsOf, atRest, hourMs, pair, pushes, secondMs, statusOf, writeEntries } from "./scene.ts";
import { World, calgary, zurich } from "./world.ts";

/** The schedules around one drain that lost a write in some design or other, each brought about on purpose. */

test("an edit while its push is in flight stays dirty until the edit itself is acknowledged", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, delayMsMax: 500 };
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  void world.write(key);
  await world.scheduler.run(0);
  const before = pushes(world).length;
  await world.scheduler.run(hourMs);
  expect(pushes(world).length).toBeGreaterThan(before);
  await atRest(world);
});

test("more than 100 dirty rows go in one drain, in batches that grow with each that is taken, and nothing is left", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 250);
  await world.scheduler.run(2 * secondMs);
  const before = pushes(world).length;
  world.network.heal(calgary, zurich);
  await atRest(world);
  const batches = pushes(world)
    .slice(before)
    .filter(({ rows }) => rows.length > 1);
  // Each carries its vault besides.
  expect(batches.map(({ rows }) => rows.length)).toEqual([101, 151]);
});

test("a burst of 50 writes is one batch", async () => {
  const scene = await pair();
  const { world } = scene;
  const before = pushes(world).length;
  await writeEntries(scene, 50);
  await atRest(world);
  expect(pushes(world).length - before).toBeLessThanOrEqual(2);
});

test("a signal in any step before sleep is not lost", async () => {
  for (let delayMs = 0; delayMs < 30; delayMs += 1) {
    const scene = await pair({ seed: delayMs });
    await writeEntries(scene, 1);
    await scene.world.scheduler.run(delayMs);
    await writeEntries(scene, 1);
    await atRest(scene.world);
  }
});

test("a backup that crashes between apply and ACK gets the batch once more and applies nothing twice", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await world.scheduler.run(20);
  world.crash(zurich);
  world.network.healAll();
  await world.start(zurich);
  await atRest(world);
});

test("a primary that crashes between apply and ACK resumes upward from where the backup stands", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await world.scheduler.run(20);
  world.crash(calgary);
  world.network.healAll();
  await world.start(calgary);
  await atRest(world);
});

test("an ACK that never arrives costs a retry that shows it, and a proof; the rows are not sent a third time", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await writeEntries(scene, 5);
  await world.scheduler.run(29 * secondMs);
  world.network.healAll();
  const before = pushes(world).length;
  await atRest(world);
  expect(
    pushes(world)
      .slice(before)
      .map(({ rows }) => rows.length),
  ).toEqual([6, 0]);
});

test("a crash right after the commit, before any signal, loses nothing: the start pushes what is dirty", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  const { store } = world.primary;
  await Promise.all([
    store.transact((tx) =>
      tx.rows.write({ keys: [key], decide: () => [{ key, body: encodeBody(key, '{"lineage":[]}', 1) }] }),
    ),
    world.scheduler.run(0),
  ]);
  world.crash(calgary);
  await world.start(calgary);
  await atRest(world);
  expect(await world.rows(zurich)).toHaveProperty("size", 2);
});

test("one row that the backup refuses stops none of the 99 others, is told once, and goes through on demand", async () => {
  const scene = await pair();
  const { world } = scene;
  const keys = Array.from({ length: 100 }, () => world.newEntryKey(scene.vault.vaultId));
  const [bad] = keys;
  if (!bad) throw new Error("no entry");
  world.network.poisoned.add(bad.entryId);
  for (const key of keys) void world.write(key);
  await atRest(world, true);
  expect(await alertsOf(world)).toEqual(["replication_quarantined"]);
  expect((await statusOf(world)).quarantined).toBe(1);
  expect((await world.rows(zurich)).has(formatKey(bad))).toBe(false);
  world.network.healAll();
  await world.retryQuarantine(calgary);
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_quarantined", "replication_quarantine_cleared"]);
});

test("a row in quarantine goes through when it changes", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  void world.write(key);
  await atRest(world, true);
  world.network.healAll();
  void world.write(key);
  await atRest(world);
});

test("a refused row is known to be missing even where the ACK that said so was lost", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  void world.write(key);
  await world.scheduler.run(10 * secondMs);
  world.network.faults = { ...world.network.faults, dropAnswer: 0 };
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(1);
});

test("413 halves the batch, and a row that is too large alone goes to quarantine", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path, json) => {
    const isTooLarge = path === applyPath && (JSON.parse(json) as { rows: object[] }).rows.length > 3;
    return isTooLarge ? { status: 413, body: undefined } : undefined;
  };
  await writeEntries(scene, 20);
  await atRest(world);
  world.network.intercept = (path, json) =>
    path === applyPath && (JSON.parse(json) as { rows: object[] }).rows.length > 0
      ? { status: 413, body: undefined }
      : undefined;
  await writeEntries(scene, 2);
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(2);
});

test("an entry over the byte limit of a batch goes alone, after those before it", async () => {
  const scene = await pair({ limit: { rows: 100, bytes: 50 } });
  const { world } = scene;
  const before = pushes(world).length;
  await writeEntries(scene, 5);
  await atRest(world);
  expect(
    pushes(world)
      .slice(before)
      .map(({ rows }) => rows.length),
  ).toEqual([2, 2, 2, 2, 2]);
});

test("a vault renamed after its 150 entries is there before the first of them", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  world.network.cut(calgary, zurich);
  const other = world.newVaultKey();
  void world.write(other);
  await writeEntries({ world, vault: other }, 150);
  void world.write(other);
  await world.scheduler.run(0);
  const empty = (await World.create({ seed: 1, backups: [zurich] })).image(zurich);
  await world.restore(zurich, empty);
  world.network.heal(calgary, zurich);
  const orphaned: string[] = [];
  while (
    (await statusOf(world)).acked !==
    formatPosition((await world.primary.store.read((r) => r.site.record())).head.position)
  ) {
    await world.scheduler.run(1);
    const rows = await world.rows(zurich);
    const hasVault = (key: RowKey) => rows.has(formatKey({ kind: "vault", vaultId: key.vaultId }));
    orphaned.push(...[...rows.values()].filter(({ key }) => !hasVault(key)).map(({ key }) => formatKey(key)));
  }
  expect(orphaned).toEqual([]);
  await atRest(world);
  expect(vault).toBeDefined();
});

test("the purge of an entry that was never pushed leaves its tombstone on the backup", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  void world.write(key, true);
  await world.scheduler.run(0);
  world.network.heal(calgary, zurich);
  await atRest(world);
  const row = (await world.rows(zurich)).get(formatKey(key));
  expect(row?.body).toBeNull();
});
