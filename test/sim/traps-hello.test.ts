import { expect, test } from "vitest";
import type { Refusal } from "../../src/core/errors.ts";
import { applyPath, helloPath } from "../../src/replication/transport.ts";
import { alertsOf, atRest, hourMs, minuteMs, pair, secondMs, statusOf, writeEntries } from "./scene.ts";
import { calgary, oslo, World, zurich } from "./world.ts";

/** What a site believes of a message, and what it makes of the epochs in it. */

const higher = { number: 7, id: "00000000-0000-4000-8000-000000000000" };
const chain = "0".repeat(64);

async function helloOf(world: World, changes: object): Promise<object> {
  const { realm, epoch } = await world.primary.store.read((r) => r.site.record());
  const identity = { site: zurich, realm, role: "backup", epoch, applied: "1:1", chain };
  return { protocol: 1, public_url: "https://zurich.example", ...identity, ...changes };
}

test("a hello with a higher epoch fences a primary, which tells it once and ships no more", async () => {
  const scene = await pair();
  const { world } = scene;
  const hello = await helloOf(world, { epoch: higher });
  const answer = world.primary.receive(helloPath, zurich, hello);
  await world.scheduler.run(minuteMs);
  expect(await answer).toMatchObject({ status: 200 });
  expect((await world.primary.store.read((r) => r.site.record())).fenced).toBe("primary_superseded");
  expect((await world.primary.edition.writeGuard())?.code).toBe("site_fenced");
  expect(await alertsOf(world)).toEqual(["primary_superseded"]);
  expect((await statusOf(world)).state).toBe("fenced");
  expect(world.scheduler.pending).toBe(0);
});

test("a hello of another realm, or of none, fences nobody; the other realm's is refused", async () => {
  const { world } = await pair();
  const stranger = await helloOf(world, { realm: "7e0a0000-0000-4000-8000-000000000000", epoch: higher });
  expect(await world.primary.receive(helloPath, zurich, stranger)).toMatchObject({
    status: 409,
    body: { code: "other_realm" },
  });
  const empty = await helloOf(world, { realm: null, epoch: higher });
  expect(await world.primary.receive(helloPath, zurich, empty)).toMatchObject({ status: 200 });
  await atRest(world);
});

test("a message under another site's credential is not taken", async () => {
  const scene = await pair();
  const { world } = scene;
  const code = (error: unknown) => (error as Refusal).code;
  const hello = await helloOf(world, { epoch: higher });
  expect(await world.primary.receive(helloPath, oslo, hello).catch(code)).toBe("unauthorized");
  await writeEntries(scene, 1);
  await world.scheduler.run(0);
  const push: unknown = JSON.parse(world.network.sent.findLast(({ path }) => path === applyPath)?.json ?? "");
  expect(await world.process(zurich).receive(applyPath, oslo, push).catch(code)).toBe("unauthorized");
  await atRest(world);
});

test("a backup takes note of a higher epoch in the answer to its hello, and of no other site's answer", async () => {
  const { world } = await pair();
  const { realm } = await world.primary.store.read((r) => r.site.record());
  world.crash(zurich);
  const hellos = () => world.network.sent.filter(({ path }) => path === helloPath).length;
  const before = hellos();
  const told = { timeline: [], verified_at: null };
  let site = oslo;
  world.network.intercept = (path) =>
    path === helloPath
      ? { status: 200, body: { site, realm, role: "primary", epoch: higher, applied: "7:1", chain, ...told } }
      : undefined;
  await world.start(zurich);
  await world.scheduler.run(10 * secondMs);
  expect(hellos() - before).toBeGreaterThan(1);
  expect((await world.process(zurich).store.read((r) => r.site.record())).epochSeen.number).toBe(1);
  site = calgary;
  await world.scheduler.run(minuteMs);
  expect((await world.process(zurich).store.read((r) => r.site.record())).epochSeen).toEqual(higher);
  const after = hellos();
  await world.scheduler.run(24 * hourMs);
  expect(hellos()).toBe(after);
});

test("a backup that names the same point again and again is a failed attempt, not a circle", async () => {
  const scene = await pair();
  const { world } = scene;
  const { realm, epoch } = await world.primary.store.read((r) => r.site.record());
  const body = { code: "resume", site: zurich, realm, role: "backup", epoch, applied: "0:0", chain };
  world.network.intercept = (path) => (path === applyPath ? { status: 409, body } : undefined);
  const before = world.network.sent.length;
  await writeEntries(scene, 1);
  await world.scheduler.run(500);
  expect(world.network.sent.length - before).toBe(2);
  expect((await statusOf(world)).state).toBe("backing_off");
  world.network.intercept = null;
  await atRest(world);
});

test.each([
  ["of less than was pushed", { short: 1 }],
  ["of another history at its end", {}],
  ["of a lower epoch", { epoch: { number: 0, id: "" }, ahead: 1 }],
  ["of a site that is no backup", { role: "primary", ahead: 1 }],
] as const)("an ACK %s does not count", async (_, changes) => {
  const scene = await pair();
  const { world } = scene;
  const { realm, epoch } = await world.primary.store.read((r) => r.site.record());
  const { acked } = await statusOf(world);
  const { short, ahead, ...said } = { short: 0, ahead: 0, ...changes };
  const counts = { accepted: 1, ignored: 0, rejected: [], verified: null };
  world.network.intercept = (path, json) => {
    if (path !== applyPath) return undefined;
    const { through } = JSON.parse(json) as { through: string };
    const applied = `1:${Number(through.split(":")[1]) - short + ahead}`;
    const identity = { site: zurich, realm, role: "backup", epoch, applied, chain, ...said };
    return { status: 200, body: { ...identity, ...counts } };
  };
  await writeEntries(scene, 2);
  await world.scheduler.run(minuteMs);
  expect((await statusOf(world)).acked).toBe(acked);
  world.network.intercept = null;
  await atRest(world);
});

test("after an outage that was over, the next begins with the first wait", async () => {
  const scene = await pair();
  const { world } = scene;
  for (let outage = 0; outage < 2; outage += 1) {
    world.network.cut(calgary, zurich);
    await writeEntries(scene, 1);
    await world.scheduler.run(100);
    expect((await statusOf(world)).attempt).toBe(1);
    await world.scheduler.run(10 * secondMs);
    world.network.heal(calgary, zurich);
    await atRest(world);
  }
});

test("rows that bear no mark when a primary starts with its first backup get one at once", async () => {
  const world = await World.create({ seed: 1, backups: [zurich] });
  const vault = world.newVaultKey();
  await world.start(calgary);
  void world.primary.store.transact((tx) => tx.replication.configurePeers([]));
  void world.write(vault);
  await world.scheduler.run(0);
  world.network.cut(calgary, zurich);
  world.crash(calgary);
  await world.start(calgary);
  await world.scheduler.run(secondMs);
  expect((await world.primary.store.read((r) => r.rows.row(vault)))?.dirty).toBe(true);
  expect((await statusOf(world)).lag_ms).toBeGreaterThan(0);
  world.network.heal(calgary, zurich);
  await world.start(zurich);
  await atRest(world);
});
