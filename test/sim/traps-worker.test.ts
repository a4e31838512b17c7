import { expect, test, vi } from "vitest";
import { hookInPlace } from "../support/hook-in-place.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { checkAtRest } from "./checks.ts";
import {
  alertsOf,
  atRest,
  hourMs,
  minuteMs,
  pair,
  pushes,
  secondMs,
  statusOf,
  writeEntries,
} from "./scene.ts";
import { calgary, type World, zurich } from "./world.ts";

/** What one worker counts, waits for and leaves behind: each of these passed unseen when it was broken on purpose. */

const rowsOf = (json: string): number => (JSON.parse(json) as { rows: object[] }).rows.length;

test("a hello at any moment of a push is answered by a push that leaves after it", async () => {
  for (let afterMs = 0; afterMs < 640; afterMs += 20) {
    const scene = await pair({ seed: afterMs });
    const { world } = scene;
    const image = world.image(zurich);
    await writeEntries(scene, 2);
    await world.scheduler.run(minuteMs);
    world.network.faults = { ...world.network.faults, delayMsMax: 300 };
    await writeEntries(scene, 1);
    await world.scheduler.run(afterMs);
    world.crash(zurich);
    await world.putBack(zurich, image);
    world.network.faults = { ...world.network.faults, delayMsMax: 1 };
    await world.start(zurich);
    await atRest(world);
  }
});

test("a hello at any moment of a quarantine's retry is answered by a push that leaves after it", async () => {
  for (let afterMs = 0; afterMs < 1_200; afterMs += 40) {
    const scene = await pair({ seed: afterMs });
    const { world, vault } = scene;
    const image = world.image(zurich);
    const key = world.newEntryKey(vault.vaultId);
    world.network.poisoned.add(key.entryId);
    void world.write(key);
    await writeEntries(scene, 1);
    await world.scheduler.run(minuteMs);
    world.network.faults = { ...world.network.faults, delayMsMax: 300 };
    await world.retryQuarantine(calgary);
    await world.scheduler.run(afterMs);
    world.crash(zurich);
    await world.putBack(zurich, image);
    world.network.faults = { ...world.network.faults, delayMsMax: 1 };
    await world.start(zurich);
    await atRest(world, true);
  }
});

test("a contact that is owed is tried again until it is made, with nothing dirty", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, image);
  world.network.intercept = (path) => (path === applyPath ? { status: 500, body: undefined } : undefined);
  await world.start(zurich);
  await world.scheduler.run(minuteMs);
  world.network.intercept = null;
  await atRest(world);
});

/** Writes to one row every so often while the backup cannot be reached. */
async function writeThrough(world: World, everyMs: number, forMs: number): Promise<void> {
  const key = world.newVaultKey();
  world.network.cut(calgary, zurich);
  for (let passedMs = 0; passedMs < forMs; passedMs += everyMs) {
    void world.write(key);
    await world.scheduler.run(everyMs);
  }
}

test("writes that cut every wait delay neither the count of attempts nor the alert", async () => {
  const { world } = await pair();
  await writeThrough(world, 10 * secondMs, 16 * minuteMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
});

test("every outage tells of its lag once, and of the end of it once", async () => {
  const { world } = await pair();
  for (let outage = 0; outage < 2; outage += 1) {
    await writeThrough(world, minuteMs, 5 * minuteMs);
    world.network.heal(calgary, zurich);
    await world.scheduler.run(hourMs);
  }
  const once = ["replication_lagging", "replication_caught_up"];
  expect(await alertsOf(world)).toEqual([...once, ...once]);
});

test("a lag is told though the wall clock was put back during the outage", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 1);
  world.scheduler.wallJumpMs = -30 * minuteMs;
  await world.scheduler.run(35 * minuteMs);
  expect(await alertsOf(world)).toContain("replication_lagging");
});

test("nothing is scheduled from the moment at which an outage is over", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 1);
  await world.scheduler.run(10 * secondMs);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(40 * secondMs);
  await checkAtRest(world, { exceptQuarantine: false });
});

