import { compareEpochs } from "../../src/core/epoch.ts";
import { Refusal } from "../../src/core/errors.ts";
import { type AccessId, type EntryId, newUuidV7, type SiteName, type VaultId } from "../../src/core/ids.ts";
import { formatKey, isIntact, type RowKey, type StoredRow } from "../../src/core/row.ts";
import { comparePositions, formatPosition } from "../../src/core/position.ts";
import type { BatchLimit } from "../../src/core/store/replication.ts";
import type { Site } from "../../src/core/store/site.ts";
import type { Store } from "../../src/core/store/store.ts";
import type { Reply } from "../../src/replication/transport.ts";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { SeededRandom, sha256Hash } from "../support/ports.ts";
import { Clients } from "./clients.ts";
import { Disk, type FlushMoment } from "./disk.ts";
import { lockedRows, Refills } from "./key-checks.ts";
import { isSameRow, Ledger, type TrackedWrite } from "./ledger.ts";
import { Network } from "./network.ts";
import { processClock, Scheduler } from "./scheduler.ts";
import { SiteProcess } from "./site-process.ts";
import { Watch } from "./watch.ts";

type SimSite = {
  process: SiteProcess | null;
  readonly disk: Disk;
  /** What its configuration names. */
  peers: readonly SiteName[];
};

/** The moment at which the power goes, and in which flush from now on. */
export type PowerCut = { readonly moment: FlushMoment; flushes: number };

export type WorldOptions = {
  readonly seed: number;
  readonly backups: readonly SiteName[];
  readonly limit?: BatchLimit;
  readonly lagAfterMs?: number;
  /** What is on the sites' disks to begin with; a new site's where it is left out. */
  readonly disks?: ReadonlyMap<SiteName, Buffer>;
  /** Sites of worlds with another number are of another realm; 0 where it is left out. */
  readonly realm?: number;
};

export const calgary = "calgary" as SiteName;
export const zurich = "zurich" as SiteName;
export const oslo = "oslo" as SiteName;

/** Sites that all know each other, the network between them, clients and an operator, all driven by one seed. */
export class World {
  readonly random: SeededRandom;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly ledger = new Ledger();
  readonly watch = new Watch();
  readonly sites = new Map<SiteName, SimSite>();
  readonly clients = new Clients(this);
  /** What happened, in order: printed when a seed fails. */
  readonly trace: string[] = [];
  /** How likely a process crashes at a call of its store. */
  crashLikelihood = 0;
  /** Asked before and after every call of a running site's store: true ends the process there. */
  crashesHere: (site: SiteName) => boolean = () => false;
  /** How likely the answer of a store's call comes after others have run. */
  lingerLikelihood = 0;
  /**
   * Which calls of a running site's store fail, by the name of the method. Those of the start never do, nor does
   * `alerts.add`: the desk keeps and tells what the store cannot take, and has tests of its own.
   */
  storeFails: (site: SiteName, method: string) => boolean = () => false;
  /** Told of each call of a running site's store that has come to its end, by the name of the method. */
  onCall: (site: SiteName, method: string) => void = () => undefined;
  /** Called when a process has crashed by itself. */
  onCrash: (site: SiteName) => void = () => undefined;
  /** How often a site's disk was put back. */
  readonly putBacks = new Map<SiteName, number>();
  /** Sites that took a push from before their primary was put back, until they start anew: nobody notices it without a write. */
  readonly aheadUnnoticed = new Set<SiteName>();
  /** How long the next flush of a running site takes. */
  flushMs: (site: SiteName) => number = () => 0;
  /** Cuts of the power that are near, by the site that they meet. */
  readonly #powerCuts = new Map<SiteName, PowerCut>();
  /** How often what happened: what a course of many seeds must not leave out. */
  readonly tally = new Map<string, number>();
  /** An operator has made a stranded row again: an entry may have come to a version that is not the next one. */
  hasReapplied = false;
  /** Bits that were turned. Nobody notices them but a count of all rows. */
  flips = 0;
  /** How often each disk had changed when its keys were looked at. */
  readonly #keysSeenAt = new Map<SiteName, number>();
  readonly #refills = new Refills();
  readonly #options: WorldOptions;

