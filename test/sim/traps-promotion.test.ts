import { expect, test } from "vitest";
import type { Refusal } from "../../src/core/errors.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { formatPosition } from "../../src/core/position.ts";
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
import { calgary, oslo, type World, zurich } from "./world.ts";

/** Changes of the primary, wanted and unwanted: what they lost in some design or other, each brought about on purpose. */

async function roleOf(world: World, site: SiteName): Promise<string> {
  const { role, fenced } = await world.process(site).store.read((r) => r.site.record());
  return fenced === null ? role : `${role}, ${fenced}`;
}

async function timelineOf(world: World, site: SiteName): Promise<string[]> {
  return (await world.process(site).store.read((r) => r.site.timeline())).map(
    (line) => `${line.epoch.number} ${line.site}`,
  );
}

test("a planned promotion loses nothing, and the old primary becomes the backup of the new one", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  await command(world, zurich, "promote");
  expect(await roleOf(world, zurich)).toBe("primary");
  expect(await roleOf(world, calgary)).toBe("backup");
  await writeAt(scene, zurich, 3);
  await atRest(world);
  expect(await timelineOf(world, calgary)).toEqual(["1 calgary", "2 zurich"]);
  expect(await strandedAt(world, zurich)).toEqual([]);
});

test("a planned promotion while clients write costs them a refusal at most, and loses no write", async () => {
  for (let afterMs = 0; afterMs < 100; afterMs += 7) {
    const scene = await pair({ seed: afterMs });
    const { world, vault } = scene;
    world.network.faults = { ...world.network.faults, delayMsMax: 20 };
    void world.command(zurich, "promote");
    for (let passedMs = 0; passedMs < afterMs; passedMs += 5) {
      void world.write(world.newEntryKey(vault.vaultId), false, calgary);
      await world.scheduler.run(5);
    }
    await world.scheduler.run(minuteMs);
    expect(await roleOf(world, zurich)).toBe("primary");
    await atRest(world);
  }
});

test("a planned promotion and back again, many times, leaves one history", async () => {
  const scene = await pair();
  const { world } = scene;
  for (let turn = 0; turn < 3; turn += 1) {
    for (const site of [zurich, calgary]) {
      await command(world, site, "promote");
      await writeAt(scene, site, 2);
    }
  }
  await atRest(world);
  expect(await roleOf(world, calgary)).toBe("primary");
  expect(await strandedAt(world, calgary)).toEqual([]);
});

/** One planned promotion in which a site dies at its n-th look at the disk. Returns false where it never came so far. */
async function promoteWithKill(victim: SiteName, n: number): Promise<boolean> {
  const scene = await pair({ seed: n });
  const { world } = scene;
  await writeEntries(scene, 2);
  let calls = 0;
  world.crashesHere = (site) => site === victim && ++calls === n;
  void world.command(zurich, "promote");
  await world.scheduler.run(2 * minuteMs);
  world.crashesHere = () => false;
  const wasKilled = !world.isUp(victim);
  await world.start(victim);
  await world.scheduler.run(minuteMs);
  await settleSites(world, writeToPrimary(scene));
  await command(world, zurich, "promote");
  expect(await roleOf(world, zurich)).toBe("primary");
  await writeAt(scene, zurich, 1);
  await atRest(world);
  expect(await strandedAt(world, zurich)).toEqual([]);
  return wasKilled;
}

test.each([calgary, zurich])(
  "a planned promotion in which %s dies at any step ends, repeated, as if nothing had been",
  async (victim) => {
    let n = 1;
    while (await promoteWithKill(victim, n)) n += 1;
    expect(n).toBeGreaterThan(5);
  },
  120_000,
);

test("a planned promotion whose messages are lost at any step is repeated, or given back, and nothing is lost", async () => {
  for (let seed = 0; seed < 40; seed += 1) {
    const scene = await pair({ seed });
    const { world } = scene;
    await writeEntries(scene, 2);
    world.network.faults = { ...world.network.faults, dropRequest: 0.3, dropAnswer: 0.3, delayMsMax: 50 };
    void world.command(zurich, "promote");
    await world.scheduler.run(hourMs);
    world.network.healAll();
    await settleSites(world, writeToPrimary(scene));
    await command(world, zurich, "promote");
    expect(await roleOf(world, zurich)).toBe("primary");
    await atRest(world);
  }
});

