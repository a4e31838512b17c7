import { expect, test } from "vitest";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { PeerLink } from "../peer-link.ts";
import { applyPath, asidePath, helloPath, makeTransport } from "../transport.ts";
import {
  atRest,
  hourMs,
  minuteMs,
  pair,
  type Scene,
  secondMs,
  writeAt,
  writeEntries,
} from "../../../test/sim/scene.ts";
import { calgary, oslo, type World, zurich } from "../../../test/sim/world.ts";

async function run(world: World, site: SiteName, name: string, body: object = {}): Promise<object> {
  let answer: object = new Refusal("busy");
  void world.command(site, name, body).then((result) => {
    answer = result;
  });
  await world.scheduler.run(minuteMs);
  return answer;
}

async function told(world: World, site: SiteName): Promise<string[]> {
  const alerts = await world.process(site).store.read((r) => r.alerts.newest(100));
  return alerts
    .map(({ event, details }) => `${event} ${String(details["backup"] ?? "")}`.trim())
    .toReversed();
}

function pushesOf(world: World, from: SiteName): number {
  return world.network.sent.filter((request) => request.from === from && request.path === applyPath).length;
}

/** Zurich was promoted while calgary could not be reached, and calgary has met it since. */
async function superseded(): Promise<Scene> {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, 1);
  await run(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  return scene;
}

test("a fence is told once, and its end and that of what was open about a backup when the site comes home", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, 1);
  await world.scheduler.run(hourMs);
  await run(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  const before = ["replication_lagging zurich", "replication_failed zurich", "primary_superseded"];
  expect(await told(world, calgary)).toEqual(before);
  world.crash(calgary);
  await world.start(calgary);
  await world.scheduler.run(minuteMs);
  expect(await told(world, calgary)).toEqual(before);
  await run(world, calgary, "rejoin");
  const after = await told(world, calgary);
  expect(after.slice(0, 3)).toEqual(before);
  expect(after.slice(3).toSorted()).toEqual([
    "primary_rejoined",
    "replication_caught_up zurich",
    "replication_recovered zurich",
  ]);
  expect(await world.primary.store.read((r) => r.alerts.openIncidents())).toEqual([]);
  await atRest(world);
});

test("what is open when a site becomes a backup is ended at its next start, where it died before", async () => {
  const { world } = await superseded();
  let dies = false;
  world.crashesHere = (site) => site === calgary && dies;
  void world.command(calgary, "rejoin");
  while ((await world.primary.store.read((r) => r.site.record())).role === "primary")
    await world.scheduler.run(1);
  dies = true;
  await world.scheduler.run(minuteMs);
  dies = false;
  await world.start(calgary);
  await world.scheduler.run(minuteMs);
  expect(await world.primary.store.read((r) => r.alerts.openIncidents())).toEqual([]);
  await atRest(world);
});

test("a promoted site pushes to every peer at once, and tells of rows that its last primary left stranded", async () => {
  const scene = await superseded();
  const { world } = scene;
  await run(world, calgary, "rejoin");
  await world.scheduler.run(minuteMs);
  expect(await told(world, zurich)).toContain("rows_stranded");
  const before = pushesOf(world, calgary);
  await run(world, calgary, "promote");
  expect(pushesOf(world, calgary)).toBeGreaterThan(before);
  expect(await told(world, zurich)).toContain("stranded_settled");
  expect((await told(world, calgary)).at(-1)).toBe("rows_stranded");
  await atRest(world);
});

test("a fenced site that is promoted again tells that its fence is over", async () => {
  const { world } = await superseded();
  await run(world, calgary, "promote", { force: true });
  const fences = (await told(world, calgary)).filter((event) => event.startsWith("primary"));
  expect(fences).toEqual(["primary_superseded", "primary_rejoined"]);
  await run(world, zurich, "rejoin");
  await atRest(world);
});

/** Calgary has promised its role to zurich, which is down; `lacks`: rows of calgary that zurich has not. */
async function granted(lacks = 0): Promise<Scene> {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, lacks);
  void world.primary.store.transact((tx) => tx.roles.grant(zurich));
  await world.scheduler.run(secondMs);
  world.crash(zurich);
  world.crash(calgary);
  await world.start(calgary);
  world.network.heal(calgary, zurich);
  return scene;
}

async function toldOfPromotions(world: World): Promise<string[]> {
  return (await told(world, calgary)).filter((event) => event.startsWith("promotion"));
}

test("a planned promotion that nobody answers is told after a minute, once, and its end when it is taken back", async () => {
  const { world } = await granted();
  await world.scheduler.run(minuteMs - secondMs);
  expect(await toldOfPromotions(world)).toEqual([]);
  await world.scheduler.run(hourMs);
  expect(await toldOfPromotions(world)).toEqual(["promotion_unanswered"]);
  await world.start(zurich);
  await run(world, calgary, "promote");
  expect(await toldOfPromotions(world)).toEqual(["promotion_unanswered", "promotion_answered"]);
  await atRest(world);
});

test("a planned promotion that is made late ends what was told of it", async () => {
  const { world } = await granted();
  await world.scheduler.run(hourMs);
  await world.start(zurich);
  await run(world, zurich, "promote");
  expect((await world.primary.store.read((r) => r.site.record())).role).toBe("backup");
  expect(await toldOfPromotions(world)).toEqual(["promotion_unanswered", "promotion_answered"]);
  await atRest(world);
});

