import { expect, test } from "vitest";
import type { RowKey } from "../../src/core/row.ts";
import { formatKey } from "../../src/core/row.ts";
import { comparePositions, formatPosition } from "../../src/core/position.ts";
import type { Refusal } from "../../src/core/errors.ts";
import type { PeerStatus } from "../../src/protocol/replication-status.ts";
import { applyPath, helloPath } from "../../src/replication/transport.ts";
import { checkAtRest } from "./checks.ts";
import { calgary, oslo, type TrackedWrite, World, type WorldOptions, zurich } from "./world.ts";

/**
 * The schedules that lost a write in some design or other, each by name. The simulator meets them all by chance; here each is
 * brought about on purpose.
 */

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

type Scene = { readonly world: World; readonly vault: RowKey & { kind: "vault" } };

/** A pair that runs and is equal, with one vault. */
async function pair(options: Partial<WorldOptions> = {}): Promise<Scene> {
  const world = await World.create({ seed: 1, backups: [zurich], ...options });
  for (const site of world.sites.keys()) await world.start(site);
  const vault = world.newVaultKey();
  void world.write(vault);
  await world.scheduler.run(secondMs);
  return { world, vault };
}

/** Sends writes to new entries of the vault all at once and lets them commit, but nothing travel far. */
async function writeEntries({ world, vault }: Scene, count: number): Promise<RowKey[]> {
  const keys = Array.from({ length: count }, () => world.newEntryKey(vault.vaultId));
  for (const key of keys) void world.write(key);
  await world.scheduler.run(0);
  return keys;
}

async function atRest(world: World, exceptQuarantine = false): Promise<void> {
  await world.scheduler.run(24 * hourMs);
  await checkAtRest(world, { exceptQuarantine });
}

async function statusOf(world: World): Promise<PeerStatus> {
  const { body } = await world.primary.receive("/api/replication", calgary, undefined);
  const [peer] = (body as { peers: PeerStatus[] }).peers;
  if (!peer) throw new Error("calgary names no peer");
  return peer;
}

function pushes(world: World): { readonly through: string; readonly rows: readonly { kind: string }[] }[] {
  return world.network.sent.filter(({ path }) => path === applyPath).map(({ json }) => JSON.parse(json));
}

async function alertsOf(world: World): Promise<string[]> {
  return (await world.primary.store.alerts(100)).map(({ event }) => event).toReversed();
}

test("an edit while its push is in flight stays dirty until the edit itself is acknowledged", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, delayMsMax: 500 };
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  void world.write(key);
  await world.scheduler.run(0);
  const before = pushes(world).length;
  await world.scheduler.run(hourMs);
  expect(pushes(world).length).toBeGreaterThan(before);
  await atRest(world);
});

test("more than 100 dirty rows go in batches of 100, one drain, and nothing is left", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 250);
  await world.scheduler.run(2 * secondMs);
  const before = pushes(world).length;
  world.network.heal(calgary, zurich);
  await atRest(world);
  const batches = pushes(world)
    .slice(before)
    .filter(({ rows }) => rows.length > 1);
  // Each carries its vault besides.
  expect(batches.map(({ rows }) => rows.length)).toEqual([101, 101, 51]);
});

test("a burst of 50 writes is one batch", async () => {
  const scene = await pair();
  const { world } = scene;
  const before = pushes(world).length;
  await writeEntries(scene, 50);
  await atRest(world);
  expect(pushes(world).length - before).toBeLessThanOrEqual(2);
});

test("a signal in any step before sleep is not lost", async () => {
  for (let delayMs = 0; delayMs < 30; delayMs += 1) {
    const scene = await pair({ seed: delayMs });
    await writeEntries(scene, 1);
    await scene.world.scheduler.run(delayMs);
    await writeEntries(scene, 1);
    await atRest(scene.world);
  }
});

test("a backup that crashes between apply and ACK gets the batch once more and applies nothing twice", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await world.scheduler.run(20);
  world.crash(zurich);
  world.network.healAll();
  await world.start(zurich);
  await atRest(world);
});