test("a grant that is given back is never used, and the primary takes writes again", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) => (path === applyPath ? { status: 500, body: undefined } : undefined);
  await writeEntries(scene, 1);
  void world.command(zurich, "promote");
  await world.scheduler.run(5_000);
  expect(await roleOf(world, calgary)).toBe("primary, promotion_granted");
  await command(world, zurich, "decline");
  world.network.intercept = null;
  await world.scheduler.run(hourMs);
  expect(await roleOf(world, calgary)).toBe("primary");
  expect(await roleOf(world, zurich)).toBe("backup");
  await writeEntries(scene, 1);
  await atRest(world);
});

test("rows that the backup refuses stop a planned promotion, by name", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  void world.write(key);
  await world.scheduler.run(minuteMs);
  const refused = world.command(zurich, "promote");
  await world.scheduler.run(hourMs);
  const error = (await refused) as Refusal;
  expect(error.code).toBe("rows_quarantined");
  expect(error.message).toContain(key.entryId);
  expect(await roleOf(world, calgary)).toBe("primary");
  world.network.healAll();
  await world.retryQuarantine(calgary);
  await atRest(world);
});

test("an old primary with writes of its own comes home: they are stranded once, and its purge is made again", async () => {
  const scene = await pair();
  const { world } = scene;
  const [purged, changed] = await writeEntries(scene, 2);
  if (!purged || !changed) throw new Error("no entries");
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  const own = await writeAt(scene, calgary, 3);
  void world.write(purged, true, calgary);
  void world.write(changed, false, calgary);
  await world.scheduler.run(minuteMs);
  await command(world, zurich, "promote", { force: true });
  await writeAt(scene, zurich, 2);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  expect(await roleOf(world, calgary)).toBe("primary, primary_superseded");
  await command(world, calgary, "rejoin");
  await atRest(world);
  const expected = [...own, changed].map(formatKey).toSorted();
  expect((await strandedAt(world, zurich)).toSorted()).toEqual(expected);
  expect((await strandedAt(world, calgary)).toSorted()).toEqual(expected);
  expect((await world.rows(zurich)).get(formatKey(purged))?.body).toBeNull();
});

test("a purge on the old primary does not take away what was changed on the new one: it is stranded", async () => {
  const scene = await pair();
  const { world } = scene;
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  void world.write(key, true, calgary);
  await command(world, zurich, "promote", { force: true });
  void world.write(key, false, zurich);
  await world.scheduler.run(minuteMs);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  await command(world, calgary, "rejoin");
  await atRest(world);
  expect((await world.rows(zurich)).get(formatKey(key))?.body).not.toBeNull();
  expect(await strandedAt(world, zurich)).toEqual([formatKey(key)]);
});

test("writes that reached the new primary before it was promoted are not stranded", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  await command(world, zurich, "promote", { force: true });
  world.network.healAll();
  await world.scheduler.run(hourMs);
  await command(world, calgary, "rejoin");
  await atRest(world);
  expect(await strandedAt(world, zurich)).toEqual([]);
});

test("two sites promoted apart end with one primary, and what the other took is stranded once", async () => {
  for (const seed of [1, 2, 3, 4]) {
    const scene = await pair({ seed, backups: [zurich, oslo] });
    const { world } = scene;
    await world.scheduler.run(minuteMs);
    world.crash(calgary);
    world.network.cut(zurich, oslo);
    for (const site of [zurich, oslo]) {
      await command(world, site, "promote", { force: true });
      await writeAt(scene, site, 2);
    }
    world.network.heal(zurich, oslo);
    await world.start(calgary);
    await world.scheduler.run(hourMs);
    expect(world.primaries().length).toBe(1);
    await settleSites(world, writeToPrimary(scene));
    await atRest(world);
    const [winner] = world.primaries();
    expect(winner && (await strandedAt(world, winner.site)).length).toBe(2);
  }
});

test("promoting again settles it the other way where two were promoted apart", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  await world.scheduler.run(minuteMs);
  world.crash(calgary);
  world.network.cut(zurich, oslo);
  for (const site of [zurich, oslo]) {
    await command(world, site, "promote", { force: true });
    await writeAt(scene, site, 1);
  }
  world.network.heal(zurich, oslo);
  await world.start(calgary);
  await world.scheduler.run(hourMs);
  const loser = world.running().find(({ fenced }) => fenced === "primary_superseded" && fenced);
  const other = [zurich, oslo].find((site) => site === loser?.site) ?? zurich;
  await command(world, other, "promote", { force: true });
  await world.scheduler.run(hourMs);
  expect(world.primaries().map(({ site }) => site)).toEqual([other]);
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
});

