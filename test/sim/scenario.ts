import { Course } from "./courses.ts";
import { checkAtRest } from "./checks.ts";
import { command, settleSites, settleStranded } from "./operator.ts";
import { calgary, oslo, World, zurich } from "./world.ts";

const hourMs = 3_600_000;
/** Longer than any message is late and any wait between two attempts. */
const restMs = 6 * hourMs;

/** A disk that is about to lose its power takes so long that a push of what is not flushed would have arrived by then. */
const dyingFlushMsMax = 1_000;

/** What one seed did, for a person who reads along: what happened how often. */
export type ScenarioReport = Readonly<Record<string, number>>;

/**
 * One seed: some vaults and entries, a random course of writes, faults, crashes, cuts of the power, disks put back and operators at work,
 * then healing and rest. Throws what does not hold, with the seed and the trace.
 */
export async function runSeed(seed: number): Promise<ScenarioReport> {
  const isPlain = seed % 2 === 0;
  const world = await World.create({
    seed,
    backups: seed % 4 < 2 ? [zurich, oslo] : [zurich],
    limit: { rows: seed % 3 === 0 ? 3 : 100, bytes: seed % 5 === 0 ? 400 : 1024 * 1024 },
  });
  try {
    return await new Scenario(world, { isPlain, isLong: seed % 16 < 4 }).run();
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}: ${what}\n${world.trace.join("\n")}`, { cause: error });
  } finally {
    world.end();
  }
}

class Scenario {
  readonly #world: World;
  readonly #course: Course;
  readonly #isLong: boolean;

  /** A long course goes through what takes several promotions; most are short, for there are more of them in the same time. */
  constructor(world: World, { isPlain, isLong }: { readonly isPlain: boolean; readonly isLong: boolean }) {
    this.#world = world;
    this.#isLong = isLong;
    this.#course = new Course(world, isPlain);
  }

  async run(): Promise<ScenarioReport> {
    const world = this.#world;
    for (const site of world.sites.keys()) await world.start(site);
    for (let i = world.draw(3); i >= 0; i -= 1) this.#course.newVault();
    this.#bringFaults();
    for (let i = this.#isLong ? 10 + world.draw(30) : 4 + world.draw(12); i > 0; i -= 1) {
      await this.#course.act();
      await world.scheduler.run(this.#pauseMs());
      await world.look();
    }
    this.#course.end();
    await this.#heal();
    return this.#report();
  }

  #bringFaults(): void {
    const { network } = this.#world;
    const world = this.#world;
    world.crashLikelihood = world.pick([0, 0.002, 0.01]);
    world.onCrash = (site) => void world.scheduler.schedule(world.draw(20_000), () => void world.start(site));
    world.lingerLikelihood = world.pick([0, 0, 0.2]);
    const flushMsMax = world.pick([0, 0, 20, 200]);
    world.flushMs = (site) => {
      const msMax = world.isPowerCutNear(site) ? dyingFlushMsMax : flushMsMax;
      return msMax > 0 ? world.draw(msMax) : 0;
    };
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

  /**
   * Everything whole again. Where no operator was ever needed, rest alone must bring equality, but for rows in quarantine; only that a
   * backup took a push from before its primary was put back is something that nobody can notice without a write. Then an operator does what the
   * sites ask for, with a write after each step, as any ordinary one, settles some of what was stranded, and the quarantine once more.
   */
  async #heal(): Promise<void> {
    const world = this.#world;
    world.crashLikelihood = 0;
    world.lingerLikelihood = 0;
    world.flushMs = () => 0;
    world.storeFails = () => false;
    // Sites that speak different protocols are brought to the same one by upgrades, and an upgrade is a restart.
    if (world.network.newer.size > 0) for (const site of world.sites.keys()) world.crash(site);
    world.network.healAll();
    world.note("everything is whole");
    this.#course.nameAllPeers();
    await this.#course.startAll();
    await world.scheduler.run(restMs);
    if (this.#isUntouched()) await checkAtRest(world, { exceptQuarantine: true });
    await settleSites(world, () => this.#course.writeNew());
    await this.#countRows();
    for (let i = world.draw(4); i > 0; i -= 1) {
      await settleStranded(world);
      await world.scheduler.run(hourMs);
    }
    // What one site tells of its audit comes to a third with the push after the next.
    for (let i = world.sites.size > 2 ? 3 : 1; i > 0; i -= 1) {
      this.#course.writeNew();
      await world.scheduler.run(hourMs);
    }
    world.note("the last write");
    this.#course.writeNew();
    for (const site of world.sites.keys()) await world.retryQuarantine(site);
    await world.scheduler.run(restMs);
    await checkAtRest(world, { exceptQuarantine: false });
  }

  /** Calgary is primary still, and nothing has happened that only a write, an operator or a count of all rows can notice. */
  #isUntouched(): boolean {
    const { aheadUnnoticed, flips } = this.#world;
    const { epoch, fenced, role } = this.#world.record(calgary);
    const isFirst = epoch.number === 1 && role === "primary" && fenced === null;
    return isFirst && aheadUnnoticed.size === 0 && flips === 0;
  }

  /** After bits have turned, every row is counted and repaired; what nobody holds intact any more, a client writes anew. */
  async #countRows(): Promise<void> {
    const world = this.#world;
    if (world.flips === 0) return;
    const [winner] = world.primaries();
    if (!winner) throw new Error("nobody is primary");
    for (let round = 0; round < 2; round += 1) {
      await command(world, winner.site, "verify", { repair: true });
    }
    await world.clients.rewriteDamaged(winner.site);
    await world.scheduler.run(restMs);
    for (const site of world.sites.keys()) await command(world, site, "verify");
  }

  /** Over all sites' copies. */
  async #auditReport(): Promise<ScenarioReport> {
    const world = this.#world;
    const stores = [...world.sites.keys()].map((site) => world.process(site).store);
    const chains = (await Promise.all(stores.map((store) => store.read((r) => r.audit.chains())))).flat();
    const alerts = (
      await Promise.all(stores.map((store) => store.read((r) => r.alerts.newest(1_000))))
    ).flat();
    const told = alerts.filter(({ event }) => event === "audit_truncated").length;
    const forked = chains.filter(({ isForked }) => isForked).length;
    return { "copies of audits": chains.length, "copies that part": forked, "audits cut off, told": told };
  }

  async #report(): Promise<ScenarioReport> {
    const world = this.#world;
    const [winner] = world.primaries();
    const stranded = winner
      ? (await world.process(winner.site).store.read((r) => r.aside.stranded(null, 1))).total
      : 0;
    const sent = Map.groupBy(world.network.sent, ({ path }) => path.split("/").at(-1) ?? "");
    return {
      ...Object.fromEntries(world.tally),
      ...Object.fromEntries([...sent].map(([path, requests]) => [`requests: ${path}`, requests.length])),
      "rows stranded at the end": stranded,
      ...(await this.#auditReport()),
      epochs: (winner?.epoch.number ?? 1) - 1,
    };
  }
}
