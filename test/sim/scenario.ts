import type { SiteName, VaultId } from "../../src/core/ids.ts";
import { comparePositions, type Position } from "../../src/core/position.ts";
import { formatKey, type RowKey } from "../../src/core/row.ts";
import { checkAtRest } from "./checks.ts";
import { calgary, oslo, World, zurich } from "./world.ts";

const hourMs = 3_600_000;

/** What one seed did, for a person who reads along. */
export type ScenarioReport = {
  readonly writes: number;
  readonly requests: number;
  readonly isFenced: boolean;
};

/**
 * One seed: some vaults and entries, a random course of writes, faults, crashes and disks put back, then healing and rest.
 * Throws what does not hold, with the seed and the trace.
 */
export async function runSeed(seed: number): Promise<ScenarioReport> {
  const world = await World.create({
    seed,
    backups: seed % 4 === 0 ? [zurich, oslo] : [zurich],
    limit: { rows: seed % 3 === 0 ? 3 : 100, bytes: seed % 5 === 0 ? 400 : 1024 * 1024 },
  });
  try {
    return await new Scenario(world).run();
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}: ${what}\n${world.trace.join("\n")}`, { cause: error });
  } finally {
    for (const site of world.sites.keys()) world.crash(site);
  }
}

class Scenario {
  readonly #world: World;
  readonly #keys: RowKey[] = [];
  readonly #vaults: VaultId[] = [];
  readonly #images: { readonly site: SiteName; readonly image: Buffer; readonly writes: number }[] = [];
  readonly #watermarks = new Map<SiteName, { readonly position: Position; readonly putBacks: number }>();

  constructor(world: World) {
    this.#world = world;
  }

  async run(): Promise<ScenarioReport> {
    const world = this.#world;
    for (const site of world.sites.keys()) await world.start(site);
    for (let i = world.draw(3); i >= 0; i -= 1) await this.#newVault();
    this.#bringFaults();
    for (let i = 10 + world.draw(30); i > 0; i -= 1) {
      await this.#act();
      await world.scheduler.run(this.#pauseMs());
      await this.#checkWatermarks();
    }
    await this.#heal();
    const { fenced } = await world.primary.store.site();
    return { writes: world.writes.length, requests: world.network.sent.length, isFenced: fenced !== null };
  }

  #bringFaults(): void {
    const { network } = this.#world;
    const world = this.#world;
    world.crashLikelihood = world.pick([0, 0.002, 0.01]);
    world.onCrash = (site) => void world.scheduler.schedule(world.draw(20_000), () => void world.start(site));
    world.lingerLikelihood = world.pick([0, 0, 0.2]);
    const failLikelihood = world.pick([0, 0, 0.02]);
    world.storeFails = () => failLikelihood > 0 && world.random.fraction() < failLikelihood;
    network.faults = {
      dropRequest: world.pick([0, 0.05, 0.3]),
      dropAnswer: world.pick([0, 0.05, 0.3]),
      repeat: world.pick([0, 0.2]),
      garbage: world.pick([0, 0.1]),
      flipRow: world.pick([0, 0, 0.05]),
      delayMsMax: world.pick([1, 20, 2_000]),
      lateMsMax: world.pick([100, 60_000, 2 * hourMs]),
    };
    network.rowsMax = world.pick([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 4]);
  }

  /** Mostly short, so that steps overlap; now and then long enough for every retry to run out. */
  #pauseMs(): number {
    return this.#world.pick([0, 0, 1, 5, 50, 1_000, 10_000, 200_000, 2 * hourMs]);
  }

  async #act(): Promise<void> {
    const world = this.#world;
    const site = world.pick([...world.sites.keys()]);
    const actions: readonly (() => Promise<void> | void)[] = [
      () => this.#write(),
      () => this.#write(),
      () => this.#write(),
      () => this.#burst(),
      () => this.#newVault(),
      () => this.#purge(),
      () => world.crash(site),
      () => world.stop(site),
      () => this.#startAll(),
      () => this.#startAll(),
      () => this.#cut(),
      () => this.#mend(),
      () => this.#poison(),
      () => this.#keepImage(site),
      () => this.#keepImage(site),
      () => this.#putBack(),
      () => this.#setClock(),
    ];
    await world.pick(actions)();
  }

  async #newVault(): Promise<void> {
    const key = this.#world.newVaultKey();
    this.#vaults.push(key.vaultId);
    this.#keys.push(key);
    this.#send(key);
  }

  #write(): void {
    const world = this.#world;
    const isNew = world.random.fraction() < 0.4;
    const key = isNew ? world.newEntryKey(world.pick(this.#vaults)) : world.pick(this.#keys);
    if (isNew) this.#keys.push(key);
    this.#send(key);
  }

  #burst(): void {
    for (let i = this.#world.draw(12); i >= 0; i -= 1) this.#write();
  }

  #purge(): void {
    this.#send(this.#world.pick(this.#keys), true);
  }

  /** Clients do not wait for each other, and none waits for ever for a site that has crashed. */
  #send(key: RowKey, isPurge = false): void {
    if (this.#world.isUp(calgary)) void this.#world.write(key, isPurge);
  }

  async #startAll(): Promise<void> {
    for (const site of this.#world.sites.keys()) await this.#world.start(site);
  }

  #cut(): void {
    this.#world.note("a link is cut");
    this.#world.network.cut(calgary, this.#world.pick(this.#world.backups));
  }

  #mend(): void {
    this.#world.note("links are whole");
    for (const backup of this.#world.backups) this.#world.network.heal(calgary, backup);
  }

  #poison(): void {
    const key = this.#world.pick(this.#keys);
    if (key.kind !== "entry") return;
    this.#world.note(`backups refuse ${formatKey(key)}`);
    this.#world.network.poisoned.add(key.entryId);
  }

  /** Somebody sets the clocks, or a time server does. */
  #setClock(): void {
    this.#world.scheduler.wallJumpMs += this.#world.draw(4 * hourMs) - 2 * hourMs;
  }

  #keepImage(site: SiteName): void {
    this.#images.push({ site, image: this.#world.image(site), writes: this.#world.writes.length });
  }

  /** Half of the time under the running process, as when a machine's snapshot is put back. */
  async #putBack(): Promise<void> {
    const world = this.#world;
    if (this.#images.length === 0) return;
    const { site, image } = world.pick(this.#images);
    const isLive = world.random.fraction() < 0.5;
    if (!isLive) world.crash(site);
    await world.putBack(site, image);
    if (!isLive) await world.start(site);
  }

  /** I6: a backup's watermark moves back only with its disk. */
  async #checkWatermarks(): Promise<void> {
    const world = this.#world;
    for (const backup of world.backups) {
      const { head } = await world.reading(backup, (store) => store.site());
      const putBacks = world.putBacks.get(backup) ?? 0;
      const before = this.#watermarks.get(backup);
      if (before?.putBacks === putBacks && comparePositions(head.position, before.position) < 0) {
        throw new Error(`the watermark of ${backup} has moved back`);
      }
      this.#watermarks.set(backup, { position: head.position, putBacks });
    }
  }

  /**
   * Everything whole again. Rest alone must bring equality, but for rows in quarantine; only a disk put back under a running
   * process is something that nobody can notice without a write. Then one write, as any ordinary one, and the quarantine
   * once more.
   */
  async #heal(): Promise<void> {
    const world = this.#world;
    world.crashLikelihood = 0;
    world.lingerLikelihood = 0;
    world.storeFails = () => false;
    world.network.healAll();
    world.note("everything is whole");
    await this.#startAll();
    await world.scheduler.run(24 * hourMs);
    if (world.silentlyPutBack.size === 0) await checkAtRest(world, { exceptQuarantine: true });
    world.note("the last write");
    this.#write();
    for (const site of world.sites.keys()) await world.retryQuarantine(site);
    await world.scheduler.run(24 * hourMs);
    await checkAtRest(world, { exceptQuarantine: false });
  }
}