  private constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
    this.scheduler = new Scheduler(this.random);
    this.network = new Network(this.random, this.scheduler, (...request) => this.#receive(...request));
    this.network.note = (text) => this.note(text);
    this.network.eraOf = (site) => this.putBacks.get(site) ?? 0;
    this.network.onStaleApply = (to) => this.aheadUnnoticed.add(to);
    this.network.onPush = (from, epoch) => this.watch.pushes(from, epoch, this.scheduler.nowMs);
  }

  /** Calgary, which begins as the primary, and its backups, all stopped, all empty. */
  static async create(options: WorldOptions): Promise<World> {
    const world = new World(options);
    for (const site of [calgary, ...options.backups]) {
      const role = site === calgary ? "primary" : "backup";
      const disk = new Disk(options.disks?.get(site) ?? emptyDisk(site, role, options.realm ?? 0));
      const peers = [calgary, ...options.backups].filter((other) => other !== site);
      world.sites.set(site, { process: null, disk, peers });
    }
    return world;
  }

  /** The sites that began as backups. */
  get backups(): readonly SiteName[] {
    return this.#options.backups;
  }

  /** The site that began as the primary. */
  get primary(): SiteProcess {
    return this.process(calgary);
  }

  get writes(): readonly TrackedWrite[] {
    return this.ledger.writes;
  }

  /** The running process of a site; throws where none runs. */
  process(site: SiteName): SiteProcess {
    const running = this.#site(site).process;
    if (!running) throw new Error(`${site} is down`);
    return running;
  }

  isUp(site: SiteName): boolean {
    return this.#site(site).process !== null;
  }

  /** Running sites, each as its own record shows it. */
  running(): readonly Site[] {
    return [...this.sites.values()].flatMap(({ process, disk }) => (process ? disk.site() : []));
  }

  /** A site's own record, as it is committed, whether it runs or not. */
  record(site: SiteName): Site {
    return this.#site(site).disk.site();
  }

  /** Throws what must never hold, and does. */
  async look(): Promise<void> {
    const sites = this.running();
    this.watch.look(sites);
    for (const site of sites) {
      const { disk, peers, process } = this.#site(site.site);
      if (process) await this.#lookAtTries(process, site);
      this.watch.fence(site, this.putBacks.has(site.site));
      this.watch.marks(site, disk.highestUnmarked(site.epoch.number), peers);
    }
    this.watch.look([]);
    await this.#lookAtKeys();
  }

  /**
   * Also of a site that is down: its disk is what it begins with. Not of a vault whose own row was damaged on its way or on a disk: a
   * backup refuses that row alone, and takes what needs it.
   */
  async #lookAtKeys(): Promise<void> {
    if (this.clients.keyChanges === 0) return;
    for (const [site, { disk }] of this.sites) {
      const changes = disk.changes();
      if (this.#keysSeenAt.get(site) === changes) continue;
      this.#keysSeenAt.set(site, changes);
      if (!this.#refills.isWhole(disk.site())) continue;
      const rows = disk.liveRows().filter(({ key }) => !this.network.flippedVaults.has(key.vaultId));
      const [locked] = lockedRows(site, rows, (key) => this.ledger.isPurged(key));
      if (locked !== undefined) throw new Error(locked);
    }
  }

  /**
   * As the process knows it: what was acknowledged is stored with some later transaction. While a flush is at work it tells nobody, and the
   * next look asks again.
   */
  async #lookAtTries(process: SiteProcess, { site, role, fenced }: Site): Promise<void> {
    // Most are at rest at most looks: only marks are worth a closer one.
    const ships = role === "primary" && fenced === null && this.#site(site).disk.hasDirty();
    const asked = ships ? process.store.read((r) => r.replication.backlogOfAll()) : { dirty: 0 };
    const backlog = await Promise.race([asked, new Promise<void>((resolve) => setImmediate(resolve))]);
    if (backlog) this.watch.tries(process, site, backlog.dirty, this.scheduler.nowMs);
  }

  /** Running primaries that take writes, the highest epoch first: one, or none or two for a while. */
  primaries(): readonly Site[] {
    return this.running()
      .filter(({ role, fenced }) => role === "primary" && fenced === null)
      .toSorted((a, b) => compareEpochs(b.epoch, a.epoch));
  }

