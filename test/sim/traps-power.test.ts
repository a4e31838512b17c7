import { expect, test } from "vitest";
import { formatPosition } from "../../src/core/position.ts";
import { formatKey, type RowKey } from "../../src/core/row.ts";
import { flushMoments } from "./disk.ts";
import {
  alertsOf,
  atRest,
  minuteMs,
  pair,
  pushes,
  type Scene,
  secondMs,
  statusOf,
  writeEntries,
} from "./scene.ts";
import { calgary, zurich } from "./world.ts";

/** A cut of the power takes everything that was committed after the last flush, and nobody must have been told of it. */

/** Far longer than a message is under way: what is committed has all the time to be shown too early. */
const flushMs = secondMs;

/** A pair that is equal and at rest, whose flushes take a second each from now on. */
async function slowPair(): Promise<Scene> {
  const scene = await pair();
  await scene.world.scheduler.run(minuteMs);
  scene.world.flushMs = () => flushMs;
  return scene;
}

async function writeOne(scene: Scene): Promise<RowKey> {
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  return key;
}

/** A cut that comes when it is called, and not before. */
const whenCalled = { moment: "ends", flushes: Number.POSITIVE_INFINITY } as const;

test.each(flushMoments)("a power cut when a flush %s loses no acknowledged write", async (moment) => {
  const scene = await slowPair();
  const { world } = scene;
  world.cutPowerSoon(calgary, { moment, flushes: 2 });
  const first = await writeOne(scene);
  await world.scheduler.run(1.5 * flushMs);
  const second = await writeOne(scene);
  await world.scheduler.run(1.5 * flushMs);
  expect(world.isUp(calgary)).toBe(false);
  expect(world.writes.slice(-2).map(({ position }) => position !== null)).toEqual([true, false]);
  const rows = await world.rows(calgary);
  expect([first, second].map((key) => rows.has(formatKey(key)))).toEqual([true, moment === "ends"]);
  await world.start(calgary);
  await atRest(world);
});

test("a kill between the commit and the flush keeps what was committed", async () => {
  const scene = await slowPair();
  const { world } = scene;
  const key = await writeOne(scene);
  world.crash(calgary);
  expect((await world.rows(calgary)).has(formatKey(key))).toBe(true);
  await world.start(calgary);
  await atRest(world);
});

test("writes that come while a flush is at work are answered with the next one, all together", async () => {
  const scene = await slowPair();
  const { world } = scene;
  await writeOne(scene);
  for (let i = 0; i < 4; i += 1) {
    await world.scheduler.run(flushMs / 10);
    await writeOne(scene);
  }
  const answered = () => world.writes.slice(-5).filter(({ position }) => position !== null).length;
  await world.scheduler.run(flushMs / 2);
  expect(answered()).toBe(0);
  await world.scheduler.run(flushMs / 2);
  expect(answered()).toBe(1);
  await world.scheduler.run(flushMs);
  expect(answered()).toBe(5);
  await atRest(world);
});

test("rows are neither read nor pushed before they are flushed", async () => {
  const scene = await slowPair();
  const { world } = scene;
  const cut = world.cutPowerSoon(calgary, whenCalled);
  const before = pushes(world).length;
  const key = await writeOne(scene);
  expect((await world.rows(calgary)).has(formatKey(key))).toBe(true);
  let shown: unknown;
  void world.primary.store
    .read((r) => r.rows.row(key))
    .then((row) => {
      shown = row;
    });
  // Another reason to look for what there is to push.
  world.primary.edition.signalReplication();
  await world.scheduler.run(flushMs / 2);
  expect(shown).toBeUndefined();
  const head = formatPosition(world.record(calgary).head.position);
  expect(
    pushes(world)
      .slice(before)
      .map(({ through }) => through),
  ).not.toContain(head);
  cut();
  await world.start(calgary);
  await atRest(world);
  expect(world.record(calgary).fenced).toBeNull();
});

test("a row is pushed when its flush has ended, though its signal was all there was", async () => {
  const scene = await slowPair();
  const { world } = scene;
  const key = await writeOne(scene);
  await world.scheduler.run(flushMs + 100);
  expect((await world.rows(zurich)).has(formatKey(key))).toBe(true);
  await atRest(world);
});

test("a backup that loses an applied push to a power cut has acknowledged none of it, and is pushed to again", async () => {
  const scene = await slowPair();
  const { world } = scene;
  world.flushMs = (site) => (site === zurich ? flushMs : 0);
  const { acked } = await statusOf(world);
  const cut = world.cutPowerSoon(zurich, whenCalled);
  const key = await writeOne(scene);
  await world.scheduler.run(flushMs / 2);
  expect((await world.rows(zurich)).has(formatKey(key))).toBe(true);
  cut();
  expect((await world.rows(zurich)).has(formatKey(key))).toBe(false);
  expect((await statusOf(world)).acked).toBe(acked);
  await world.start(zurich);
  await atRest(world);
});

test("an acknowledgement that a power cut takes from the primary costs one push more, and no row is applied twice", async () => {
  const scene = await slowPair();
  const { world } = scene;
  const cut = world.cutPowerSoon(calgary, whenCalled);
  await writeOne(scene);
  await world.scheduler.run(minuteMs);
  const { acked } = await statusOf(world);
  expect(acked).toBe(formatPosition(world.record(calgary).head.position));
  cut();
  const before = pushes(world).length;
  await world.start(calgary);
  await atRest(world);
  // The one that was acknowledged, answered with where the backup stands, and one for the proof.
  expect(pushes(world).slice(before).length).toBeLessThanOrEqual(2);
  expect((await statusOf(world)).acked).toBe(acked);
});

test("a record of a reading that a power cut takes was shown to nobody, also where a flush was at work", async () => {
  const scene = await slowPair();
  const { world } = scene;
  for (const site of [calgary, zurich]) {
    const cut = world.cutPowerSoon(site, whenCalled);
    await writeOne(scene);
    // Both sites flush for a second, one after the other: at each there is a reading while one is at work.
    for (let i = 0; i < 5; i += 1) {
      await world.scheduler.run(flushMs / 2);
      void world.clients.read(site);
    }
    await world.scheduler.run(flushMs);
    cut();
    await world.start(site);
    await writeOne(scene);
    await world.scheduler.run(minuteMs);
  }
  await atRest(world);
  for (const site of [calgary, zurich])
    expect(
      (await world.process(site).store.read((r) => r.alerts.newest(10))).map(({ event }) => event),
    ).toEqual([]);
});

test("a promotion that a power cut takes is known to nobody, and the primary stays what it is", async () => {
  const scene = await slowPair();
  const { world } = scene;
  world.cutPowerSoon(zurich, { moment: "is at work", flushes: 1 });
  void world.command(zurich, "promote", { force: true });
  await world.scheduler.run(minuteMs);
  expect(world.isUp(zurich)).toBe(false);
  await world.start(zurich);
  await writeOne(scene);
  await atRest(world);
  expect(world.record(zurich).role).toBe("backup");
  expect(await alertsOf(world)).toEqual([]);
});
