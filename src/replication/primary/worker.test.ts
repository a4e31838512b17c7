import { expect, test } from "vitest";
import {
  alertsOf,
  atRest,
  hourMs,
  minuteMs,
  pair,
  type Scene,
  statusOf,
  strandedAt,
  writeAt,
} from "../../../test/sim/scene.ts";
import { calgary, oslo, type World, zurich } from "../../../test/sim/world.ts";
import { formatKey, type RowKey } from "../../core/row.ts";
import { applyPath, asidePath, repairPath } from "../transport.ts";

/** Has the primary count anew and repair, and goes on before that is over. */
async function demandRepair(world: World): Promise<void> {
  void world.command(calgary, "verify", { repair: true });
  await world.scheduler.run(0);
}

/** A pair of which the backup holds a damaged row. */
async function damagedPair(): Promise<Scene & { readonly key: RowKey }> {
  const scene = await pair();
  const [key] = await writeAt(scene, calgary, 5);
  if (!key) throw new Error("nothing was written");
  await scene.world.turnBit(zurich, key, "body");
  return { ...scene, key };
}

const peerOf = async (world: World) => {
  const [peer] = await world.primary.store.read((r) => r.replication.peers());
  if (!peer) throw new Error("calgary has no peer");
  return peer;
};

/** Cuts the link at each `apply` of a repair, so many times. */
function cutRepairs(world: World, times: number): () => number {
  let cuts = 0;
  world.network.intercept = (path, json) => {
    const isApply = path === repairPath && (JSON.parse(json) as { step: string }).step === "apply";
    if (!isApply || cuts >= times) return undefined;
    cuts += 1;
    return { status: 500, body: undefined };
  };
  return () => cuts;
}

test("a repair that is cut short is begun anew after a wait, as often as it takes, and counts as one", async () => {
  const { world } = await damagedPair();
  const cuts = cutRepairs(world, 5);
  let repairsMax = 0;
  await demandRepair(world);
  for (let minute = 0; minute < 30; minute += 1) {
    await world.scheduler.run(minuteMs);
    repairsMax = Math.max(repairsMax, (await peerOf(world)).repairs);
  }
  expect([cuts(), repairsMax]).toEqual([5, 1]);
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_diverged", "replication_repaired"]);
});

test("the end of the incident tells what was moved", async () => {
  const scene = await pair();
  const { world } = scene;
  const [here, there] = await writeAt(scene, calgary, 2);
  if (!here || !there) throw new Error("nothing was written");
  await world.turnBit(calgary, here, "body");
  await world.turnBit(zurich, there, "body");
  await demandRepair(world);
  await atRest(world);
  const told = (await world.primary.store.read((r) => r.alerts.newest(10))).find(
    ({ event }) => event === "replication_repaired",
  );
  expect(told?.details).toEqual({ backup: zurich, repaired: 1, removed: 0, healed: 1 });
});

test("two repairs without an equal proof are the last, also over a restart; an operator may have more", async () => {
  const { world, key } = await damagedPair();
  await world.turnBit(calgary, key, "hash");
  await demandRepair(world);
  await world.scheduler.run(24 * hourMs);
  const repairs = () => world.network.sent.filter(({ json }) => json.includes('"step":"recount"')).length;
  const before = repairs();
  expect((await peerOf(world)).repairs).toBe(2);
  expect((await statusOf(world)).state).toBe("asleep");
  await world.stop(calgary);
  await world.start(calgary);
  await world.scheduler.run(24 * hourMs);
  expect(repairs()).toBe(before);
  expect(world.scheduler.pending).toBe(0);
  expect(await alertsOf(world)).toEqual(["replication_diverged"]);
  await demandRepair(world);
  await world.scheduler.run(hourMs);
  // One count of verify itself, and one of each repair.
  expect(repairs()).toBe(before + 3);
  await world.clients.rewriteDamaged(calgary);
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_diverged", "replication_repaired"]);
});

test("a repair that ends with its process is followed by no more than one other", async () => {
  const { world } = await damagedPair();
  cutRepairs(world, 1);
  await demandRepair(world);
  await world.scheduler.run(500);
  expect(await peerOf(world)).toMatchObject({ diverged: true, repairs: 1 });
  world.crash(calgary);
  await world.start(calgary);
  await world.scheduler.run(minuteMs);
  await demandRepair(world);
  await atRest(world);
});

test("writes during a repair are shipped after it, and proved", async () => {
  const scene = await damagedPair();
  const { world } = scene;
  let written = false;
  world.network.intercept = (path) => {
    if (path === repairPath && !written) {
      written = true;
      for (let i = 0; i < 10; i += 1) void world.write(world.newEntryKey(scene.vault.vaultId));
    }
    return undefined;
  };
  await demandRepair(world);
  await atRest(world);
  const { acked, verified } = await statusOf(world);
  expect(verified?.position).toBe(acked);
});

test("what a repair sends counts among the bytes", async () => {
  const { world } = await damagedPair();
  const before = (await statusOf(world)).counters;
  const sentBefore = world.network.sent.length;
  await demandRepair(world);
  await atRest(world);
  const after = (await statusOf(world)).counters;
  const sent = world.network.sent.slice(sentBefore);
  const pushed = sent
    .filter(({ path }) => path === applyPath)
    .reduce((sum, { json }) => sum + json.length, 0);
  const [apply] = sent.filter(({ json }) => json.includes('"step":"apply"'));
  expect(after.bytes - before.bytes).toBeGreaterThan(pushed + (apply?.json.length ?? 0));
});

test("what one backup has put aside is collected after the next drain, and what follows reaches every backup", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.network.cut(calgary, zurich);
  world.network.cut(calgary, oslo);
  const [lost] = await writeAt(scene, calgary, 1);
  if (!lost) throw new Error("nothing was written");
  world.crash(calgary);
  void world.command(zurich, "promote", { force: true });
  await world.scheduler.run(minuteMs);
  await world.start(calgary);
  world.network.healAll();
  await world.scheduler.run(hourMs);
  let dropped = 0;
  world.network.intercept = (path) => {
    if (path !== asidePath || dropped >= 3) return undefined;
    dropped += 1;
    return { status: 500, body: undefined };
  };
  void world.command(calgary, "rejoin");
  await world.scheduler.run(hourMs);
  expect(dropped).toBe(3);
  expect(await strandedAt(world, zurich)).toEqual([formatKey(lost)]);
  await atRest(world);
  for (const site of [calgary, zurich, oslo])
    expect(await strandedAt(world, site)).toEqual([formatKey(lost)]);
  const told = (await world.process(zurich).store.read((r) => r.alerts.openIncidents())).map(
    ({ event }) => event,
  );
  expect(told).toEqual(["rows_stranded"]);
});
