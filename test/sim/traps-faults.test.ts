import { expect, test, vi } from "vitest";
import { applyPath } from "../../src/replication/transport.ts";
import { checkAtRest } from "./checks.ts";
import { settleSites } from "./operator.ts";
import {
  alertsOf,
  atRest,
  hourMs,
  minuteMs,
  pair,
  pushes,
  type Scene,
  secondMs,
  statusOf,
  writeEntries,
  writeToPrimary,
} from "./scene.ts";
import { calgary, World, zurich } from "./world.ts";

const rowsOf = (json: string): number => (JSON.parse(json) as { rows: object[] }).rows.length;

/** Faults of a site's own disk, and what an operator hears: each of these was forgotten, or ended a worker, once. */

test("a refused row is told also where the ACK that said so was lost", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  void world.write(key);
  await world.scheduler.run(10 * secondMs);
  world.network.faults = { ...world.network.faults, dropAnswer: 0 };
  await world.scheduler.run(hourMs);
  expect(await alertsOf(world)).toEqual(["replication_quarantined"]);
});

test("a row that is too large alone is told also where the link is cut before it is passed over", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path, json) => {
    if (path !== applyPath) return undefined;
    const isTooLarge = (JSON.parse(json) as { rows: object[] }).rows.length > 0;
    if (!isTooLarge) world.network.cut(calgary, zurich);
    return isTooLarge ? { status: 413, body: undefined } : undefined;
  };
  const { intercept } = world.network;
  world.network.intercept = (path) => (path === applyPath ? { status: 500, body: undefined } : undefined);
  await writeEntries(scene, 1);
  await world.scheduler.run(100);
  expect((await statusOf(world)).state).toBe("backing_off");
  world.network.intercept = intercept;
  await world.scheduler.run(10 * secondMs);
  expect(await alertsOf(world)).toEqual(["replication_quarantined"]);
  // The row counts as dirty no more, but the drain is not finished until the backup has passed it.
  world.network.intercept = (path, json) =>
    path === applyPath && rowsOf(json) > 0 ? { status: 413, body: undefined } : undefined;
  world.network.heal(calgary, zurich);
  await atRest(world, true);
});

test("a client that waits is told that its row is held where only the ACK of it was lost", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  void world.write(world.newEntryKey(vault.vaultId));
  await world.scheduler.run(0);
  const { head } = await world.primary.store.read((r) => r.site.record());
  let heldAtMs = 0;
  const held = world.primary.edition.waitReplicated(head.position, 60 * secondMs).then((backups) => {
    heldAtMs = world.scheduler.nowMs;
    return backups;
  });
  await world.scheduler.run(10 * secondMs);
  world.network.healAll();
  await world.scheduler.run(minuteMs);
  expect(await held).toEqual({ zurich: true });
  expect(heldAtMs).toBeLessThan(40 * secondMs);
});

test("a backup whose disk fails for a moment goes on saying hello until it is answered", async () => {
  const scene = await pair();
  const { world } = scene;
  const empty = (await World.create({ seed: 1, backups: [zurich] })).image(zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, empty);
  world.network.cut(calgary, zurich);
  await world.start(zurich);
  let failures = 0;
  world.storeFails = (site, method) => site === zurich && method === "site.record" && failures++ < 2;
  await world.scheduler.run(10 * secondMs);
  world.network.heal(calgary, zurich);
  await atRest(world);
});

test("a primary whose disk fails for a moment goes on where it stood, whatever it was about to do", async () => {
  for (const method of [
    "peers",
    "listAbove",
    "site",
    "timeline",
    "acknowledge",
    "backlog",
    "resumeFrom",
    "markDirtyAbove",
  ]) {
    const scene = await pair();
    const { world } = scene;
    world.network.faults = { ...world.network.faults, dropAnswer: 1 };
    await writeEntries(scene, 3);
    await world.scheduler.run(29 * secondMs);
    world.network.healAll();
    let failures = 0;
    world.storeFails = (site, name) => site === calgary && name === method && failures++ < 3;
    await writeEntries(scene, 1);
    await world.scheduler.run(hourMs);
    world.storeFails = () => false;
    await checkAtRest(world, { exceptQuarantine: false });
  }
});

/** A primary that went back, and has noticed. */
async function behind(): Promise<Scene> {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 2);
  await world.scheduler.run(minuteMs);
  await world.restore(calgary, image);
  await world.scheduler.run(minuteMs);
  expect(world.record(calgary).fenced).toBe("primary_behind");
  return scene;
}

