import { expect, test } from "vitest";
import { pair, secondMs, writeAt } from "../../../test/sim/scene.ts";
import { calgary, oslo, World, zurich } from "../../../test/sim/world.ts";
import { applyPath, helloPath } from "../transport.ts";
import type { SiteName } from "../../core/ids.ts";
import { formatKey } from "../../core/row.ts";
import type { PromotionPreflight } from "../../protocol/admin-requests.ts";

async function preflight(world: World, site: SiteName, force = false): Promise<PromotionPreflight> {
  let answer: object | undefined;
  void world.command(site, "promote", { force, dry_run: true }).then((result) => {
    answer = result;
  });
  await world.scheduler.run(31 * secondMs);
  return answer as PromotionPreflight;
}

test("a planned promotion's preflight names where this site stands, what was proved when, and what the primary says", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeAt(scene, calgary, 2);
  const before = await world.process(zurich).store.read((r) => r.site.record());
  const { kind, site, epoch, known, refused } = await preflight(world, zurich);
  expect({ kind, site, epoch, refused }).toEqual({
    kind: "planned",
    site: "zurich",
    epoch: 1,
    refused: null,
  });
  expect(known).toEqual({
    applied: "1:3",
    "last push": expect.stringMatching(/^from calgary at 2026-/),
    "last proof": expect.stringMatching(/^equal at 1:3, at 2026-/),
    calgary: "primary of epoch 1, at 1:3",
  });
  expect((await world.process(zurich).store.read((r) => r.site.record())).epoch).toEqual(before.epoch);
});

test("where no primary answers, a planned promotion would be refused, and a forced one says what it cannot know", async () => {
  const { world } = await pair();
  world.crash(calgary);
  expect(await preflight(world, zurich)).toMatchObject({
    kind: "planned",
    known: { calgary: "does not answer (ECONNREFUSED)" },
    refused: "no primary answers, so that none can hand over",
  });
  const { refused, unknown } = await preflight(world, zurich, true);
  expect(refused).toBeNull();
  expect(unknown).toEqual([
    "which role calgary has, and up to where it has come",
    expect.stringContaining("whether the primary took writes after 1:1"),
    expect.stringContaining("whether the primary still runs"),
  ]);
});

test("peers that hang keep nobody waiting for long, and it is said of them", async () => {
  const { world } = await pair({ backups: [zurich, oslo] });
  world.network.faults = { ...world.network.faults, dropRequest: 1 };
  let answer: object | undefined;
  void world.command(zurich, "promote", { dry_run: true }).then((result) => {
    answer = result;
  });
  await world.scheduler.run(6 * secondMs);
  const silent = "does not answer within 5 s";
  expect(answer).toMatchObject({ kind: "planned", known: { calgary: silent, oslo: silent } });
});

test("another backup that holds more is named as the better choice", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeAt(scene, calgary, 3);
  world.crash(calgary);
  const { known } = await preflight(world, zurich, true);
  expect(known["better choice"]).toBe("promote oslo instead: oslo is at 1:4 and this site at 1:1");
  const { known: ofOslo } = await preflight(world, oslo, true);
  expect(ofOslo).not.toHaveProperty("better choice");
});

test("rows that this site refused are named, and a planned promotion would be refused for them", async () => {
  const scene = await pair();
  const { world } = scene;
  const key = world.newEntryKey(scene.vault.vaultId);
  world.network.poisoned.add(key.entryId);
  void world.write(key);
  await world.scheduler.run(secondMs);
  const missing = { "missing rows": expect.stringContaining(`1 that it refused (${formatKey(key)})`) };
  expect(await preflight(world, zurich)).toMatchObject({
    known: missing,
    refused: "this site refuses rows, which would be missing for good",
  });
  expect(await preflight(world, zurich, true)).toMatchObject({ known: missing, refused: null });
});

test("a primary has nothing to be promoted to; one with an open grant would take it back", async () => {
  const { world } = await pair();
  expect(await preflight(world, calgary)).toMatchObject({ kind: "nothing", refused: null });
  void world.primary.store.transact((tx) => tx.roles.grant(zurich));
  await world.scheduler.run(1);
  world.crash(zurich);
  expect(await preflight(world, calgary)).toMatchObject({
    kind: "take_back",
    known: { grant: "to zurich, from 1:1 on", zurich: "does not answer (ECONNREFUSED)" },
    unknown: [
      "which role zurich has, and up to where it has come",
      expect.stringContaining("whether zurich was promoted meanwhile"),
    ],
  });
});

test("a backup that was never filled would not be promoted, and is not", async () => {
  const world = await World.create({ seed: 1, backups: [zurich] });
  await world.start(zurich);
  expect((await preflight(world, zurich, true)).refused).toContain("was never filled");
  let answer: unknown;
  void world.command(zurich, "promote", { force: true }).then((result) => {
    answer = result;
  });
  await world.scheduler.run(secondMs);
  expect(answer).toMatchObject({ code: "not_ready" });
});

test("an epoch that a peer's answer shows to be higher fences a primary that only wanted to know", async () => {
  const { world } = await pair();
  world.network.cut(calgary, zurich);
  void world.command(zurich, "promote", { force: true });
  await world.scheduler.run(secondMs);
  world.network.heal(calgary, zurich);
  world.network.intercept = (path) => (path === applyPath ? { status: 503, body: undefined } : undefined);
  const { kind, refused } = await preflight(world, calgary);
  expect({ kind, refused }).toEqual({
    kind: "forced",
    refused: expect.stringContaining("another site was promoted"),
  });
  expect((await world.primary.store.read((r) => r.site.record())).fenced).toBe("primary_superseded");
});

test("an answer in another site's name is none", async () => {
  const { world } = await pair();
  const { realm, epoch } = await world.primary.store.read((r) => r.site.record());
  const chain = "0".repeat(64);
  const identity = { site: "oslo", realm, role: "primary", epoch, applied: "1:1", chain };
  world.network.intercept = (path) =>
    path === helloPath ? { status: 200, body: { ...identity, timeline: [], verified_at: null } } : undefined;
  expect(await preflight(world, zurich)).toMatchObject({
    known: { calgary: "oslo answers in its place" },
    refused: expect.stringContaining("no primary answers"),
  });
});
