import { expect, test } from "vitest";
import { Refusal } from "../core/errors.ts";
import { encodeAccess } from "../core/access.ts";
import type { AccessId, SiteName, StrandedId } from "../core/ids.ts";
import { formatKey, type RowKey } from "../core/row.ts";
import type { StrandedList, StrandedShown } from "../protocol/admin-requests.ts";
import { hourMs, minuteMs, pair, type Scene, writeAt } from "../../test/sim/scene.ts";
import { calgary, type World, zurich } from "../../test/sim/world.ts";
import { sampleAccess, sampleKeyId } from "../../test/support/row-bodies.ts";

async function run(world: World, site: SiteName, name: string, body: object = {}): Promise<object> {
  let answer: object = new Refusal("busy");
  void world.command(site, name, body).then((result) => {
    answer = result;
  });
  await world.scheduler.run(minuteMs);
  return answer;
}

async function listed(world: World, site: SiteName): Promise<StrandedList["stranded"]> {
  return ((await run(world, site, "stranded", { action: "list" })) as StrandedList).stranded;
}

/** Calgary wrote what zurich, which was promoted meanwhile, never received, and has come home. */
async function strandedScene(count: number): Promise<Scene & { readonly keys: readonly RowKey[] }> {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const keys = await writeAt(scene, calgary, count);
  await run(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  await run(world, calgary, "rejoin");
  return { ...scene, keys };
}

test("what the winner never received is listed on every site alike, in the order in which it was written", async () => {
  const { world, keys } = await strandedScene(3);
  const rows = await listed(world, zurich);
  expect(rows.map(({ key }) => key)).toEqual(keys.map(formatKey));
  expect(rows[0]).toMatchObject({ kind: "entry", position: "1:2", from: "calgary", deleted: false });
  expect(await listed(world, calgary)).toEqual(rows);
});

test("one is shown with what can be seen of it, and an id that is none is refused", async () => {
  const { world } = await strandedScene(1);
  const [row] = await listed(world, zurich);
  const shown = (await run(world, zurich, "stranded", { action: "show", id: row?.id })) as StrandedShown;
  const content = { version: 1, key_id: sampleKeyId, sealed_bytes: expect.any(Number) };
  expect(shown).toEqual({ ...row, content });
  const unknown = { action: "show", id: "00000000-0000-4000-8000-000000000000" };
  expect(await run(world, zurich, "stranded", unknown)).toMatchObject({ code: "stranded_unknown" });
});

test("what a token is checked by, and what it opens the vault with, is shown to nobody", async () => {
  const { world, vault } = await pair();
  world.network.cut(calgary, zurich);
  const { kind: _, ...inVault } = vault;
  const key = { kind: "access", ...inVault, accessId: vault.vaultId as string as AccessId } as const;
  const body = encodeAccess({ ...sampleAccess, name: "ci", scope: "read" });
  void world.primary.write({ keys: [key], decide: () => [{ key, body }] });
  await world.scheduler.run(minuteMs);
  await run(world, zurich, "promote", { force: true });
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  await run(world, calgary, "rejoin");
  const [row] = await listed(world, zurich);
  const shown = await run(world, zurich, "stranded", { action: "show", id: row?.id });
  expect(shown).toMatchObject({ kind: "access", content: { name: "ci", scope: "read" } });
  expect(JSON.stringify(shown)).not.toMatch(/(ab){8}|(cd){8}|(ef){8}|(12){8}/);
});

test("rows are reapplied and discarded on the primary alone, and when none is left the incident ends", async () => {
  const { world, keys } = await strandedScene(2);
  const [first, second] = await listed(world, zurich);
  const reapply = { action: "reapply", id: first?.id };
  expect(await run(world, calgary, "stranded", reapply)).toMatchObject({ code: "read_only_backup" });
  const result = { settled: 1, refused: [], left: 1 };
  expect(await run(world, zurich, "stranded", reapply)).toEqual({ action: "reapply", ...result });
  expect(await run(world, zurich, "stranded", reapply)).toMatchObject({ code: "stranded_unknown" });
  const open = async () =>
    (await world.process(zurich).store.read((r) => r.alerts.openIncidents())).map(
      ({ event }) => event as string,
    );
  expect(await open()).toEqual(["rows_stranded"]);
  const discard = { action: "discard", id: second?.id };
  expect(await run(world, zurich, "stranded", discard)).toMatchObject({ settled: 1, left: 0 });
  expect(await open()).toEqual([]);
  const rows = await world.rows(calgary);
  expect(keys.map((key) => rows.has(formatKey(key)))).toEqual([true, false]);
  const [settled] = (await world.process(zurich).store.read((r) => r.alerts.newest(1))).map(
    ({ event }) => event,
  );
  expect(settled).toBe("stranded_settled");
});

test("of all, those that may not come back are named and stay", async () => {
  const scene = await pair();
  const { world } = scene;
  const [key] = await writeAt(scene, calgary, 1);
  if (!key) throw new Error("nothing was written");
  world.network.cut(calgary, zurich);
  void world.write(key);
  await writeAt(scene, calgary, 1);
  await run(world, zurich, "promote", { force: true });
  void world.write(key, true, zurich);
  await world.scheduler.run(minuteMs);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(hourMs);
  await run(world, calgary, "rejoin");
  const [row, other] = await listed(world, zurich);
  expect([row?.key, other === undefined]).toEqual([formatKey(key), false]);
  expect(await run(world, zurich, "stranded", { action: "reapply", all: true })).toEqual({
    action: "reapply",
    settled: 1,
    refused: [{ id: row?.id, code: "reapply_refused" }],
    left: 1,
  });
  expect(await run(world, zurich, "stranded", { action: "discard", all: true })).toMatchObject({ left: 0 });
  expect((await world.rows(zurich)).get(formatKey(key))?.body).toBeNull();
});

test("one that cannot be read is listed and shown as that, stays where all are reapplied, and can be discarded", async () => {
  const { world, vault } = await strandedScene(1);
  const strandedId = "00000000-0000-8000-8000-000000000000" as StrandedId;
  const key = { kind: "stranded", vaultId: vault.vaultId, strandedId } as const;
  const { store } = world.process(zurich);
  void store.transact((tx) => tx.rows.write({ keys: [], decide: () => [{ key, body: new Uint8Array(7) }] }));
  await world.scheduler.run(minuteMs);
  const unreadable = { id: strandedId, kind: "stranded", key: formatKey(key), from: null, at: null };
  const [, row] = await listed(world, zurich);
  expect(row).toMatchObject(unreadable);
  const one = { action: "show", id: strandedId };
  expect(await run(world, zurich, "stranded", one)).toMatchObject({
    ...unreadable,
    content: "7 bytes that cannot be read",
  });
  expect(await run(world, zurich, "stranded", { action: "reapply", all: true })).toMatchObject({
    settled: 1,
    refused: [{ id: strandedId, code: "stranded_unreadable" }],
    left: 1,
  });
  const reapply = { action: "reapply", id: strandedId };
  expect(await run(world, zurich, "stranded", reapply)).toMatchObject({ code: "stranded_unreadable" });
  const discard = { action: "discard", id: strandedId };
  expect(await run(world, zurich, "stranded", discard)).toMatchObject({ settled: 1, left: 0 });
});

test("which rows are meant must be said, and only once", async () => {
  const { world } = await pair();
  for (const body of [
    { action: "discard" },
    { action: "discard", all: true, id: "00000000-0000-4000-8000-000000000000" },
    { action: "show", id: "x" },
    { action: "forget" },
  ]) {
    expect(await run(world, calgary, "stranded", body)).toMatchObject({ code: "invalid_request" });
  }
});
