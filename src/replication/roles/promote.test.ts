import { expect, test } from "vitest";
import { Refusal } from "../../core/errors.ts";
import { encodeGrantRequest } from "../../protocol/role-frames.ts";
import { identityOf } from "../identity.ts";
import { applyPath, grantPath } from "../transport.ts";
import { atRest, hourMs, minuteMs, pair, secondMs, type Scene, writeAt } from "../../../test/sim/scene.ts";
import { calgary, oslo, type World, zurich } from "../../../test/sim/world.ts";
import type { SiteName } from "../../core/ids.ts";

/** What a command answers, or the code of its refusal, after so long. */
async function answerOf(
  world: World,
  site: SiteName,
  name: string,
  body: object = {},
  ms = minuteMs,
): Promise<unknown> {
  let answer: unknown = "nothing";
  void world.command(site, name, body).then((result) => {
    answer = result instanceof Refusal ? result.code : result;
  });
  await world.scheduler.run(ms);
  return answer;
}

/** What comes of a call of a store, which goes on only while the world's time does. */
async function done<T>(world: World, call: Promise<T>): Promise<T> {
  const settled = Promise.allSettled([call]);
  await world.scheduler.run(1);
  const [outcome] = await settled;
  if (outcome.status === "rejected") throw outcome.reason;
  return outcome.value;
}

async function standing(world: World, site: SiteName): Promise<string> {
  const { role, fenced, epoch } = await world.process(site).store.read((r) => r.site.record());
  return `${role} ${fenced ?? "free"} ${epoch.number}`;
}

/** Calgary has promised to hand over to zurich, which died before it could take it. */
async function granted(): Promise<Scene> {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) => {
    if (path === grantPath) world.crash(zurich);
    return undefined;
  };
  void world.command(zurich, "promote");
  await world.scheduler.run(secondMs);
  world.network.intercept = null;
  if ((await world.primary.store.read((r) => r.site.record())).fenced === null)
    await done(
      world,
      world.primary.store.transact((tx) => tx.roles.grant(zurich)),
    );
  await world.scheduler.run(secondMs);
  return scene;
}

test("a promotion that was made is answered again, with the epoch and the position that it was", async () => {
  const { world } = await pair();
  const first = await answerOf(world, zurich, "promote");
  expect(first).toMatchObject({ site: "zurich", role: "primary", epoch: 2, result: "promoted" });
  const again = await answerOf(world, zurich, "promote");
  expect(again).toEqual({ ...(first as object), result: "already_primary" });
  await atRest(world);
});

test("a grant is taken back on the primary, and its holder can never use it", async () => {
  const { world } = await granted();
  expect(await standing(world, calgary)).toBe("primary promotion_granted 1");
  expect((await world.primary.edition.writeGuard())?.code).toBe("site_fenced");
  const { grant } = await world.primary.store.read((r) => r.site.record());
  if (!grant) throw new Error("no grant is open");
  await world.start(zurich);
  expect(await answerOf(world, calgary, "promote")).toMatchObject({ site: "calgary", result: "taken_back" });
  expect(await standing(world, calgary)).toBe("primary free 1");
  await expect(
    done(
      world,
      world.process(zurich).store.transact((tx) => tx.roles.promoteBy(grant, true)),
    ),
  ).rejects.toMatchObject({
    code: "grant_declined",
  });
  await atRest(world);
});

test("a grant whose holder does not answer stays open, and the refusal says what --force would do", async () => {
  const { world } = await granted();
  expect(await answerOf(world, calgary, "promote")).toBe("unreachable");
  expect(await standing(world, calgary)).toBe("primary promotion_granted 1");
  expect(await answerOf(world, calgary, "promote", { force: true })).toMatchObject({
    result: "taken_back",
    epoch: 3,
  });
  await world.start(zurich);
  await atRest(world);
});

test("a primary whose grant was used says so, and becomes the backup of whoever used it", async () => {
  const { world } = await granted();
  const { grant } = await world.primary.store.read((r) => r.site.record());
  if (!grant) throw new Error("no grant is open");
  world.network.cut(calgary, zurich);
  await world.start(zurich);
  await done(
    world,
    world.process(zurich).store.transact((tx) => tx.roles.promoteBy(grant, true)),
  );
  world.network.heal(calgary, zurich);
  expect(await answerOf(world, calgary, "promote", {}, 500)).toMatchObject({
    site: "zurich",
    role: "primary",
    epoch: 2,
    result: "promoted",
  });
  await world.stop(zurich);
  await world.start(zurich);
  await world.scheduler.run(minuteMs);
  expect(await standing(world, calgary)).toBe("backup free 2");
  await atRest(world);
});

