import { expect, test } from "vitest";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import { formatKey } from "../core/row.ts";
import type { VerifyResult } from "../protocol/admin-requests.ts";
import { applyPath, repairPath } from "./transport.ts";
import { atRest, hourMs, minuteMs, pair, secondMs, writeAt, writeEntries } from "../../test/sim/scene.ts";
import { calgary, oslo, type World, zurich } from "../../test/sim/world.ts";

async function verify(world: World, site: SiteName, body: object = {}): Promise<VerifyResult> {
  let answer: object = new Refusal("busy");
  void world.command(site, "verify", body).then((result) => {
    answer = result;
  });
  await world.scheduler.run(minuteMs);
  return answer as VerifyResult;
}

test("equal sites are told to be equal, each with the number of its rows", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  await writeAt(scene, calgary, 4);
  const whole = { equal: true, rows: 5, differing: [], error: null };
  expect(await verify(world, calgary)).toEqual({
    equal: true,
    position: "1:5",
    local: { rows: 5, damaged: [], database: "ok" },
    peers: [
      { site: "zurich", ...whole },
      { site: "oslo", ...whole },
    ],
  });
});

test("a damaged row is named on the side where it lies, and --repair has it healed from the other", async () => {
  const scene = await pair();
  const { world } = scene;
  const [here, there] = await writeAt(scene, calgary, 2);
  if (!here || !there) throw new Error("nothing was written");
  await world.turnBit(calgary, here, "body");
  await world.turnBit(zurich, there, "body");
  const found = await verify(world, calgary, { repair: true });
  expect(found.equal).toBe(false);
  expect(found.local.damaged).toEqual([formatKey(here)]);
  expect(found.peers[0]?.differing).toEqual([{ key: formatKey(there), what: "damaged" }]);
  await world.scheduler.run(minuteMs);
  expect((await verify(world, calgary)).equal).toBe(true);
  await atRest(world);
});

test("rows that a backup has not acknowledged yet are no difference", async () => {
  const scene = await pair();
  const { world } = scene;
  const [changed] = await writeAt(scene, calgary, 2);
  if (!changed) throw new Error("nothing was written");
  world.network.intercept = (path) => (path === applyPath ? { status: 503, body: undefined } : undefined);
  void world.write(changed);
  await writeEntries(scene, 3);
  await world.scheduler.run(secondMs);
  const { equal, local, peers } = await verify(world, calgary);
  expect({ equal, here: local.rows, there: peers[0]?.rows }).toEqual({ equal: true, here: 7, there: 3 });
  world.network.intercept = null;
  await atRest(world);
});

test("pushes while it compares are no difference", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 3);
  await world.scheduler.run(secondMs);
  world.network.heal(calgary, zurich);
  let answer: VerifyResult | undefined;
  void world.command(calgary, "verify").then((result) => {
    answer = result as VerifyResult;
  });
  for (let write = 0; write < 20; write += 1) {
    void world.write(world.newEntryKey(scene.vault.vaultId));
    await world.scheduler.run(3);
  }
  await world.scheduler.run(minuteMs);
  expect(answer).toMatchObject({ equal: true, peers: [{ differing: [], error: null }] });
  await atRest(world);
});

test("a backup that moves faster than it counts is compared by rows", async () => {
  const scene = await pair();
  const { world } = scene;
  const [key] = await writeAt(scene, calgary, 30);
  if (!key) throw new Error("nothing was written");
  await world.turnBit(zurich, key, "body");
  const { realm, epoch } = await world.process(zurich).store.read((r) => r.site.record());
  const identity = { site: zurich, realm, role: "backup", epoch, applied: "1:1", chain: "0".repeat(64) };
  world.network.intercept = (path, json) =>
    path === repairPath && json.includes("recount")
      ? { status: 409, body: { code: "resume", ...identity } }
      : undefined;
  const [peer] = (await verify(world, calgary)).peers;
  expect(peer).toMatchObject({
    rows: 31,
    differing: [{ key: formatKey(key), what: "damaged" }],
    error: null,
  });
});

test("a backup whose list of rows does not end is asked no further, and is not equal", async () => {
  const scene = await pair();
  const { world } = scene;
  const [key] = await writeAt(scene, calgary, 3);
  if (!key) throw new Error("nothing was written");
  await world.turnBit(zurich, key, "body");
  const { realm, epoch } = await world.process(zurich).store.read((r) => r.site.record());
  const identity = { site: zurich, realm, role: "backup", epoch, applied: "1:1", chain: "0".repeat(64) };
  let lists = 0;
  world.network.intercept = (path, json) => {
    if (path !== repairPath || !json.includes('"list"')) return undefined;
    lists += 1;
    const { buckets } = JSON.parse(json) as { buckets: [number] };
    const next = lists > 9 ? null : { bucket: buckets[0], key: formatKey(key) };
    return { status: 200, body: { ...identity, step: "list", rows: [], next } };
  };
  const [peer] = (await verify(world, calgary)).peers;
  expect(peer).toMatchObject({ equal: false, error: "the answer makes no sense" });
  expect(lists).toBe(1);
  world.network.intercept = null;
});

test("a backup that does not answer is not equal, and keeps no other from being compared", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  await writeAt(scene, calgary, 1);
  world.crash(zurich);
  const { equal, peers } = await verify(world, calgary);
  expect(equal).toBe(false);
  expect(peers).toEqual([
    { site: "zurich", equal: false, rows: 0, differing: [], error: "it does not answer (ECONNREFUSED)" },
    { site: "oslo", equal: true, rows: 2, differing: [], error: null },
  ]);
});

test("a backup counts its own rows, and leaves the comparison to the primary", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeAt(scene, calgary, 1);
  const { equal, local, peers } = await verify(world, zurich);
  expect(equal).toBe(false);
  expect(local).toEqual({ rows: 2, damaged: [], database: "ok" });
  expect(peers[0]?.error).toContain("only a primary compares");
  await world.scheduler.run(hourMs);
});