test("a primary that crashes between apply and ACK resumes upward from where the backup stands", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await world.scheduler.run(20);
  world.crash(calgary);
  world.network.healAll();
  await world.start(calgary);
  await atRest(world);
});

test("an ACK that never arrives costs a retry, and the rows are not sent again", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  await writeEntries(scene, 5);
  await world.scheduler.run(29 * secondMs);
  world.network.healAll();
  const before = pushes(world).length;
  await atRest(world);
  expect(
    pushes(world)
      .slice(before)
      .map(({ rows }) => rows.length),
  ).toEqual([6]);
});

test("a late repetition of an old batch changes nothing, nor one from before a backup was put back", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, repeat: 1, lateMsMax: 6 * hourMs };
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  const image = world.image(zurich);
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, image);
  await world.start(zurich);
  world.network.healAll();
  await atRest(world);
});

test("with retries exhausted and no write ever again, the backup is filled once it is back", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(20 * minuteMs);
  expect((await statusOf(world)).state).toBe("probing");
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
  await world.scheduler.run(72 * hourMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
  world.network.heal(calgary, zurich);
  await world.scheduler.run(20 * minuteMs);
  await atRest(world);
  expect((await alertsOf(world)).slice(2).toSorted()).toEqual([
    "replication_caught_up",
    "replication_recovered",
  ]);
});

test("the waits between attempts are those of the customer's document: 1, 5, 25, 125, 625 s, then every 15 min", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const times: number[] = [];
  world.network.note = (text) => {
    if (text.includes("push")) times.push(world.scheduler.nowMs);
  };
  await writeEntries(scene, 1);
  await world.scheduler.run(40 * minuteMs);
  const waits = times.slice(1).map((time, i) => (time - (times[i] ?? 0)) / secondMs);
  const planned = [1, 5, 25, 125, 625, 900];
  for (const [i, wait] of planned.entries()) {
    expect(waits[i]).toBeGreaterThan(wait * 0.89);
    expect(waits[i]).toBeLessThan(wait * 1.11 + 0.1);
  }
});

test("a backup that comes back says hello and is filled at once, without waiting for the next attempt", async () => {
  const scene = await pair();
  const { world } = scene;
  world.crash(zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(hourMs);
  await world.start(zurich);
  await world.scheduler.run(5 * secondMs);
  await checkAtRest(world, { exceptQuarantine: false });
});

test("a crash right after the commit, before any signal, loses nothing: the start pushes what is dirty", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  const { store } = world.primary;
  await Promise.all([
    store.write({ keys: [key], decide: () => [{ key, body: new TextEncoder().encode('{"lineage":[]}') }] }),
    world.scheduler.run(0),
  ]);
  world.crash(calgary);
  await world.start(calgary);
  await atRest(world);
  expect(await world.rows(zurich)).toHaveProperty("size", 2);
});

test("a backup put back to an older copy is filled again from where that copy stands", async () => {
  const scene = await pair();
  const { world } = scene;
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  const image = world.image(zurich);
  await writeEntries(scene, 4);
  await world.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, image);
  const before = pushes(world).length;
  await world.start(zurich);
  await atRest(world);
  expect(
    pushes(world)
      .slice(before)
      .map(({ rows }) => rows.length),
  ).toEqual([0, 5]);
});

test("an empty backup is filled by the same resume, from the origin", async () => {
  const scene = await pair();
  const { world } = scene;
  const empty = (await World.create({ seed: 1, backups: [zurich] })).image(zurich);
  await writeEntries(scene, 30);
  await world.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, empty);
  await world.start(zurich);
  await atRest(world);
});

