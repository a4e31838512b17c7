import { expect, test } from "vitest";
import { beginAction, decodeBeginning } from "../../src/core/audit.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { checkAudit } from "./audit-checks.ts";
import { atRest, hourMs, minuteMs, pair, pushes, statusOf, writeEntries } from "./scene.ts";
import { calgary, type World, zurich } from "./world.ts";

/** The audits of a pair: what they bring each other, and what a disk that was put back shows. */

/** Reads commit, and nothing travels. */
async function read(world: World, site: SiteName, count = 1): Promise<void> {
  for (let i = 0; i < count; i += 1) void world.clients.read(site);
  await world.scheduler.run(0);
}

async function told(world: World, site: SiteName): Promise<readonly string[]> {
  const alerts = await world.process(site).store.read((r) => r.alerts.newest(100));
  return alerts.map(({ event, details }) => `${event} of ${String(details["site"])}`).toReversed();
}

/** The actions of a site's chains as another site holds them, each chain by itself. */
async function chainsAt(world: World, site: SiteName, owner: SiteName): Promise<readonly string[][]> {
  const { store } = world.process(site);
  const chains = (await store.read((r) => r.audit.chains())).filter((chain) => chain.site === owner);
  const lists = chains.map(async ({ chain }) => {
    const records = await store.read((r) => r.audit.records(chain, 0, 1_000));
    return records.map(({ action }) => action);
  });
  return Promise.all(lists);
}

test("what is read at either site wakes nobody, and is in both audits after the next push", async () => {
  const scene = await pair();
  const { world } = scene;
  const before = pushes(world).length;
  for (const site of [calgary, zurich]) await read(world, site, 5);
  await world.scheduler.run(24 * hourMs);
  expect(pushes(world)).toHaveLength(before);
  expect((await statusOf(world)).state).toBe("asleep");
  await writeEntries(scene, 1);
  await atRest(world);
  expect(pushes(world)).toHaveLength(before + 1);
  for (const owner of [calgary, zurich]) {
    const other = owner === calgary ? zurich : calgary;
    const own = await chainsAt(world, owner, owner);
    expect(own).toMatchObject([[beginAction, ...Array.from({ length: 5 }, () => expect.any(String))]]);
    expect(await chainsAt(world, other, owner)).toEqual(own);
  }
});

test("a backlog of records makes each drain longer by one push at most", async () => {
  const scene = await pair();
  const { world } = scene;
  await read(world, zurich, 1_000);
  await read(world, calgary, 700);
  const drains: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    const before = pushes(world).length;
    await writeEntries(scene, 1);
    await world.scheduler.run(hourMs);
    drains.push(pushes(world).length - before);
  }
  expect(Math.max(...drains)).toBe(2);
  expect(drains.at(-1)).toBe(1);
  await atRest(world);
  await checkAudit(world, calgary);
});

test("a backup's disk put back is told once, on record in a new chain, and gets its records back", async () => {
  const scene = await pair();
  const { world } = scene;
  await read(world, zurich);
  const image = world.image(zurich);
  await read(world, zurich, 3);
  await writeEntries(scene, 1);
  await world.scheduler.run(minuteMs);
  await world.restore(zurich, image);
  await atRest(world);
  expect(await told(world, zurich)).toEqual(["audit_truncated of zurich", "audit_continued of zurich"]);
  expect(await told(world, calgary)).toEqual([]);
  const { store } = world.process(zurich);
  const chains = (await store.read((r) => r.audit.chains())).filter(({ site }) => site === zurich);
  expect(chains.map(({ head, isOwn }) => ({ seq: head.seq, isOwn }))).toEqual([
    { seq: 5, isOwn: false },
    { seq: 1, isOwn: true },
  ]);
  const [old, own] = chains;
  if (!old || !own) throw new Error("two chains were expected");
  const [first] = await store.read((r) => r.audit.records(own.chain, 0, 1));
  const beginning = decodeBeginning(first?.details ?? new Uint8Array());
  const named = beginning?.known.filter(({ chain }) => chain === old.chain);
  expect(named?.map(({ head }) => head.seq)).toEqual([2, 5]);
});

test("a chain that goes two ways is told once, by the site whose it is, which then begins another", async () => {
  const scene = await pair();
  const { world } = scene;
  await read(world, zurich);
  const image = world.image(zurich);
  await read(world, zurich, 3);
  await writeEntries(scene, 1);
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  await world.restore(zurich, image);
  await read(world, zurich, 2);
  world.network.healAll();
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  await writeEntries(scene, 1);
  await atRest(world);
  expect(await told(world, zurich)).toEqual(["audit_truncated of zurich", "audit_continued of zurich"]);
  // The site has said so itself before anybody else could tell.
  expect(await told(world, calgary)).toEqual([]);
  await checkAudit(world, calgary);
});