  async start(site: SiteName): Promise<void> {
    const slot = this.#site(site);
    if (slot.process) return;
    this.note(`${site} starts`);
    this.aheadUnnoticed.delete(site);
    let isStarted = false;
    const process = new SiteProcess({
      site,
      peers: slot.peers,
      disk: slot.disk,
      scheduler: this.scheduler,
      network: this.network,
      random: this.random,
      limit: this.#options.limit ?? { rows: 100, bytes: 1024 * 1024 },
      lagAfterMs: this.#options.lagAfterMs ?? 120_000,
      crashes: () =>
        this.crashesHere(site) || (this.crashLikelihood > 0 && this.random.fraction() < this.crashLikelihood),
      fails: (method) => isStarted && method !== "alerts.add" && this.storeFails(site, method),
      lingers: () => this.lingerLikelihood > 0 && this.random.fraction() < this.lingerLikelihood,
      flushMs: () => this.flushMs(site),
      isPowerCut: (moment) => this.#isPowerCut(site, moment),
      onAuditFault: (error) => this.watch.report(error),
      onCall: (method) => this.onCall(site, method),
      onCrash: () => {
        this.crash(site);
        this.onCrash(site);
      },
      onFault: (where, error) =>
        this.note(`${where} fault: ${error instanceof Error ? error.message : String(error)}`),
    });
    slot.process = process;
    void process.edition.start().then(() => {
      isStarted = true;
    });
    await this.scheduler.run(0);
  }

  /** kill -9. */
  crash(site: SiteName): void {
    const slot = this.#site(site);
    if (!slot.process) return;
    this.note(`${site} crashes`);
    this.count("crashes");
    slot.process.kill();
    slot.process = null;
    this.watch.ended(site);
  }

  /**
   * Cuts the power of a running site at a moment of one of its next flushes: the process ends, and the disk loses everything after its
   * last flush. Returns what cuts it where none of them comes in time.
   */
  cutPowerSoon(site: SiteName, cut: PowerCut): () => void {
    if (!this.isUp(site) || this.#powerCuts.has(site)) return () => undefined;
    this.note(`the power of ${site} will go when flush ${cut.flushes} ${cut.moment}`);
    this.#powerCuts.set(site, cut);
    this.#site(site).disk.arm();
    return () => {
      if (this.#powerCuts.get(site) === cut) this.cutPower(site);
    };
  }

  isPowerCutNear(site: SiteName): boolean {
    return this.#powerCuts.has(site);
  }

  /** No power is cut any more. */
  keepPower(): void {
    this.#powerCuts.clear();
    for (const { disk } of this.sites.values()) disk.disarm();
  }

  /** Cuts the power of a site whose disk is armed. */
  cutPower(site: SiteName): void {
    const { disk, process } = this.#site(site);
    this.#powerCuts.delete(site);
    const before = disk.site().head.position;
    process?.kill();
    this.#site(site).process = null;
    disk.cutPower();
    this.#keysSeenAt.delete(site);
    const { head } = disk.site();
    this.count(comparePositions(head.position, before) < 0 ? "power cuts that took something" : "power cuts");
    this.note(
      `the power of ${site} goes: it stood at ${formatPosition(before)}, and is left at ${formatPosition(head.position)}`,
    );
    this.watch.lostPower(disk.site());
    this.onCrash(site);
  }

  #isPowerCut(site: SiteName, moment: FlushMoment): boolean {
    const cut = this.#powerCuts.get(site);
    if (cut?.moment !== moment || cut.flushes-- > 1) return false;
    this.cutPower(site);
    return true;
  }

  /** An orderly end. */
  async stop(site: SiteName): Promise<void> {
    const slot = this.#site(site);
    const running = slot.process;
    if (!running) return;
    this.note(`${site} stops`);
    let isStopped = false;
    void running.stop().then(() => {
      isStopped = true;
    });
    await this.scheduler.run(10_000);
    if (slot.process !== running) return;
    if (!isStopped) throw new Error(`${site} did not stop`);
    slot.process = null;
    this.watch.ended(site);
  }

  /** A copy of a site's disk as it is now. */
  image(site: SiteName): Buffer {
    return this.#site(site).disk.image();
  }

  /** Kills a site, puts its disk back to an older copy, and starts it. */
  async restore(site: SiteName, image: Buffer): Promise<void> {
    this.crash(site);
    await this.putBack(site, image);
    await this.start(site);
  }

  /** Puts the disk of a site that is down back to an older copy. */
  async putBack(site: SiteName, image: Buffer): Promise<void> {
    if (this.isUp(site)) throw new Error(`${site} runs: its disk is its own`);
    this.note(`${site} is put back`);
    this.count("disks put back");
    this.putBacks.set(site, (this.putBacks.get(site) ?? 0) + 1);
    this.watch.forget(site);
    this.#beginRefill(site);
    await this.#losing(() => this.#site(site).disk.replace(image));
    this.#keysSeenAt.delete(site);
    this.#powerCuts.delete(site);
  }

  #beginRefill(site: SiteName): void {
    const { epochSeen } = this.record(site);
    const sinceWallMs = processClock(this.scheduler, () => true).now();
    this.#refills.begin(site, { sinceWallMs, epoch: epochSeen });
  }