test("a primary put back to an older copy, written to and restarted twice, is fenced and never overwrites its backup", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 4);
  await world.scheduler.run(minuteMs);
  world.network.cut(calgary, zurich);
  world.crash(calgary);
  await world.putBack(calgary, image);
  await world.start(calgary);
  await writeEntries(scene, 2);
  for (let i = 0; i < 2; i += 1) {
    world.crash(calgary);
    await world.start(calgary);
  }
  world.network.heal(calgary, zurich);
  await atRest(world);
  const refused = world.write(world.newVaultKey());
  await world.scheduler.run(secondMs);
  expect(((await refused) as Refusal).code).toBe("site_fenced");
  expect((await world.rows(zurich)).size).toBe(5);
});

test("a fenced primary that is restarted stays fenced, tells nobody again and schedules nothing", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 1);
  await world.scheduler.run(minuteMs);
  world.crash(calgary);
  await world.putBack(calgary, image);
  await world.start(calgary);
  await world.scheduler.run(minuteMs);
  world.crash(calgary);
  await world.start(calgary);
  await atRest(world);
  expect((await world.primary.store.site()).fenced).toBe("primary_behind");
});

test("a primary that has written nothing yet is not taken for one that was put back", async () => {
  const world = await World.create({ seed: 1, backups: [zurich] });
  for (const site of world.sites.keys()) await world.start(site);
  await world.scheduler.run(minuteMs);
  await world.stop(calgary);
  await world.start(calgary);
  await atRest(world);
});

test("a backup put back while it runs is filled again with the next write", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(zurich);
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  await world.putBack(zurich, image);
  await writeEntries(scene, 1);
  await atRest(world);
});

test("a primary put back while it runs is fenced with the next write", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(calgary);
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  await world.putBack(calgary, image);
  await writeEntries(scene, 1);
  await atRest(world);
  expect((await world.primary.store.site()).fenced).toBe("primary_behind");
});

test("an ACK for a push from before the disk was put back moves no watermark of the primary", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.faults = { ...world.network.faults, delayMsMax: 200 };
  const image = world.image(calgary);
  await writeEntries(scene, 3);
  await world.putBack(calgary, image);
  await world.scheduler.run(hourMs);
  const { acked } = await statusOf(world);
  expect(acked).toBe("1:1");
});

test("one row that the backup refuses stops none of the 99 others, is told once, and goes through on demand", async () => {
  const scene = await pair();
  const { world } = scene;
  const keys = Array.from({ length: 100 }, () => world.newEntryKey(scene.vault.vaultId));
  const [bad] = keys;
  if (!bad) throw new Error("no entry");
  world.network.poisoned.add(bad.entryId);
  for (const key of keys) void world.write(key);
  await atRest(world, true);
  expect(await alertsOf(world)).toEqual(["replication_quarantined"]);
  expect((await statusOf(world)).quarantined).toBe(1);
  expect((await world.rows(zurich)).has(formatKey(bad))).toBe(false);
  world.network.healAll();
  await world.retryQuarantine(calgary);
  await atRest(world);
  expect(await alertsOf(world)).toEqual(["replication_quarantined", "replication_quarantine_cleared"]);
});

test("a row in quarantine goes through when it changes", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  void world.write(key);
  await atRest(world, true);
  world.network.healAll();
  void world.write(key);
  await atRest(world);
});

test("a refused row is known to be missing even where the ACK that said so was lost", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.poisoned.add(key.entryId);
  world.network.faults = { ...world.network.faults, dropAnswer: 1 };
  void world.write(key);
  await world.scheduler.run(10 * secondMs);
  world.network.faults = { ...world.network.faults, dropAnswer: 0 };
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(1);
});

test("413 halves the batch, and a row that is too large alone goes to quarantine", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path, json) => {
    const isTooLarge = path === applyPath && (JSON.parse(json) as { rows: object[] }).rows.length > 3;
    return isTooLarge ? { status: 413, body: undefined } : undefined;
  };
  await writeEntries(scene, 20);
  await atRest(world);
  world.network.intercept = (path, json) =>
    path === applyPath && (JSON.parse(json) as { rows: object[] }).rows.length > 0
      ? { status: 413, body: undefined }
      : undefined;
  await writeEntries(scene, 2);
  await atRest(world, true);
  expect((await statusOf(world)).quarantined).toBe(2);
});

