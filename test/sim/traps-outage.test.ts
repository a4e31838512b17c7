import { expect, test } from "vitest";
import { comparePositions } from "../../src/core/position.ts";
import { formatKey } from "../../src/core/row.ts";
import { applyPath, helloPath } from "../../src/replication/transport.ts";
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
import type { TrackedWrite } from "./ledger.ts";
import { World, calgary, oslo, zurich } from "./world.ts";

/** Outages, refusals and their alerts: the schedules that lost a write or told an operator wrongly, each on purpose. */

test("with retries exhausted and no write ever again, the backup is filled once it is back", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(20 * minuteMs);
  expect((await statusOf(world)).state).toBe("probing");
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
  await world.scheduler.run(72 * hourMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(20 * minuteMs);
  await atRest(world);
  expect((await alertsOf(world)).slice(2).toSorted()).toEqual([
    "replication_caught_up",
    "replication_recovered",
  ]);
});

test("the waits between attempts are those of the customer's document: 1, 5, 25, 125, 625 s, then every 15 min", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const times: number[] = [];
  world.network.note = (text) => {
    if (text.includes("push")) times.push(world.scheduler.nowMs);
  };
  await writeEntries(scene, 1);
  await world.scheduler.run(40 * minuteMs);
  const waits = times.slice(1).map((time, i) => (time - (times[i] ?? 0)) / secondMs);
  const planned = [1, 5, 25, 125, 625, 900];
  for (const [i, wait] of planned.entries()) {
    expect(waits[i]).toBeGreaterThan(wait * 0.89);
    expect(waits[i]).toBeLessThan(wait * 1.11 + 0.1);
  }
});

test("a backup that comes back says hello and is filled at once, without waiting for the next attempt", async () => {
  const scene = await pair();
  const { world } = scene;
  world.crash(zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(hourMs);
  await world.start(zurich);
  await world.scheduler.run(5 * secondMs);
  await checkAtRest(world, { exceptQuarantine: false });
});

test("one write every 10 ms to a peer that refuses makes one attempt a second, and the alert comes on time", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.cut(calgary, zurich);
  const before = pushes(world).length;
  for (let i = 0; i < 1_000; i += 1) {
    void world.write(key);
    await world.scheduler.run(10);
  }
  expect(pushes(world).length - before).toBeLessThanOrEqual(12);
  await world.scheduler.run(11 * minuteMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging"]);
  await world.scheduler.run(4 * minuteMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
  world.network.heal(calgary, zurich);
  await atRest(world);
});

/** A pair whose backup has crashed, with one write every 50 ms since: an attempt is made each second, the last 350 ms ago. */
async function outageUnderWrites(): Promise<{ readonly world: World; readonly write: () => Promise<void> }> {
  const { world, vault } = await pair();
  const key = world.newEntryKey(vault.vaultId);
  const write = async (): Promise<void> => {
    void world.write(key);
    await world.scheduler.run(50);
  };
  world.crash(zurich);
  for (let passedMs = 0; passedMs < 3_350; passedMs += 50) await write();
  return { world, write };
}

test("a backup that comes back while others write is filled at once: its hello waits for no second to pass", async () => {
  const { world, write } = await outageUnderWrites();
  await world.start(zurich);
  await write();
  await world.scheduler.run(200);
  expect((await statusOf(world)).dirty).toBe(0);
  await atRest(world);
});

test("a hello frees one attempt and no more, however many writes follow it", async () => {
  const { world, write } = await outageUnderWrites();
  world.network.intercept = (path) => (path === applyPath ? { status: 500, body: undefined } : undefined);
  await world.start(zurich);
  const before = pushes(world).length;
  for (let passedMs = 0; passedMs < 900; passedMs += 50) await write();
  expect(pushes(world).length - before).toBe(1);
  world.network.intercept = null;
  await atRest(world);
});

test("a shutdown in the middle of a backoff ends the wait at once, and the next start goes on", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(3 * minuteMs);
  expect((await statusOf(world)).state).toBe("backing_off");
  const stoppedAtMs = world.scheduler.nowMs;
  let doneMs = Number.POSITIVE_INFINITY;
  void world.primary.edition.stop().then(() => {
    doneMs = world.scheduler.nowMs;
  });
  await world.scheduler.run(secondMs);
  expect(doneMs - stoppedAtMs).toBeLessThan(100);
  world.crash(calgary);
  world.network.heal(calgary, zurich);
  await world.start(calgary);
  await atRest(world);
});

test("a hello during a push in flight is answered by a push that leaves after it", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(zurich);
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  world.network.faults = { ...world.network.faults, delayMsMax: 300 };
  await writeEntries(scene, 1);
  await world.scheduler.run(200);
  await world.restore(zurich, image);
  await atRest(world);
});