  /** Turns one bit of a row on a site's disk. */
  async turnBit(site: SiteName, key: RowKey, where: "body" | "hash"): Promise<void> {
    this.note(`a bit of the ${where} of ${formatKey(key)} turns on ${site}`);
    this.flips += 1;
    this.count("bits turned");
    const row = (await this.rows(site)).get(formatKey(key));
    if (row && isIntact(sha256Hash, row)) this.ledger.note(row);
    if (key.kind === "vault") this.network.flippedVaults.add(key.vaultId);
    await this.#losing(() => this.#site(site).disk.flip(key, where, this.draw(1_000_000)));
  }

  /**
   * Turns one bit of some row on a site's disk. False where it holds no row, or, with `isHarmless`, none that another site
   * holds intact.
   */
  async flip(site: SiteName, isHarmless: boolean): Promise<boolean> {
    const rows = [...(await this.rows(site)).values()];
    const others: StoredRow[] = [];
    for (const other of this.sites.keys()) {
      if (other !== site) others.push(...(await this.rows(other)).values());
    }
    const isElsewhere = (row: StoredRow) =>
      others.some((other) => isSameRow(row, other) && isIntact(sha256Hash, other));
    const targets = isHarmless ? rows.filter(isElsewhere) : rows;
    if (targets.length === 0) return false;
    const { key } = this.pick(targets);
    const where = this.pick(["body", "hash"] as const);
    // A vault's row is opaque to whoever changes it: what is wrong in it would be written anew as if it were right.
    await this.turnBit(site, key, key.kind === "vault" ? "hash" : where);
    return true;
  }

  /** A client's write, at calgary or where it is told to. */
  write(key: RowKey, isPurge = false, site: SiteName = calgary): Promise<TrackedWrite | Refusal> {
    return this.clients.write(key, isPurge, site);
  }

  /** What an operator has a site do. Resolves with the result or why not: never where the site crashes. */
  async command(site: SiteName, name: string, body: object = {}): Promise<object> {
    const text = `${name} ${JSON.stringify(body)} on ${site}`;
    this.note(text);
    const isHome = name === "rejoin" || name === "recover" ? this.watch.comesHome(site) : () => {};
    try {
      const result = await this.process(site).command(name, body);
      this.note(`${text}: ${JSON.stringify(result).slice(0, 300)}`);
      this.count(`${name}${"force" in body && body.force ? " with force" : ""}: ${outcomeOf(result)}`);
      return result;
    } catch (error) {
      const refusal = error instanceof Refusal ? error : this.watch.report(error);
      this.note(`${text}: ${refusal.message}`);
      this.count(`${name}: ${refusal.code}`);
      return refusal;
    } finally {
      isHome();
    }
  }

  /** Changes whom a site's configuration names, and has a running site read it; `changed`: pairs with a new secret. */
  setPeers(site: SiteName, peers: readonly SiteName[], changed: readonly SiteName[] = []): void {
    const slot = this.#site(site);
    if (peers.length < slot.peers.length) this.watch.partsWith(site);
    for (const peer of slot.peers) if (!peers.includes(peer)) this.#beginRefill(peer);
    this.note(`the peers of ${site}: ${peers.join(", ")}${changed.length > 0 ? `, ${changed} anew` : ""}`);
    slot.peers = peers;
    const { process } = slot;
    process?.setPeers(peers, changed).catch((error: unknown) => {
      if (!(error instanceof Refusal)) this.watch.report(error);
      // Whoever sends the signal looks at what came of it, and sends it again.
      this.scheduler.schedule(1_000, () => slot.process === process && this.setPeers(site, slot.peers));
    });
  }

  peersOf(site: SiteName): readonly SiteName[] {
    return this.#site(site).peers;
  }

  /** What `POST /api/replication/signal` with `retry_quarantined` does. */
  async retryQuarantine(site: SiteName): Promise<void> {
    await this.process(site).receive("/api/replication/signal", site, { retry_quarantined: true });
  }