test("a stop leaves no timer, in a wait and in the second after an attempt", async () => {
  for (const runMs of [3 * minuteMs, 100]) {
    const scene = await pair();
    const { world } = scene;
    world.network.cut(calgary, zurich);
    await writeEntries(scene, 1);
    await world.scheduler.run(runMs);
    await writeEntries(scene, 1);
    await world.scheduler.run(10);
    let isStopped = false;
    void world.primary.edition.stop().then(() => {
      isStopped = true;
    });
    await world.scheduler.run(50);
    expect(isStopped).toBe(true);
    expect(world.scheduler.pending).toBe(0);
  }
});

test("a row too large alone stays known to be missing where the ACK of the push without it is lost", async () => {
  const scene = await pair();
  const { world } = scene;
  const tooLarge = (path: string, json: string) =>
    path === applyPath && rowsOf(json) > 0 ? { status: 413, body: undefined } : undefined;
  world.network.intercept = tooLarge;
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await writeEntries(scene, 1);
  await world.scheduler.run(20 * secondMs);
  world.network.faults = { ...world.network.faults, dropAnswer: 0 };
  await world.scheduler.run(hourMs);
  expect((await statusOf(world)).quarantined).toBe(1);
  void world.write(scene.vault);
  world.network.intercept = null;
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(1);
});

test("an answer in another site's name is no ACK, nor for the push that passes over a row too large", async () => {
  const scene = await pair();
  const { world } = scene;
  const { acked } = await statusOf(world);
  const { head, realm, epoch } = await world.primary.store.read((r) => r.site.record());
  const stranger = { site: "oslo", realm, role: "backup", epoch, applied: `1:${head.position.seq + 1}` };
  const body = { ...stranger, chain: "0".repeat(64), accepted: 1, ignored: 0, rejected: [], verified: null };
  for (const isTooLarge of [false, true]) {
    world.network.intercept = (path, json) => {
      if (path !== applyPath) return undefined;
      return isTooLarge && rowsOf(json) > 0
        ? { status: 413, body: undefined }
        : { status: 200, body: { ...body, applied: "1:99" } };
    };
    await writeEntries(scene, 1);
    await world.scheduler.run(minuteMs);
    expect((await statusOf(world)).acked).toBe(acked);
  }
  world.network.healAll();
  await atRest(world, true);
});

test("a backup that refuses pushes is told of once, and once when it takes them again", async () => {
  const scene = await pair();
  const { world } = scene;
  const { realm, epoch, head } = await world.primary.store.read((r) => r.site.record());
  const applied = `${head.position.epoch}:${head.position.seq}`;
  const identity = { site: "zurich", realm, role: "primary", epoch, applied, chain: "0".repeat(64) };
  world.network.intercept = (path) =>
    path === applyPath ? { status: 409, body: { code: "not_a_backup", ...identity } } : undefined;
  await writeEntries(scene, 1);
  await world.scheduler.run(minuteMs);
  world.network.healAll();
  await atRest(world);
  const told = (await alertsOf(world)).filter((event) => /refused|accepted/.test(event));
  expect(told).toEqual(["replication_refused", "replication_accepted"]);
});

test("a backup and a fenced primary let no client write, and the backup says where to write", async () => {
  const scene = await pair();
  const { world } = scene;
  expect(await world.primary.edition.writeGuard()).toBeUndefined();
  expect(await world.process(zurich).edition.writeGuard()).toEqual({
    code: "read_only_backup",
    primaryUrl: "https://calgary.example",
  });
  const image = world.image(calgary);
  await writeEntries(scene, 1);
  await world.scheduler.run(minuteMs);
  await world.restore(calgary, image);
  await world.scheduler.run(minuteMs);
  expect(await world.primary.edition.writeGuard()).toEqual({ code: "site_fenced", primaryUrl: null });
  expect(pushes(world).length).toBeGreaterThan(0);
});

test("a write while the store looks for what to push is pushed, though its signal came before the look was over", async () => {
  const scene = await pair();
  const { world } = scene;
  const { store } = world.primary;
  hookInPlace(store, {
    call: async (run, names) => {
      const found = await run();
      if (names.has("replication.listAbove"))
        await new Promise<void>((resolve) => world.scheduler.schedule(100, resolve));
      return found;
    },
  });
  await writeEntries(scene, 1);
  await world.scheduler.run(50);
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  vi.restoreAllMocks();
  await checkAtRest(world, { exceptQuarantine: false });
});
