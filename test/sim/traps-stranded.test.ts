import { expect, test } from "vitest";
import { formatKey } from "../../src/core/row.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { command, settleSites } from "./operator.ts";
import {
  atRest,
  hourMs,
  minuteMs,
  pair,
  strandedAt,
  writeAt,
  writeEntries,
  writeToPrimary,
} from "./scene.ts";
import { calgary, oslo, zurich } from "./world.ts";

/** Rows that only one side ever had: the schedules that lost one without a word, or listed what was there. */

test("a purge that the promoted site had refused takes nothing away and is not taken back without a word", async () => {
  const scene = await pair();
  const { world } = scene;
  const [key] = await writeEntries(scene, 1);
  if (!key || key.kind !== "entry") throw new Error("no entry");
  await world.scheduler.run(minuteMs);
  world.network.poisoned.add(key.entryId);
  void world.write(key, true);
  await world.scheduler.run(minuteMs);
  world.crash(calgary);
  await command(world, zurich, "promote", { force: true });
  void world.write(key, false, zurich);
  await world.scheduler.run(minuteMs);
  world.network.healAll();
  await world.start(calgary);
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  expect((await world.rows(zurich)).get(formatKey(key))?.body).not.toBeNull();
  expect(await strandedAt(world, zurich)).toEqual([formatKey(key)]);
});

test("a change that the promoted site had refused is stranded, also where another backup has it", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  const [key] = await writeEntries(scene, 1);
  if (!key || key.kind !== "entry") throw new Error("no entry");
  await world.scheduler.run(minuteMs);
  world.network.intercept = (path, json) => {
    const { rows } = JSON.parse(json) as { rows: { key: { entry_id?: string } }[] };
    const isRefused = path === applyPath && rows.some((row) => row.key.entry_id === key.entryId);
    if (isRefused) world.network.poisoned.add(key.entryId);
    else world.network.poisoned.clear();
    return undefined;
  };
  world.network.cut(calgary, oslo);
  void world.write(key);
  await world.scheduler.run(minuteMs);
  world.network.healAll();
  world.network.cut(calgary, zurich);
  await world.scheduler.run(hourMs);
  world.crash(calgary);
  await command(world, zurich, "promote", { force: true });
  void world.write(key, false, zurich);
  await settleSites(world, writeToPrimary(scene));
  world.network.healAll();
  await world.start(calgary);
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  expect(await strandedAt(world, zurich)).toEqual([formatKey(key)]);
});

test("a vault carried from above the watermark, by a primary that died, is stranded where the next changes it", async () => {
  const scene = await pair({ backups: [zurich, oslo], limit: { rows: 3, bytes: 1024 * 1024 } });
  const { world, vault } = scene;
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, oslo);
  await writeAt(scene, calgary, 4);
  world.network.cut(calgary, zurich);
  const image = world.image(calgary);
  void world.write(vault);
  await world.scheduler.run(500);
  let taken = 0;
  world.network.intercept = (path, _, to) => {
    if (path === applyPath && to === oslo && ++taken > 1) world.network.cut(calgary, oslo);
    return undefined;
  };
  world.network.heal(calgary, oslo);
  await world.scheduler.run(hourMs);
  expect((await world.rows(oslo)).get(formatKey(vault))?.position.seq).toBe(6);
  expect((await world.process(oslo).store.read((r) => r.site.record())).head.position.seq).toBe(4);
  world.crash(calgary);
  await world.putBack(calgary, image);
  world.network.healAll();
  world.network.cut(zurich, oslo);
  await command(world, zurich, "promote", { force: true });
  void world.write(vault, false, zurich);
  await world.scheduler.run(minuteMs);
  world.network.healAll();
  await world.start(calgary);
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  expect(await strandedAt(world, zurich)).toEqual([formatKey(vault)]);
});

test("what the primary of one reign stranded and that of the next has had all along is struck", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, oslo);
  const [key] = await writeAt(scene, calgary, 1);
  if (!key) throw new Error("no entry");
  world.crash(calgary);
  await command(world, oslo, "promote", { force: true });
  await world.scheduler.run(minuteMs);
  await command(world, zurich, "rejoin");
  await world.scheduler.run(minuteMs);
  expect(await strandedAt(world, oslo)).toEqual([formatKey(key)]);
  world.network.cut(oslo, calgary);
  await world.start(calgary);
  await command(world, calgary, "promote", { force: true });
  await command(world, calgary, "promote", { force: true });
  world.network.healAll();
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  const [winner] = world.primaries();
  if (winner?.site === calgary) expect(await strandedAt(world, calgary)).toEqual([]);
});
