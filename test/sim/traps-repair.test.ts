import { expect, test } from "vitest";
import { bytesEqual } from "../../src/core/bytes.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { formatKey, isIntact, type RowKey } from "../../src/core/row.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { sha256Hash } from "../support/ports.ts";
import { command } from "./operator.ts";
import {
  alertsOf,
  atRest,
  hourMs,
  minuteMs,
  pair,
  type Scene,
  secondMs,
  strandedAt,
  writeAt,
  writeEntries,
} from "./scene.ts";
import { calgary, type World, zurich } from "./world.ts";

/** Differences that no position and no chain shows, and what must be made of them. */

const repairs = (world: World): number =>
  world.network.sent.filter(({ path, json }) => path.endsWith("/repair") && json.includes('"recount"'))
    .length;

async function isIntactAt(world: World, site: SiteName, key: RowKey): Promise<boolean> {
  const row = (await world.rows(site)).get(formatKey(key));
  return row !== undefined && isIntact(sha256Hash, row);
}

test.each([
  [calgary, "body"],
  [calgary, "hash"],
  [zurich, "body"],
  [zurich, "hash"],
] as const)(
  "a bit that turned on %s in a row's %s is found by a count of all rows, and healed by the other side",
  async (site, where) => {
    const scene = await pair();
    const { world } = scene;
    const [key] = await writeEntries(scene, 5);
    if (!key) throw new Error("no entry");
    await world.scheduler.run(minuteMs);
    await world.turnBit(site, key, where);
    expect(await isIntactAt(world, site, key)).toBe(false);
    await command(world, calgary, "verify", { repair: true });
    expect(await isIntactAt(world, site, key)).toBe(true);
    await atRest(world);
    expect(await strandedAt(world, calgary)).toEqual([]);
  },
);

test("verify without repair names what differs and changes nothing", async () => {
  const scene = await pair();
  const { world } = scene;
  const [damaged, other] = await writeEntries(scene, 5);
  if (!damaged || !other) throw new Error("no entry");
  await world.scheduler.run(minuteMs);
  await world.turnBit(zurich, damaged, "body");
  await world.turnBit(calgary, other, "body");
  const result = world.command(calgary, "verify");
  await world.scheduler.run(hourMs);
  expect(await result).toMatchObject({
    equal: false,
    local: { rows: 6, damaged: [formatKey(other)] },
    peers: [{ site: "zurich", equal: false, rows: 6 }],
  });
  expect(await isIntactAt(world, zurich, damaged)).toBe(false);
  await command(world, calgary, "verify", { repair: true });
  await atRest(world);
});

/** Cuts the link once so many pushes of the drain have been taken. */
function cutAfter(world: World, pushesTaken: number): void {
  let taken = 0;
  world.network.intercept = (path) => {
    if (path === applyPath && ++taken > pushesTaken) world.network.cut(calgary, zurich);
    return undefined;
  };
}

/**
 * A row that moves above the end of a batch is left out of it. The primary is then put back to where the row stands below again,
 * and the backup, at a point that both histories share, lacks it.
 */
async function leaveRowOut(): Promise<Scene & { readonly key: RowKey; readonly image: Buffer }> {
  const scene = await pair({ limit: { rows: 3, bytes: 1024 * 1024 } });
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const [key] = await writeEntries(scene, 4);
  if (!key) throw new Error("no entry");
  const image = world.image(calgary);
  void world.write(key);
  await world.scheduler.run(1.5 * secondMs);
  world.network.heal(calgary, zurich);
  cutAfter(world, 1);
  await world.scheduler.run(10 * minuteMs);
  return { ...scene, key, image };
}

test("a row that was left out of a batch, and is below the watermark after the primary was put back, is found and shipped", async () => {
  const { world, key, image } = await leaveRowOut();
  expect((await world.rows(zurich)).has(formatKey(key))).toBe(false);
  world.crash(calgary);
  await world.putBack(calgary, image);
  world.network.healAll();
  await world.start(calgary);
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_diverged", "replication_repaired"]);
  expect(await strandedAt(world, calgary)).toEqual([]);
});

test("a vault that was carried from above a watermark, in a history that is undone, gives way and is stranded", async () => {
  const scene = await pair({ limit: { rows: 3, bytes: 1024 * 1024 } });
  const { world, vault } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 3);
  const image = world.image(calgary);
  await writeEntries(scene, 1);
  void world.write(vault);
  await world.scheduler.run(1.5 * secondMs);
  world.network.heal(calgary, zurich);
  cutAfter(world, 1);
  await world.scheduler.run(10 * minuteMs);
  world.crash(calgary);
  await world.putBack(calgary, image);
  world.network.healAll();
  await world.start(calgary);
  await atRest(world);
  expect(await strandedAt(world, calgary)).toEqual([formatKey(vault)]);
});