test("an entry over the byte limit of a batch goes alone, after those before it", async () => {
  const scene = await pair({ limit: { rows: 100, bytes: 50 } });
  const { world } = scene;
  const before = pushes(world).length;
  await writeEntries(scene, 5);
  await atRest(world);
  expect(
    pushes(world)
      .slice(before)
      .map(({ rows }) => rows.length),
  ).toEqual([2, 2, 2, 2, 2]);
});

test("a vault renamed after its 150 entries is there before the first of them", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  world.network.cut(calgary, zurich);
  const other = world.newVaultKey();
  void world.write(other);
  await writeEntries({ world, vault: other }, 150);
  void world.write(other);
  await world.scheduler.run(0);
  const empty = (await World.create({ seed: 1, backups: [zurich] })).image(zurich);
  world.crash(zurich);
  await world.putBack(zurich, empty);
  await world.start(zurich);
  world.network.heal(calgary, zurich);
  const orphaned: string[] = [];
  while ((await statusOf(world)).acked !== formatPosition((await world.primary.store.site()).head.position)) {
    await world.scheduler.run(1);
    const rows = await world.rows(zurich);
    const hasVault = (key: RowKey) => rows.has(formatKey({ kind: "vault", vaultId: key.vaultId }));
    orphaned.push(...[...rows.values()].filter(({ key }) => !hasVault(key)).map(({ key }) => formatKey(key)));
  }
  expect(orphaned).toEqual([]);
  await atRest(world);
  expect(vault).toBeDefined();
});

test("the purge of an entry that was never pushed leaves its tombstone on the backup", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  void world.write(key, true);
  await world.scheduler.run(0);
  world.network.heal(calgary, zurich);
  await atRest(world);
  const row = (await world.rows(zurich)).get(formatKey(key));
  expect(row?.body).toBeNull();
});

test("one write every 10 ms to a peer that refuses makes one attempt a second, and the alert comes on time", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const key = world.newEntryKey(vault.vaultId);
  world.network.cut(calgary, zurich);
  const before = pushes(world).length;
  for (let i = 0; i < 1_000; i += 1) {
    void world.write(key);
    await world.scheduler.run(10);
  }
  expect(pushes(world).length - before).toBeLessThanOrEqual(12);
  await world.scheduler.run(12 * minuteMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging"]);
  await world.scheduler.run(4 * minuteMs);
  expect(await alertsOf(world)).toEqual(["replication_lagging", "replication_failed"]);
  world.network.heal(calgary, zurich);
  await atRest(world);
});

test("a shutdown in the middle of a backoff ends the wait at once, and the next start goes on", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.cut(calgary, zurich);
  await writeEntries(scene, 2);
  await world.scheduler.run(3 * minuteMs);
  expect((await statusOf(world)).state).toBe("backing_off");
  const stoppedAtMs = world.scheduler.nowMs;
  let doneMs = Number.POSITIVE_INFINITY;
  void world.primary.edition.stop().then(() => {
    doneMs = world.scheduler.nowMs;
  });
  await world.scheduler.run(secondMs);
  expect(doneMs - stoppedAtMs).toBeLessThan(100);
  world.crash(calgary);
  world.network.heal(calgary, zurich);
  await world.start(calgary);
  await atRest(world);
});

test("a hello during a push in flight is answered by a push that leaves after it", async () => {
  const scene = await pair();
  const { world } = scene;
  const image = world.image(zurich);
  await writeEntries(scene, 3);
  await world.scheduler.run(minuteMs);
  world.network.faults = { ...world.network.faults, delayMsMax: 300 };
  await writeEntries(scene, 1);
  await world.scheduler.run(200);
  world.crash(zurich);
  await world.putBack(zurich, image);
  await world.start(zurich);
  await atRest(world);
});

