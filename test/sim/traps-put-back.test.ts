import { expect, test } from "vitest";
import type { Refusal } from "../../src/core/errors.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { atRest, hourMs, minuteMs, pair, pushes, secondMs, writeEntries } from "./scene.ts";
import { World, calgary, zurich } from "./world.ts";

/** Disks put back to older copies: the schedules that lost a write or spread an old one, each brought about on purpose. */

test("a late repetition of an old batch changes nothing, nor one from before a backup was put back", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, repeat: 1, lateMsMax: 6 * hourMs };
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  const image = world.image(zurich);
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  await world.restore(zurich, image);
  world.network.healAll();
  await atRest(world);
});

test("a backup put back to an older copy is filled again from where that copy stands", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  const image = world.image(zurich);
  await writeEntries(scene, 4);
  await world.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, image);
  const before = pushes(world).length;
  await world.start(zurich);
  await atRest(world);
  expect(
    pushes(world)
      .slice(before)
      .map(({ rows }) => rows.length),
  ).toEqual([0, 5]);
});

test("an empty backup is filled by the same resume, from the origin", async () => {
  const scene = await pair();
  const { world } = scene;
  const empty = (await World.create({ seed: 1, backups: [zurich] })).image(zurich);
  await writeEntries(scene, 30);
  await world.scheduler.run(minuteMs);
  await world.restore(zurich, empty);
  await atRest(world);
});

test("a primary put back to an older copy, written to and restarted twice, is fenced and never overwrites its backup", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 4);
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  await world.restore(calgary, image);
  await writeEntries(scene, 2);
  for (let i = 0; i < 2; i += 1) {
    world.crash(calgary);
    await world.start(calgary);
  }
  world.network.heal(calgary, zurich);
  await atRest(world);
  const refused = world.write(world.newVaultKey());
  await world.scheduler.run(secondMs);
  expect(((await refused) as Refusal).code).toBe("site_fenced");
  expect((await world.rows(zurich)).size).toBe(5);
});

test("a fenced primary that is restarted stays fenced, tells nobody again and schedules nothing", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 1);
  await world.scheduler.run(minuteMs);
  await world.restore(calgary, image);
  await world.scheduler.run(minuteMs);
  world.crash(calgary);
  const before = pushes(world).length;
  await world.start(calgary);
  await atRest(world);
  expect((await world.primary.store.read((r) => r.site.record())).fenced).toBe("primary_behind");
  expect(pushes(world).length).toBe(before);
});

test("a primary that has written nothing yet is not taken for one that was put back", async () => {
  const world = await World.create({ seed: 1, backups: [zurich] });
  for (const site of world.sites.keys()) await world.start(site);
  await world.scheduler.run(minuteMs);
  await world.stop(calgary);
  await world.start(calgary);
  await atRest(world);
});

test("a primary that was put back and hands over before it has noticed is fenced as behind, and does not ask its backup for ever", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 2);
  await world.scheduler.run(secondMs);
  // Its first contact fails, and it grants what it is asked for before the next.
  world.network.intercept = (path) => (path === applyPath ? { status: 500, body: undefined } : undefined);
  await world.restore(calgary, image);
  await world.scheduler.run(100);
  const before = world.network.sent.length;
  void world.command(zurich, "promote");
  await world.scheduler.run(100);
  expect(world.record(calgary).grant).not.toBeNull();
  world.network.intercept = null;
  await world.scheduler.run(minuteMs);
  expect(world.record(calgary)).toMatchObject({ fenced: "primary_behind", grant: null });
  expect(world.network.sent.length - before).toBeLessThan(20);
  expect((await world.primary.store.read((r) => r.alerts.openIncidents())).map(({ event }) => event)).toEqual(
    ["primary_behind"],
  );
  void world.command(calgary, "recover");
  await world.scheduler.run(hourMs);
  expect(world.record(calgary)).toMatchObject({ role: "primary", fenced: null });
  await atRest(world);
});