test.each([
  [zurich, oslo],
  [oslo, zurich],
])(
  "of two backups %s was ahead and the other is promoted: both end equal, and what was ahead is stranded",
  async (ahead, promoted) => {
    const scene = await pair({ backups: [zurich, oslo] });
    const { world } = scene;
    await world.scheduler.run(minuteMs);
    world.network.cut(calgary, promoted);
    const own = await writeAt(scene, calgary, 3);
    world.crash(calgary);
    await command(world, promoted, "promote", { force: true });
    await writeAt(scene, promoted, 1);
    await settleSites(world, writeToPrimary(scene));
    await world.scheduler.run(hourMs);
    expect(await roleOf(world, ahead)).toBe("backup");
    expect((await strandedAt(world, promoted)).toSorted()).toEqual(own.map(formatKey).toSorted());
    await world.start(calgary);
    world.network.heal(calgary, promoted);
    await settleSites(world, writeToPrimary(scene));
    await atRest(world);
    // What calgary puts aside too is known already.
    expect((await strandedAt(world, ahead)).toSorted()).toEqual(own.map(formatKey).toSorted());
  },
);

test("a backup that stopped in the middle of what the promoted one took as one batch goes on from there", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, 2);
  world.crash(oslo);
  await writeAt(scene, calgary, 2);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  world.crash(calgary);
  await command(world, zurich, "promote", { force: true });
  const middle = formatPosition(
    (await world.reading(oslo, (store) => store.read((r) => r.site.record()))).head.position,
  );
  const before = world.network.sent.length;
  await world.start(oslo);
  await world.scheduler.run(hourMs);
  const pushed = world.network.sent.slice(before).filter(({ to, path }) => to === oslo && path === applyPath);
  const [, first] = pushed.map(({ json }) => JSON.parse(json) as { after: string; rows: object[] });
  expect(first?.after).toBe(middle);
  // The two that it lacks, and their vault.
  expect(first?.rows.length).toBe(3);
  await world.start(calgary);
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  expect(await strandedAt(world, zurich)).toEqual([]);
});

test("recover brings a primary that was put back to its backup's state, and strands what it had written since", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  const later = await writeAt(scene, calgary, 3);
  world.crash(calgary);
  await world.putBack(calgary, image);
  world.network.cut(calgary, zurich);
  await world.start(calgary);
  const own = await writeAt(scene, calgary, 2);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  expect(await roleOf(world, calgary)).toBe("primary, primary_behind");
  await command(world, calgary, "recover");
  await world.scheduler.run(hourMs);
  expect(await roleOf(world, calgary)).toBe("primary");
  expect(await roleOf(world, zurich)).toBe("backup");
  await atRest(world);
  const rows = await world.rows(calgary);
  for (const key of later) expect(rows.has(formatKey(key))).toBe(true);
  expect((await strandedAt(world, calgary)).toSorted()).toEqual(own.map(formatKey).toSorted());
});

test("recover in which a site dies at any step is repeated, and ends the same", async () => {
  for (const victim of [calgary, zurich]) {
    for (let n = 1; n < 60; n += 2) {
      const scene = await pair({ seed: n });
      const { world } = scene;
      const image = world.image(calgary);
      await writeAt(scene, calgary, 2);
      await world.restore(calgary, image);
      await world.scheduler.run(minuteMs);
      let calls = 0;
      world.crashesHere = (site) => site === victim && ++calls === n;
      void world.command(calgary, "recover");
      await world.scheduler.run(10 * minuteMs);
      world.crashesHere = () => false;
      await world.start(victim);
      await world.scheduler.run(minuteMs);
      await settleSites(world, writeToPrimary(scene));
      await atRest(world);
    }
  }
}, 120_000);

test("where no backup can be reached, recover with force goes on from the older copy, and the backup's rows are stranded", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  const later = await writeAt(scene, calgary, 3);
  await world.restore(calgary, image);
  await world.scheduler.run(minuteMs);
  expect(await roleOf(world, calgary)).toBe("primary, primary_behind");
  world.crash(zurich);
  await command(world, calgary, "recover", { force: true });
  expect(await roleOf(world, calgary)).toBe("primary");
  await writeAt(scene, calgary, 1);
  await world.start(zurich);
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  expect((await strandedAt(world, calgary)).toSorted()).toEqual(later.map(formatKey).toSorted());
});
