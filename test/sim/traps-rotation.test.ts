import { beforeAll, expect, test } from "vitest";
import { decodeStranded } from "../../src/core/aside.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { entryIdOf } from "../../src/core/resealing.ts";
import { isLive } from "../../src/core/row.ts";
import { openStranded } from "../../src/core/stranded.ts";
import type { AccessSecret } from "../../src/crypto/access-secret.ts";
import { refusalOf } from "../support/sealing.ts";
import { command } from "./operator.ts";
import { hourMs, minuteMs } from "./scene.ts";
import {
  accessAt,
  commitChange,
  type Disks,
  editAt,
  entryIdAt,
  entryIds,
  heldAt,
  lockedOutAt,
  openAt,
  type Prepared,
  prepareAt,
  sealedDisks,
  sealedWorld,
  secrets,
  underOlderAt,
} from "./sealed-vault.ts";
import { calgary, oslo, type World, zurich } from "./world.ts";

/** Changes of a vault's key, with real keys, cut off at every step: whoever was not revoked still opens everything, wherever it goes on. */

let pairDisks: Disks;
let threeDisks: Disks;
beforeAll(async () => {
  pairDisks = await sealedDisks([zurich]);
  threeDisks = await sealedDisks([zurich, oslo]);
}, 60_000);

const owner = accessAt(0);

/** A walk goes through some twenty worlds, beside whatever else runs. */
const walkMsMax = 60_000;

/** Everybody but those who were revoked opens the vault at a site, and with its keys every entry and version. */
async function expectOpen(world: World, site: SiteName, revoked: readonly AccessSecret[]): Promise<void> {
  const staying = secrets.filter((secret) => !revoked.includes(secret));
  expect(await lockedOutAt(world, site, staying)).toEqual([]);
  using open = await openAt(world, site, owner);
  const { rows } = await heldAt(world, site);
  const titles = rows.map(({ key, body }) => open?.seal.open(entryIdOf(key), body).content.title);
  expect(titles.filter((title) => title === "1")).toHaveLength(entryIds.length);
}

/** Nothing leads those who were revoked to the vault's key, where the site has come so far. */
async function expectShut(world: World, site: SiteName, revoked: readonly AccessSecret[]): Promise<void> {
  for (const secret of revoked) {
    using open = await openAt(world, site, secret);
    expect(open).toBeUndefined();
  }
}

/** The calls of a store that leave a site other than it was: of a primary's writes and ACKs, of a backup's pushes. */
const steps = new Set(["rows.write", "acknowledgements.take", "replication.applyPush"]);

/** Does something at the end of the `count`-th step that any site takes from now on. Returns how many were taken so far. */
function atStep(world: World, count: number, act: () => void): () => number {
  let taken = 0;
  world.onCall = (_, method) => {
    if (!steps.has(method)) return;
    taken += 1;
    if (taken === count) act();
  };
  return () => taken;
}

async function startAll(world: World, sites: Iterable<SiteName> = world.sites.keys()): Promise<void> {
  for (const site of sites) await world.start(site);
}

/** The disks after something was done on them; links are whole again in the next world. */
async function disksAfter(disks: Disks, act: (world: World) => Promise<void>): Promise<Disks> {
  const world = await sealedWorld(disks);
  await startAll(world);
  await world.scheduler.run(minuteMs);
  await act(world);
  await world.scheduler.run(hourMs);
  const after = new Map([...world.sites.keys()].map((site) => [site, world.image(site)]));
  world.end();
  return after;
}

async function outcomeOf(world: World, site: SiteName, name: string, body: object): Promise<object> {
  let outcome: object | undefined;
  void world.command(site, name, body).then((result) => {
    outcome = result;
  });
  await world.scheduler.run(minuteMs);
  if (outcome === undefined) throw new Error(`${name} on ${site} does not come to an end`);
  return outcome;
}

/** A vault that came in front of a batch, and changed again before its own position was reached, lies there twice. */
async function discardStranded(world: World, site: SiteName): Promise<void> {
  const { rows } = await world.process(site).store.read((r) => r.aside.stranded(null, 1_000));
  for (const { key } of rows) {
    if (key.kind === "stranded")
      await outcomeOf(world, site, "stranded", { action: "discard", id: key.strandedId });
  }
}