test.each([calgary, zurich])(
  "a repair in which %s dies at any moment is made by the next",
  async (victim) => {
    let killed = 0;
    for (let n = 1; n < 60; n += 1) {
      const { world, image } = await leaveRowOut();
      world.crash(calgary);
      await world.putBack(calgary, image);
      world.network.healAll();
      let calls = 0;
      await world.start(calgary);
      world.crashesHere = (site) => site === victim && repairs(world) > 0 && ++calls === n;
      await world.scheduler.run(10 * minuteMs);
      world.crashesHere = () => false;
      if (!world.isUp(victim)) killed += 1;
      await world.start(victim);
      await atRest(world);
    }
    expect(killed).toBeGreaterThan(3);
  },
  120_000,
);

test("a repair whose messages are lost, repeated or answered with nonsense ends equal all the same", async () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const { world, image } = await leaveRowOut();
    world.crash(calgary);
    await world.putBack(calgary, image);
    world.network.healAll();
    const faults = { dropRequest: 0.2, dropAnswer: 0.2, repeat: 0.3, garbage: 0.1, lateMsMax: hourMs };
    world.network.faults = { ...world.network.faults, ...faults, delayMsMax: 20 + seed };
    await world.start(calgary);
    await world.scheduler.run(2 * hourMs);
    world.network.healAll();
    await atRest(world);
  }
});

test("what nobody holds intact is an open incident and no circle, until a client writes it anew", async () => {
  const scene = await pair();
  const { world } = scene;
  const [key] = await writeEntries(scene, 5);
  if (!key) throw new Error("no entry");
  await world.scheduler.run(minuteMs);
  await world.turnBit(calgary, key, "hash");
  await world.turnBit(zurich, key, "body");
  await command(world, calgary, "verify", { repair: true });
  await world.scheduler.run(24 * hourMs);
  expect(world.scheduler.pending).toBe(0);
  expect(await alertsOf(world)).toEqual(["replication_diverged"]);
  const before = repairs(world);
  expect(before).toBeLessThanOrEqual(3);
  for (let i = 0; i < 5; i += 1) await writeAt(scene, calgary, 1);
  await world.scheduler.run(24 * hourMs);
  expect(repairs(world)).toBeLessThanOrEqual(before + 2);
  expect(world.scheduler.pending).toBe(0);
  await world.clients.rewriteDamaged(calgary);
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_diverged", "replication_repaired"]);
});

test("a row that fails its own hash is never shipped, not even to a backup that lacks it", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const [key] = await writeEntries(scene, 3);
  if (!key) throw new Error("no entry");
  await world.turnBit(calgary, key, "body");
  await world.scheduler.run(2 * secondMs);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(24 * hourMs);
  expect((await world.rows(zurich)).has(formatKey(key))).toBe(false);
  expect(world.scheduler.pending).toBe(0);
  await world.clients.rewriteDamaged(calgary);
  await atRest(world);
});

test("a damaged backup is healed with the digests of both sides as they were", async () => {
  const scene = await pair();
  const { world } = scene;
  const keys = await writeEntries(scene, 20);
  await world.scheduler.run(minuteMs);
  const { digest } = await world.process(calgary).store.read((r) => r.site.digest());
  for (const key of keys.slice(0, 7)) await world.turnBit(zurich, key, world.pick(["body", "hash"] as const));
  await command(world, calgary, "verify", { repair: true });
  await atRest(world);
  expect(bytesEqual((await world.process(zurich).store.read((r) => r.site.digest())).digest, digest)).toBe(
    true,
  );
});

test("a proof whose answer is lost is asked for again, with nothing dirty and no write ever again", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  let asked = 0;
  world.network.intercept = (path, json) => {
    const { rows, digest } = JSON.parse(json) as { rows: object[]; digest: string | null };
    // The push with the row is taken and the row refused; the one after it asks whether all others are equal.
    const isQuestion = path === applyPath && digest !== null && rows.length === 0;
    return isQuestion && ++asked === 1 ? { status: 500, body: undefined } : undefined;
  };
  void world.write(key);
  await atRest(world, true);
  expect(asked).toBe(2);
});