  newVaultKey(): RowKey & { kind: "vault" } {
    return { kind: "vault", vaultId: this.#newId() as VaultId };
  }

  newEntryKey(vaultId: VaultId): RowKey & { kind: "entry" } {
    return { kind: "entry", vaultId, entryId: this.#newId() as EntryId };
  }

  newAccessKey(vaultId: VaultId): RowKey & { kind: "access" } {
    return { kind: "access", vaultId, accessId: this.#newId() as AccessId };
  }

  /** A whole number from 0 to below `end`. */
  draw(end: number): number {
    return Math.floor(this.random.fraction() * end);
  }

  /** One of several. */
  pick<T>(from: readonly T[]): T {
    const picked = from[this.draw(from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }

  /** Ends everything; nothing of this world is used after it. */
  end(): void {
    for (const [site, { disk }] of this.sites) {
      this.crash(site);
      disk.close();
    }
    // Waits of processes that have crashed are never over, and keep what they can see.
    this.trace.length = 0;
    this.network.sent.length = 0;
    this.ledger.end();
    this.watch.end();
    this.sites.clear();
    this.scheduler.end();
  }

  count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }

  note(text: string): void {
    this.trace.push(`${String(this.scheduler.nowMs).padStart(9)} ${text}`);
  }

  /** Every row of a site by its key, tombstones too. */
  async rows(site: SiteName): Promise<Map<string, StoredRow>> {
    return new Map(
      this.#site(site)
        .disk.rows()
        .map((row) => [formatKey(row.key), row]),
    );
  }

  /** Looks into a site's disk, whether it runs or not. */
  async reading<T>(site: SiteName, look: (store: Store) => Promise<T>): Promise<T> {
    const { disk } = this.#site(site);
    const clock = processClock(this.scheduler, () => true);
    const store = disk.look({ clock, random: this.random, hash: sha256Hash });
    try {
      return await look(store);
    } finally {
      store.abandon();
    }
  }

  /** Ids of the writes that a disk holds, directly, in what was built on them, or put aside. */
  async held(site: SiteName): Promise<Set<number>> {
    const rows = await this.rows(site);
    return this.ledger.provenBy([...rows.values(), ...this.#site(site).disk.asideRows()]);
  }

  /** A change of the disks: writes that no disk holds after it are lost. */
  async #losing(change: () => void): Promise<void> {
    const before = await this.#heldAnywhere();
    change();
    this.ledger.lose(before, await this.#heldAnywhere());
  }

  async #heldAnywhere(): Promise<Set<number>> {
    const held = new Set<number>();
    for (const site of this.sites.keys()) for (const id of await this.held(site)) held.add(id);
    return held;
  }

  async #receive(to: SiteName, path: string, from: SiteName, body: unknown): Promise<Reply> {
    const { process, peers, disk } = this.#site(to);
    if (!process) throw new Error("ECONNREFUSED");
    if (!peers.includes(from)) return { status: 401, body: undefined };
    return this.watch.receiving(
      () => disk.site(),
      path,
      () => process.receive(path, from, body),
      body,
    );
  }

  #site(site: SiteName): SimSite {
    const slot = this.sites.get(site);
    if (!slot) throw new Error(`${site} is no site of this world`);
    return slot;
  }

  #newId(): string {
    return newUuidV7(Date.UTC(2026, 0, 1) + this.scheduler.nowMs, this.random);
  }
}

const emptyDisks = new Map<string, Buffer>();

/**
 * The disk that a site begins with: the same in every world of a realm, made once, since making it costs as much as a tenth of a seed. Nothing
 * of it is drawn from a seed, so that each runs alone as it does among others.
 */
function emptyDisk(site: SiteName, role: "primary" | "backup", realm: number): Buffer {
  const name = `${site} ${realm}`;
  const made = emptyDisks.get(name);
  if (made) return made;
  const scheduler = new Scheduler(new SeededRandom(0));
  const image = siteImage({
    site,
    role,
    clock: processClock(scheduler, () => true),
    random: new SeededRandom(site.length + 100 * realm),
  });
  emptyDisks.set(name, image);
  return image;
}

/** What a command came to, in a word. */
function outcomeOf(result: object): string {
  if ("result" in result) return String(result.result);
  return "equal" in result ? `equal ${String(result.equal)}` : "done";
}