test("a site that stops while a fence of its is undone leaves no worker behind", async () => {
  const { world } = await behind();
  const { edition } = world.primary;
  const before = pushes(world).length;
  let isUndone = false;
  // The workers would start anew with the look that follows.
  world.onCall = (site, method) => {
    if (site !== calgary || method !== "roles.promote") return;
    isUndone = true;
    void edition.stop();
  };
  void world.command(calgary, "recover", { force: true });
  await world.scheduler.run(hourMs);
  expect(isUndone).toBe(true);
  expect(pushes(world).length).toBe(before);
  expect(world.scheduler.pending).toBe(0);
});

test("workers that were to start anew while the disk failed start once it works", async () => {
  const scene = await behind();
  const { world } = scene;
  let isUndone = false;
  let fails = 2;
  world.onCall = (_, method) => {
    isUndone ||= method === "roles.promote";
  };
  world.storeFails = (site, method) =>
    isUndone && site === calgary && method === "site.record" && fails-- > 0;
  void world.command(calgary, "recover", { force: true });
  await world.scheduler.run(hourMs);
  expect(fails).toBeLessThan(0);
  expect((await statusOf(world)).state).not.toBe("fenced");
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
});

test("after an attempt that nothing waits for any more, the next outage begins with the first wait", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  void world.write(key);
  await atRest(world, true);
  for (let i = 0; i < 4; i += 1) {
    world.network.intercept = (path, json) =>
      path === applyPath && (JSON.parse(json) as { rows: object[] }).rows.length > 0
        ? { status: 500, body: undefined }
        : undefined;
    await world.retryQuarantine(calgary);
    await world.scheduler.run(500);
    expect(world.scheduler.pending).toBe(0);
  }
  expect(await statusOf(world)).toMatchObject({ state: "asleep", attempt: 0 });
});

test("a demand tries every row in quarantine again, however many there are, and those still refused stop no other", async () => {
  const scene = await pair({ limit: { rows: 3, bytes: 1024 * 1024 } });
  const { world } = scene;
  const keys = Array.from({ length: 10 }, () => world.newEntryKey(scene.vault.vaultId));
  for (const key of keys) world.network.poisoned.add(key.entryId);
  for (const key of keys) void world.write(key);
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(10);
  for (const key of keys.slice(4)) world.network.poisoned.delete(key.entryId);
  await world.retryQuarantine(calgary);
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(4);
});

test("the end of an outage is told though the disk fails just then", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 1);
  await world.scheduler.run(5 * minuteMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging"]);
  world.network.heal(calgary, zurich);
  let looks = 0;
  world.storeFails = (site, method) => site === calgary && method === "alerts.openIncidents" && ++looks === 1;
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_caught_up"]);
});

test("a refused row is told though the disk fails just then", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  let looks = 0;
  world.storeFails = (site, method) => site === calgary && method === "replication.backlog" && ++looks <= 3;
  void world.write(key);
  await atRest(world, true);
  expect(await alertsOf(world)).toEqual(["replication_quarantined"]);
});

test("a lag that is told in the moment in which it ends is also told to have ended", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 1);
  const { store } = world.primary;
  const transact = store.transact.bind(store);
  vi.spyOn(store, "transact").mockImplementation(async (work) => {
    await new Promise<void>((resolve) => world.scheduler.schedule(secondMs, resolve));
    return transact(work);
  });
  await world.scheduler.run(2 * minuteMs + 100);
  expect(await alertsOf(world)).toEqual([]);
  world.network.heal(calgary, zurich);
  world.primary.edition.signalReplication();
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_caught_up"]);
});

test("a fence is told though the disk fails just then", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 2);
  await world.scheduler.run(minuteMs);
  world.crash(calgary);
  await world.putBack(calgary, image);
  let looks = 0;
  const before = world.trace.length;
  const isFenced = () => world.trace.slice(before).some((line) => line.includes("409 resume"));
  world.storeFails = (site, method) =>
    site === calgary && method === "site.record" && isFenced() && ++looks <= 2;
  await world.start(calgary);
  await atRest(world);
  expect(looks).toBeGreaterThan(1);
  expect(await alertsOf(world)).toEqual(["primary_behind"]);
});

test("an outage that ends with a fault of the primary's own disk is told to be over", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 1);
  await world.scheduler.run(3 * minuteMs);
  world.network.heal(calgary, zurich);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  world.primary.edition.signalReplication();
  await world.scheduler.run(secondMs);
  world.network.healAll();
  let faults = 0;
  world.storeFails = (site, method) =>
    site === calgary && method === "replication.markDirtyAbove" && ++faults === 1;
  await atRest(world);
  expect(faults).toBeGreaterThan(0);
});
