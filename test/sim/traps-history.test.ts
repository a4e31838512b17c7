import { expect, test } from "vitest";
import { formatKey, type RowKey } from "../../src/core/row.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { versionOf } from "./bodies.ts";
import { keepVersions, numberOf } from "./entry-history.ts";
import { command, settleSites } from "./operator.ts";
import { atRest, minuteMs, pair, type Scene, strandedAt, writeEntries, writeToPrimary } from "./scene.ts";
import { calgary, type World, zurich } from "./world.ts";

/** An edit is several rows, and a purge too: the schedules that part them. */

type Entry = RowKey & { readonly kind: "entry" };

/** An entry that was edited until an edit is three rows: what was before, what is now, and the oldest version's tombstone. */
async function editedEntry(scene: Scene): Promise<Entry> {
  const { world } = scene;
  const [key] = await writeEntries(scene, 1);
  if (key?.kind !== "entry") throw new Error("no entry");
  for (let edit = 0; edit < keepVersions + 1; edit += 1) {
    void world.write(key);
    await world.scheduler.run(minuteMs);
  }
  return key;
}

/** What a site has of an entry: the version that it is at, and those before. */
async function historyAt(
  world: World,
  key: Entry,
): Promise<{ readonly version: number | null; readonly earlier: readonly number[] }> {
  const { store } = world.process(zurich);
  const row = await store.read((r) => r.rows.row(key));
  const earlier = await store.read((r) => r.rows.versions(key.vaultId, key.entryId, undefined, 10));
  return {
    version: row?.body ? versionOf(key, row.body) : null,
    earlier: earlier.map((version) => numberOf(version.key)),
  };
}

/** Lets one more push arrive, and then no more until the network is whole. */
function cutAfterOnePush(world: World): void {
  let pushes = 0;
  world.network.intercept = (path) => {
    pushes += path === applyPath ? 1 : 0;
    if (pushes > 1) world.network.cut(calgary, zurich);
    return undefined;
  };
}

test.each([1, 2, 3])(
  "a site promoted when %i of an edit's rows had come has no gap in the entry's history",
  async (rows) => {
    const scene = await pair({ limit: { rows, bytes: 1024 * 1024 } });
    const { world } = scene;
    const key = await editedEntry(scene);
    cutAfterOnePush(world);
    void world.write(key);
    await world.scheduler.run(minuteMs);
    world.crash(calgary);
    await command(world, zurich, "promote", { force: true });
    const { version, earlier } = await historyAt(world, key);
    if (version === null) throw new Error("the entry is gone");
    expect(version).toBe(rows === 1 ? keepVersions + 2 : keepVersions + 3);
    const kept = earlier.filter((number) => number < version).slice(0, keepVersions);
    expect(kept).toEqual(Array.from({ length: keepVersions }, (_, index) => version - 1 - index));
    world.network.healAll();
    await world.start(calgary);
    await settleSites(world, writeToPrimary(scene));
    await atRest(world);
    // What the winner lacked of the edit is told of, but not what was before, which it has as the entry itself.
    expect(await strandedAt(world, zurich)).toEqual(rows === 1 ? [formatKey(key)] : []);
  },
);

test.each([1, 2, 3])(
  "a purge of which %i rows had come is made whole when the old primary comes home",
  async (rows) => {
    const scene = await pair({ limit: { rows, bytes: 1024 * 1024 } });
    const { world } = scene;
    const key = await editedEntry(scene);
    cutAfterOnePush(world);
    void world.write(key, true);
    await world.scheduler.run(minuteMs);
    world.crash(calgary);
    await command(world, zurich, "promote", { force: true });
    const { version } = await historyAt(world, key);
    expect(version).toBe(rows === 3 ? null : keepVersions + 2);
    world.network.healAll();
    await world.start(calgary);
    await settleSites(world, writeToPrimary(scene));
    await atRest(world);
    expect(await historyAt(world, key)).toEqual({ version: null, earlier: [] });
    expect(await strandedAt(world, zurich)).toEqual([]);
  },
);

test("an edit that a purge elsewhere met comes back as itself alone, to be settled: none of its history does", async () => {
  const scene = await pair();
  const { world } = scene;
  const key = await editedEntry(scene);
  world.network.cut(calgary, zurich);
  for (let edit = 0; edit < 2; edit += 1) {
    void world.write(key);
    await world.scheduler.run(minuteMs);
  }
  await command(world, zurich, "promote", { force: true });
  void world.write(key, true, zurich);
  await world.scheduler.run(minuteMs);
  world.network.healAll();
  await settleSites(world, writeToPrimary(scene));
  await atRest(world);
  expect(await historyAt(world, key)).toEqual({ version: null, earlier: [] });
  expect(await strandedAt(world, zurich)).toEqual([formatKey(key)]);
});