test("an incident that comes back with the disk of a former primary is ended by the push that makes it a backup again", async () => {
  const scene = await granted();
  const { world } = scene;
  await world.scheduler.run(hourMs);
  const image = world.image(calgary);
  await world.start(zurich);
  await run(world, zurich, "promote");
  await world.restore(calgary, image);
  expect(await world.primary.store.read((r) => r.alerts.openIncidents())).not.toEqual([]);
  await writeAt(scene, zurich, 1);
  await world.scheduler.run(minuteMs);
  expect((await world.primary.store.read((r) => r.site.record())).role).toBe("backup");
  expect(await world.primary.store.read((r) => r.alerts.openIncidents())).toEqual([]);
  await atRest(world);
});

test("a planned promotion that a forced one overtook is over, and the fence is told in its place", async () => {
  const { world } = await granted(1);
  await world.scheduler.run(hourMs);
  world.network.cut(calgary, zurich);
  await world.start(zurich);
  await run(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  expect((await world.primary.store.read((r) => r.site.record())).fenced).toBe("primary_superseded");
  expect(await toldOfPromotions(world)).toEqual(["promotion_unanswered", "promotion_answered"]);
  expect(await told(world, calgary)).toContain("primary_superseded");
  await run(world, calgary, "rejoin");
  await atRest(world);
});

test("a planned promotion that is made in time is not told, and leaves no timer", async () => {
  const { world } = await pair();
  await run(world, zurich, "promote");
  await world.scheduler.run(hourMs);
  expect(await told(world, calgary)).toEqual([]);
  await atRest(world);
});

test("a site that is promoted decides on what it has put aside itself, where its last primary had not", async () => {
  const { world } = await superseded();
  world.network.intercept = (path) => (path === asidePath ? { status: 503, body: undefined } : undefined);
  await run(world, calgary, "rejoin");
  const { store } = world.process(calgary);
  expect((await store.read((r) => r.aside.waiting(10))).waiting).toBe(1);
  world.network.cut(calgary, zurich);
  await run(world, calgary, "promote", { force: true });
  expect((await store.read((r) => r.aside.waiting(10))).waiting).toBe(0);
  expect((await store.read((r) => r.aside.stranded(null, 10))).total).toBe(1);
  expect((await told(world, calgary)).at(-1)).toBe("rows_stranded");
  world.network.intercept = null;
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  await run(world, zurich, "rejoin");
  await atRest(world);
});

test("a backup says hello to each peer once, also to one that is added while it runs", async () => {
  const { world } = await pair();
  const hellos = (to: SiteName) =>
    world.network.sent.filter((sent) => sent.from === zurich && sent.to === to && sent.path === helloPath)
      .length;
  const before = hellos(calgary);
  const { edition } = world.process(zurich);
  const link = (site: SiteName): PeerLink => ({
    site,
    url: `https://${site}.example`,
    transport: makeTransport(world.network.exchange(zurich, site, () => true)),
  });
  const [first, second] = [link(calgary), link(oslo)];
  void edition.setPeers([first, second]);
  await world.scheduler.run(500);
  expect(hellos(calgary)).toBe(before + 1);
  expect(hellos(oslo)).toBe(1);
  void edition.setPeers([{ ...first }]);
  await world.scheduler.run(hourMs);
  expect(hellos(calgary)).toBe(before + 1);
  expect(hellos(oslo)).toBe(1);
});

test("a peer that is removed stops its rows from counting as dirty; one that is added is filled, and none waits for another", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.network.cut(calgary, oslo);
  await writeEntries(scene, 3);
  await world.scheduler.run(secondMs);
  const dirty = async () => (await world.primary.store.read((r) => r.replication.backlogOfAll())).dirty;
  expect(await dirty()).toBe(3);
  const link = (site: SiteName): PeerLink => ({
    site,
    url: `https://${site}.example`,
    transport: makeTransport(world.network.exchange(calgary, site, () => true)),
  });
  const [toZurich, toOslo] = [link(zurich), link(oslo)];
  void world.primary.edition.setPeers([toZurich]);
  await world.scheduler.run(secondMs);
  const requests = () => world.network.sent.filter(({ to }) => to === oslo).length;
  const sent = requests();
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  expect([await dirty(), requests()]).toEqual([0, sent]);
  expect(world.trace.filter((line) => line.includes("fault"))).toEqual([]);
  void world.primary.edition.setPeers([toZurich, toOslo]);
  await writeEntries(scene, 1);
  await world.scheduler.run(secondMs);
  const status = await world.primary.receive("/api/replication", calgary, undefined);
  const { peers } = status.body as { peers: { site: string; dirty: number; state: string }[] };
  expect(peers.map(({ site, dirty: left }) => [site, left > 0])).toEqual([
    ["zurich", false],
    ["oslo", true],
  ]);
  world.network.heal(calgary, oslo);
  await world.scheduler.run(hourMs);
  expect(await dirty()).toBe(0);
  expect([...(await world.rows(oslo)).keys()].length).toBe(6);
});