test("one stuck backup delays no other", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  await world.scheduler.run(50);
  expect((await world.rows(oslo)).has(formatKey(key))).toBe(true);
  const row = (await world.rows(calgary)).get(formatKey(key));
  expect(row?.dirty).toBe(true);
  world.network.heal(calgary, zurich);
  await atRest(world);
});

test("a site of another realm is refused, told once, and nothing of it is taken", async () => {
  const scene = await pair();
  const { world } = scene;
  const stranger = await World.create({ seed: 2, backups: [zurich], realm: 1 });
  for (const site of stranger.sites.keys()) await stranger.start(site);
  void stranger.write(stranger.newVaultKey());
  await stranger.scheduler.run(minuteMs);
  await world.restore(zurich, stranger.image(zurich));
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  expect(await alertsOf(world)).toContain("replication_refused");
  expect((await statusOf(world)).last_error).toBe("other_realm");
  expect((await world.rows(zurich)).size).toBe(1);
});

test("a credential that is not taken is an incident of its own, told at once", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = () => ({ status: 401, body: undefined });
  await writeEntries(scene, 1);
  await world.scheduler.run(secondMs);
  expect(await alertsOf(world)).toEqual(["replication_unauthorized"]);
  world.network.healAll();
  await atRest(world);
  expect(await alertsOf(world)).toContain("replication_authorized");
});

test("a higher epoch in an answer fences the primary before it does anything else", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) =>
    path === applyPath
      ? {
          status: 409,
          body: {
            code: "stale_epoch",
            site: "zurich",
            realm: null,
            role: "primary",
            epoch: { number: 2, id: "00000000-0000-4000-8000-000000000000" },
            applied: "2:7",
            chain: "0".repeat(64),
          },
        }
      : undefined;
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  expect((await world.primary.store.read((r) => r.site.record())).fenced).toBe("primary_superseded");
  expect(await alertsOf(world)).toEqual(["primary_superseded"]);
  expect(world.scheduler.pending).toBe(0);
});

test("a client that waits for its backups is told when they have its row, and which have not in time", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const write = async (): Promise<TrackedWrite> => {
    const written = world.write(world.newEntryKey(vault.vaultId));
    await world.scheduler.run(0);
    return (await written) as TrackedWrite;
  };
  const first = await write();
  if (!first.position) throw new Error("not written");
  const held = world.primary.edition.waitReplicated(first.position, 5_000);
  await world.scheduler.run(100);
  expect(await held).toEqual({ zurich: true });
  world.network.cut(calgary, zurich);
  const second = await write();
  if (!second.position) throw new Error("not written");
  expect(comparePositions(second.position, first.position)).toBeGreaterThan(0);
  const notHeld = world.primary.edition.waitReplicated(second.position, 5_000);
  await world.scheduler.run(5_000);
  expect(await notHeld).toEqual({ zurich: false });
});

test("a backup says hello until it is answered once, and then never again", async () => {
  const world = await World.create({ seed: 1, backups: [zurich] });
  await world.start(zurich);
  await world.scheduler.run(hourMs);
  const hellos = () => world.network.sent.filter(({ path }) => path === helloPath).length;
  expect(hellos()).toBeGreaterThan(5);
  await world.start(calgary);
  await world.scheduler.run(hourMs);
  const after = hellos();
  await world.scheduler.run(24 * hourMs);
  expect(hellos()).toBe(after);
  expect(world.scheduler.pending).toBe(0);
});