test("after half a minute without what is missing, the grant is given back and the primary takes writes", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) =>
    path.endsWith("/apply") ? { status: 503, body: undefined } : undefined;
  await writeAt(scene, calgary, 2);
  expect(await answerOf(world, zurich, "promote", {}, 29 * secondMs)).toBe("nothing");
  expect(await standing(world, calgary)).toBe("primary promotion_granted 1");
  await world.scheduler.run(2 * secondMs);
  expect(await standing(world, calgary)).toBe("primary free 1");
  expect(await standing(world, zurich)).toBe("backup free 1");
  world.network.intercept = null;
  await atRest(world);
});

test("a grant that is given back while the primary cannot be told is told of as soon as it can", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) =>
    path.endsWith("/apply") ? { status: 503, body: undefined } : undefined;
  await writeAt(scene, calgary, 1);
  let answer: unknown;
  void world.command(zurich, "promote").then((result) => {
    answer = result;
  });
  await world.scheduler.run(secondMs);
  world.network.cut(calgary, zurich);
  await world.scheduler.run(2 * minuteMs);
  expect(answer).toMatchObject({ code: "unreachable" });
  expect(await standing(world, calgary)).toBe("primary promotion_granted 1");
  world.network.intercept = null;
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  expect(await standing(world, calgary)).toBe("primary free 1");
  await atRest(world);
});

test("decline ends a promotion that waits, and a grant whose promotion died", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) =>
    path.endsWith("/apply") ? { status: 503, body: undefined } : undefined;
  await writeAt(scene, calgary, 1);
  void world.command(zurich, "promote");
  await world.scheduler.run(secondMs);
  expect(await answerOf(world, zurich, "promote")).toBe("busy");
  world.network.intercept = null;
  const dead = await granted();
  await dead.world.start(zurich);
  expect(await answerOf(dead.world, zurich, "decline")).toMatchObject({ result: "declined" });
  expect(await standing(dead.world, calgary)).toBe("primary free 1");
  await atRest(dead.world);
});

test("a site that came home and was not proved equal since is not promoted but by force", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await answerOf(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  expect(await standing(world, calgary)).toBe("primary primary_superseded 1");
  world.network.intercept = (path) =>
    path.endsWith("/apply") ? { status: 503, body: undefined } : undefined;
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ role: "backup", winner: "zurich" });
  expect(await answerOf(world, calgary, "promote")).toBe("not_proved");
  expect(await answerOf(world, calgary, "promote", { dry_run: true })).toMatchObject({
    kind: "planned",
    refused: expect.stringContaining("not proved equal since"),
  });
  world.network.intercept = null;
  await atRest(world);
});

test("a primary that went back refuses to be promoted, with or without force", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeAt(scene, calgary, 2);
  await world.restore(calgary, image);
  await world.scheduler.run(minuteMs);
  for (const force of [false, true]) {
    expect(await answerOf(world, calgary, "promote", { force })).toBe("primary_behind");
  }
  await answerOf(world, calgary, "recover", {}, hourMs);
  await atRest(world);
});

test("an open grant that another site's promotion has overtaken is resolved without anybody's help", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  await done(
    world,
    world.primary.store.transact((tx) => tx.roles.grant(zurich)),
  );
  world.network.cut(zurich, oslo);
  world.network.cut(calgary, oslo);
  await answerOf(world, oslo, "promote", { force: true });
  world.network.heal(calgary, oslo);
  await world.scheduler.run(hourMs);
  expect(await standing(world, calgary)).toBe("primary primary_superseded 1");
  expect((await world.primary.store.read((r) => r.site.record())).grant).toBeNull();
  world.network.heal(zurich, oslo);
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ winner: "oslo" });
  await atRest(world);
});