test("one stuck backup delays no other", async () => {
  const scene = await pair({ backups: [zurich, oslo] });
  const { world } = scene;
  world.network.cut(calgary, zurich);
  const [key] = await writeEntries(scene, 1);
  if (!key) throw new Error("no entry");
  await world.scheduler.run(50);
  expect((await world.rows(oslo)).has(formatKey(key))).toBe(true);
  const row = (await world.rows(calgary)).get(formatKey(key));
  expect(row?.dirty).toBe(true);
  world.network.heal(calgary, zurich);
  await atRest(world);
});

test("a site of another realm is refused, told once, and nothing of it is taken", async () => {
  const scene = await pair();
  const { world } = scene;
  const stranger = await World.create({ seed: 2, backups: [zurich] });
  for (const site of stranger.sites.keys()) await stranger.start(site);
  void stranger.write(stranger.newVaultKey());
  await stranger.scheduler.run(minuteMs);
  world.crash(zurich);
  await world.putBack(zurich, stranger.image(zurich));
  await world.start(zurich);
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  expect(await alertsOf(world)).toContain("replication_refused");
  expect((await statusOf(world)).last_error).toBe("other_realm");
  expect((await world.rows(zurich)).size).toBe(1);
});

test("a credential that is not taken is an incident of its own, told at once", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = () => ({ status: 401, body: undefined });
  await writeEntries(scene, 1);
  await world.scheduler.run(secondMs);
  expect(await alertsOf(world)).toEqual(["replication_unauthorized"]);
  world.network.healAll();
  await atRest(world);
  expect(await alertsOf(world)).toContain("replication_authorized");
});

test("a higher epoch in an answer fences the primary before it does anything else", async () => {
  const scene = await pair();
  const { world } = scene;
  world.network.intercept = (path) =>
    path === applyPath
      ? {
          status: 409,
          body: {
            code: "stale_epoch",
            site: "zurich",
            realm: null,
            role: "primary",
            epoch: { number: 2, id: "00000000-0000-4000-8000-000000000000" },
            applied: "2:7",
            chain: "0".repeat(64),
          },
        }
      : undefined;
  await writeEntries(scene, 1);
  await world.scheduler.run(hourMs);
  expect((await world.primary.store.site()).fenced).toBe("primary_superseded");
  expect(await alertsOf(world)).toEqual(["primary_superseded"]);
  expect(world.scheduler.pending).toBe(0);
});

test("a client that waits for its backups is told when they have its row, and which have not in time", async () => {
  const scene = await pair();
  const { world, vault } = scene;
  const write = async (): Promise<TrackedWrite> => {
    const written = world.write(world.newEntryKey(vault.vaultId));
    await world.scheduler.run(0);
    return (await written) as TrackedWrite;
  };
  const first = await write();
  if (!first.position) throw new Error("not written");
  const held = world.primary.edition.waitReplicated(first.position, 5_000);
  await world.scheduler.run(100);
  expect(await held).toEqual({ zurich: true });
  world.network.cut(calgary, zurich);
  const second = await write();
  if (!second.position) throw new Error("not written");
  expect(comparePositions(second.position, first.position)).toBeGreaterThan(0);
  const notHeld = world.primary.edition.waitReplicated(second.position, 5_000);
  await world.scheduler.run(5_000);
  expect(await notHeld).toEqual({ zurich: false });
});

test("a backup says hello until it is answered once, and then never again", async () => {
  const world = await World.create({ seed: 1, backups: [zurich] });
  await world.start(zurich);
  await world.scheduler.run(hourMs);
  const hellos = () => world.network.sent.filter(({ path }) => path === helloPath).length;
  expect(hellos()).toBeGreaterThan(5);
  await world.start(calgary);
  await world.scheduler.run(hourMs);
  const after = hellos();
  await world.scheduler.run(24 * hourMs);
  expect(hellos()).toBe(after);
  expect(world.scheduler.pending).toBe(0);
});