/** An access that stays writes at a site: with it goes whatever a change of the key has left undone. */
async function expectEnds(world: World, site: SiteName, revoked: readonly AccessSecret[]): Promise<void> {
  await editAt(world, site, accessAt(20), entryIdAt(3));
  await world.scheduler.run(hourMs);
  expect(await underOlderAt(world, site)).toBe(0);
  await expectOpen(world, site, revoked);
  // A site that stands alone, and has nothing stranded, waits for nobody.
  world.setPeers(
    site,
    world.peersOf(site).filter((peer) => world.isUp(peer)),
  );
  await discardStranded(world, site);
  await editAt(world, site, accessAt(21), entryIdAt(4));
  await world.scheduler.run(hourMs);
  await expectOpen(world, site, revoked);
  const { vault } = await heldAt(world, site);
  expect(vault.links.map(({ accessId }) => accessId)).not.toContain(accessAt(20).accessId);
}

type Walk = {
  readonly disks: Disks;
  readonly revoked: readonly AccessSecret[];
  /** Brings a world to where the steps begin to count. */
  readonly begin: (world: World) => Promise<void>;
  /** What the steps belong to. */
  readonly act: (world: World) => Promise<void>;
  /** Whose disk goes, and who is promoted then. */
  readonly victim: SiteName;
  readonly heir: SiteName;
};

/** Kills a site for good after each step, in a world of its own for each, and promotes another. Returns how many steps there are. */
async function walk({ disks, revoked, begin, act, victim, heir }: Walk): Promise<number> {
  for (let count = 0; ; count += 1) {
    const world = await sealedWorld(disks);
    await begin(world);
    const taken = atStep(world, count, () => world.crash(victim));
    if (count === 0) world.crash(victim);
    else await act(world);
    await world.scheduler.run(hourMs);
    const isOver = count > 0 && taken() < count;
    world.crash(victim);
    await world.start(heir);
    await command(world, heir, "promote", { force: true });
    await expectOpen(world, heir, revoked);
    if (isOver) await expectShut(world, heir, revoked);
    await expectEnds(world, heir, revoked);
    world.end();
    if (isOver) return count;
  }
}

async function startWhole(world: World): Promise<void> {
  await startAll(world);
  await world.scheduler.run(minuteMs);
}

/** A revocation that is prepared once for all worlds that begin with these disks. */
async function preparedOn(disks: Disks, revoked: AccessSecret): Promise<Prepared> {
  const world = await sealedWorld(disks);
  await world.start(calgary);
  const prepared = await prepareAt(world, calgary, revoked.accessId);
  world.end();
  return prepared;
}

async function revokeAt(world: World, site: SiteName, revoked: AccessSecret): Promise<void> {
  await commitChange(world, site, await prepareAt(world, site, revoked.accessId));
  await world.scheduler.run(minuteMs);
}

test(
  "a site that is promoted after any step of a revocation opens everything for everybody who stays, and ends it",
  async () => {
    const revoked = accessAt(5);
    const prepared = await preparedOn(pairDisks, revoked);
    const taken = await walk({
      disks: pairDisks,
      revoked: [revoked],
      begin: startWhole,
      act: (world) => commitChange(world, calgary, prepared),
      victim: calgary,
      heir: zurich,
    });
    expect(taken).toBeGreaterThan(10);
  },
  walkMsMax,
);

test(
  "a backup that was away for two changes of the key can be promoted after any batch of what it missed",
  async () => {
    const revoked = [accessAt(5), accessAt(6)];
    const disks = await disksAfter(pairDisks, async (world) => {
      world.network.cut(calgary, zurich);
      for (const each of revoked) await revokeAt(world, calgary, each);
    });
    const taken = await walk({
      disks,
      revoked,
      begin: (world) => startAll(world, [zurich]),
      act: (world) => startAll(world),
      victim: calgary,
      heir: zurich,
    });
    expect(taken).toBeGreaterThan(8);
  },
  walkMsMax,
);

test(
  "an access that got its slot anew while the backup was away opens the vault there, whichever of its rows has come",
  async () => {
    const revoked = [accessAt(5), accessAt(6)];
    const disks = await disksAfter(pairDisks, async (world) => {
      world.network.cut(calgary, zurich);
      await revokeAt(world, calgary, accessAt(5));
      await editAt(world, calgary, accessAt(7), entryIdAt(7));
      await revokeAt(world, calgary, accessAt(6));
      await editAt(world, calgary, accessAt(8), entryIdAt(8));
    });
    await walk({
      disks,
      revoked,
      begin: (world) => startAll(world, [zurich]),
      act: (world) => startAll(world),
      victim: calgary,
      heir: zurich,
    });
  },
  walkMsMax,
);