test("a promotion that waits for what can no longer come ends at once, and gives its grant back", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.network.cut(calgary, oslo);
  const isOfCalgary = (json: string) => (JSON.parse(json) as { site: string }).site === calgary;
  world.network.intercept = (path, json) =>
    path === applyPath && isOfCalgary(json) ? { status: 503, body: undefined } : undefined;
  await writeAt(scene, calgary, 1);
  let answer: unknown = "nothing";
  void world.command(zurich, "promote").then((result) => {
    answer = result;
  });
  await world.scheduler.run(secondMs);
  expect(answer).toBe("nothing");
  await answerOf(world, oslo, "promote", { force: true }, secondMs);
  expect(answer).toMatchObject({ code: "grant_unmet" });
  expect(await standing(world, calgary)).toBe("primary primary_superseded 1");
  world.network.intercept = null;
  world.network.heal(calgary, oslo);
  await answerOf(world, calgary, "rejoin");
  await atRest(world);
});

test("a promotion that waits ends at once where the primary takes its grant back", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) => (path === applyPath ? { status: 503, body: undefined } : undefined);
  await writeAt(scene, calgary, 1);
  let answer: unknown = "nothing";
  void world.command(zurich, "promote").then((result) => {
    answer = result;
  });
  await world.scheduler.run(secondMs);
  expect(await answerOf(world, calgary, "promote", {}, secondMs)).toMatchObject({ result: "taken_back" });
  expect(answer).toMatchObject({ code: "grant_declined" });
  world.network.intercept = null;
  await atRest(world);
});

test("a grant, each time it is asked for, is followed by a push with the proof of its head, though nothing is dirty", async () => {
  const { world } = await pair();
  const pushes = () => world.network.sent.filter(({ path }) => path === applyPath).length;
  const before = pushes();
  const identity = identityOf(await world.process(zurich).store.read((r) => r.site.record()));
  const body: unknown = JSON.parse(encodeGrantRequest({ identity, message: { action: "request" } }));
  for (const repeated of [1, 2]) {
    void world.primary.receive(grantPath, zurich, body);
    await world.scheduler.run(secondMs);
    expect(pushes()).toBe(before + repeated);
  }
  expect(await standing(world, calgary)).toBe("primary promotion_granted 1");
});

test("a backup is made primary by no site that is not the primary of its epoch", async () => {
  const { world } = await pair({ backups: [zurich, oslo] });
  const { head, epoch } = await world.process(zurich).store.read((r) => r.site.record());
  const identity = {
    ...identityOf(await world.process(oslo).store.read((r) => r.site.record())),
    role: "primary" as const,
  };
  const grant = { id: "00000000-0000-4000-8000-000000000000", to: zurich, epoch, head };
  const body: unknown = JSON.parse(encodeGrantRequest({ identity, message: { action: "take", grant } }));
  const reply = world.process(zurich).receive(grantPath, oslo, body);
  expect(await done(world, reply)).toMatchObject({ status: 409, body: { code: "other_primary" } });
  expect(await standing(world, zurich)).toBe("backup free 1");
  const own = { ...identity, site: calgary };
  const legitimate: unknown = JSON.parse(
    encodeGrantRequest({ identity: own, message: { action: "take", grant } }),
  );
  expect(await done(world, world.process(zurich).receive(grantPath, calgary, legitimate))).toMatchObject({
    status: 200,
  });
  expect(await standing(world, zurich)).toBe("primary free 2");
});

test("a grant that is taken back by force is told to every backup at once", async () => {
  const { world } = await pair();
  await done(
    world,
    world.primary.store.transact((tx) => tx.roles.grant(zurich)),
  );
  expect(await answerOf(world, calgary, "promote", { force: true }, secondMs)).toMatchObject({ epoch: 3 });
  expect(await standing(world, zurich)).toBe("backup free 3");
  await atRest(world);
});

test("a grant that is taken back where another site was promoted meanwhile leaves the site fenced, and says so", async () => {
  const { world } = await pair({ backups: [zurich, oslo] });
  await done(
    world,
    world.primary.store.transact((tx) => tx.roles.grant(zurich)),
  );
  world.crash(zurich);
  await answerOf(world, oslo, "promote", { force: true });
  await world.scheduler.run(hourMs);
  expect(await standing(world, calgary)).toBe("primary promotion_granted 1");
  await world.start(zurich);
  expect(await answerOf(world, calgary, "promote", {}, secondMs)).toBe("site_fenced");
  expect(await standing(world, calgary)).toBe("primary primary_superseded 1");
  expect(await answerOf(world, calgary, "rejoin")).toMatchObject({ winner: "oslo" });
  await atRest(world);
});
