import { expect, test } from "vitest";
import { compareEpochs } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import { grantPath } from "../transport.ts";
import { atRest, hourMs, minuteMs, pair, writeAt } from "../../../test/sim/scene.ts";
import { calgary, oslo, type World, zurich } from "../../../test/sim/world.ts";

async function answerOf(world: World, site: SiteName, name: string, body: object = {}): Promise<unknown> {
  let answer: unknown = "nothing";
  void world.command(site, name, body).then((result) => {
    answer = result instanceof Refusal ? result.code : result;
  });
  await world.scheduler.run(hourMs);
  return answer;
}

test("a backup that follows its primary has nowhere to come home from, and stays complete", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeAt(scene, calgary, 2);
  const home = { site: "zurich", role: "backup", winner: "calgary", common: "1:3", put_aside: 0 };
  expect(await answerOf(world, zurich, "rejoin")).toEqual(home);
  expect(await world.process(zurich).store.read((r) => r.site.record())).toMatchObject({
    isComplete: true,
    verified: {},
  });
  await atRest(world);
});

test("rejoining is refused to a primary in its right, and where nobody won", async () => {
  const { world } = await pair();
  expect(await answerOf(world, calgary, "rejoin")).toBe("not_fenced");
  void world.primary.store.transact((tx) => tx.site.recordEpoch({ number: 7, id: "another" }));
  await world.scheduler.run(minuteMs);
  expect(await answerOf(world, calgary, "rejoin")).toBe("winner_unknown");
  world.crash(zurich);
  expect(await answerOf(world, calgary, "rejoin")).toBe("winner_unknown");
});

test("a site that comes home twice is told the same, and puts nothing aside twice", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, 2);
  await answerOf(world, zurich, "promote", { force: true });
  await writeAt(scene, zurich, 1);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ common: "1:1", put_aside: 2 });
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ role: "backup", put_aside: 0 });
  expect((await world.process(zurich).store.read((r) => r.aside.stranded(null, 10))).total).toBe(2);
  await atRest(world);
});

test("a site with a long way back asks for it page by page", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, 2_300);
  await answerOf(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  const before = world.network.sent.length;
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ common: "1:1", put_aside: 2_300 });
  const located = world.network.sent.slice(before).filter(({ path }) => path.endsWith("/locate"));
  expect(located.length).toBe(3);
  await atRest(world);
});

test("a backup of a site that was promoted apart comes home, also where both took the same first change", async () => {
  const { world, vault } = await pair({ backups: [zurich, oslo] });
  world.crash(calgary);
  world.network.cut(zurich, oslo);
  for (const site of [zurich, oslo]) {
    await answerOf(world, site, "promote", { force: true });
    // The same purge at the same position: one chain, in two epochs of one number.
    void world.write(vault, true, site);
  }
  const epochOf = async (site: SiteName) =>
    (await world.process(site).store.read((r) => r.site.record())).epoch;
  const isZurichHigher = compareEpochs(await epochOf(zurich), await epochOf(oslo)) > 0;
  const [winner, loser] = isZurichHigher ? [zurich, oslo] : [oslo, zurich];
  world.network.cut(calgary, winner);
  await world.start(calgary);
  await world.scheduler.run(hourMs);
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ winner: loser });
  world.network.healAll();
  await world.scheduler.run(hourMs);
  for (const site of [loser, calgary]) {
    expect(await answerOf(world, site, "rejoin")).toMatchObject({ winner, common: "2:2", put_aside: 0 });
  }
  await atRest(world);
});

test("a recovery whose backup has moved since takes its grant back, and the next one begins anew", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.crash(oslo);
  const image = world.image(calgary);
  await writeAt(scene, calgary, 1);
  const between = world.image(zurich);
  await writeAt(scene, calgary, 1);
  await world.restore(calgary, image);
  await world.scheduler.run(minuteMs);
  world.network.intercept = (path) => (path === grantPath ? { status: 503, body: undefined } : undefined);
  expect(await answerOf(world, calgary, "recover")).toBe("unreachable");
  expect((await world.primary.store.read((r) => r.site.record())).grant?.to).toBe(zurich);
  world.network.intercept = null;
  await world.restore(zurich, between);
  expect(await answerOf(world, calgary, "recover")).toBe("grant_unmet");
  expect(await world.primary.store.read((r) => r.site.record())).toMatchObject({
    fenced: "primary_behind",
    grant: null,
  });
  expect(await answerOf(world, calgary, "recover")).toMatchObject({ role: "primary", epoch: 3 });
  await world.start(oslo);
  await atRest(world);
});