test(
  "an access that writes while the backup is away has a way there until its new slot has come",
  async () => {
    const revoked = [accessAt(5)];
    const disks = await disksAfter(pairDisks, async (world) => {
      await revokeAt(world, calgary, accessAt(5));
      world.network.cut(calgary, zurich);
      // More than one batch in front of the slot.
      for (let i = 10; i < 30; i += 1) await editAt(world, calgary, owner, entryIdAt(i));
      await editAt(world, calgary, accessAt(7), entryIdAt(7));
    });
    await walk({
      disks,
      revoked,
      begin: (world) => startAll(world, [zurich]),
      act: (world) => startAll(world),
      victim: calgary,
      heir: zurich,
    });
  },
  walkMsMax,
);

test(
  "of three sites the one that lags behind can be promoted after any batch from the one that was promoted before it",
  async () => {
    const revoked = [accessAt(5)];
    const disks = await disksAfter(threeDisks, async (world) => {
      world.network.cut(calgary, oslo);
      await revokeAt(world, calgary, accessAt(5));
      await editAt(world, calgary, accessAt(7), entryIdAt(7));
    });
    const taken = await walk({
      disks,
      revoked,
      begin: async (world) => {
        await world.start(zurich);
        await command(world, zurich, "promote", { force: true });
      },
      act: (world) => startAll(world, [oslo]),
      victim: zurich,
      heir: oslo,
    });
    expect(taken).toBeGreaterThan(8);
  },
  walkMsMax,
);

test(
  "a planned promotion at any step of a revocation leaves everything open on both sites, and the next write ends it",
  async () => {
    const revoked = accessAt(5);
    const prepared = await preparedOn(pairDisks, revoked);
    for (let count = 1; ; count += 1) {
      const world = await sealedWorld(pairDisks);
      await startWhole(world);
      const taken = atStep(world, count, () => void world.command(zurich, "promote"));
      await commitChange(world, calgary, prepared);
      await world.scheduler.run(minuteMs);
      if (taken() < count) return world.end();
      await world.scheduler.run(hourMs);
      expect((await world.process(zurich).store.read((r) => r.site.record())).role).toBe("primary");
      await editAt(world, zurich, accessAt(20), entryIdAt(3));
      await world.scheduler.run(hourMs);
      for (const site of world.sites.keys()) {
        expect(await underOlderAt(world, site)).toBe(0);
        await expectOpen(world, site, [revoked]);
        await expectShut(world, site, [revoked]);
      }
      world.end();
    }
  },
  walkMsMax,
);

test("a primary that comes home with a key of its own leaves nothing that opens half, and what is stranded is refused by name", async () => {
  const world = await sealedWorld(pairDisks);
  await startWhole(world);
  world.network.cut(calgary, zurich);
  await revokeAt(world, calgary, accessAt(5));
  await editAt(world, calgary, accessAt(7), entryIdAt(0));
  const lost = (await heldAt(world, calgary)).vault.keyId;
  world.crash(calgary);
  await command(world, zurich, "promote", { force: true });
  await editAt(world, zurich, accessAt(8), entryIdAt(1));
  world.network.healAll();
  await world.start(calgary);
  await world.scheduler.run(hourMs);
  await command(world, calgary, "rejoin");
  await world.scheduler.run(hourMs);
  for (const site of world.sites.keys()) {
    expect((await heldAt(world, site)).vault.keyId).not.toBe(lost);
    expect(await underOlderAt(world, site)).toBe(0);
    await expectOpen(world, site, [accessAt(5)]);
    await expectShut(world, site, [accessAt(5)]);
  }
  const { store } = world.process(zurich);
  const { rows } = await store.read((r) => r.aside.stranded(null, 1_000));
  const { head } = await store.read((r) => r.site.record());
  const refusals = new Map<string, number>();
  const told = (code: string) => refusals.set(code, (refusals.get(code) ?? 0) + 1);
  using open = await openAt(world, zurich, owner);
  for (const row of rows) {
    if (row.key.kind !== "stranded" || !isLive(row) || !open) throw new Error("a stranded row is none");
    const { kind } = decodeStranded(row.body).row.key;
    if (kind === "vault") continue;
    const outcome = await outcomeOf(world, zurich, "stranded", { action: "reapply", id: row.key.strandedId });
    if (outcome instanceof Refusal) told(`${kind}: ${outcome.code}`);
    if (kind !== "access") told(`${kind}: ${refusalOf(() => openStranded(open.seal, row))}`);
  }
  const names = ["access: reapply_refused", "entry: reapply_refused", "entry: sealed_key_unknown"];
  expect([...refusals.keys()].toSorted()).toEqual([
    ...names,
    "version: reapply_refused",
    "version: sealed_key_unknown",
  ]);
  expect((await store.read((r) => r.site.record())).head).toEqual(head);
});
