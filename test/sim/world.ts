import { fromUtf8, utf8 } from "../../src/core/bytes.ts";
import { Refusal } from "../../src/core/errors.ts";
import { type EntryId, newUuidV7, type SiteName, type VaultId } from "../../src/core/ids.ts";
import { comparePositions, formatPosition, type Position } from "../../src/core/position.ts";
import { formatKey, type RowKey, type StoredRow } from "../../src/core/row.ts";
import type { BatchLimit, Store } from "../../src/core/store.ts";
import type { Reply } from "../../src/replication/transport.ts";
import { openMemoryStore } from "../../src/store/sqlite/open.ts";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { SeededRandom, sha256Hash } from "../support/ports.ts";
import { Network } from "./network.ts";
import { processClock, Scheduler } from "./scheduler.ts";
import { SiteProcess } from "./site-process.ts";

/**
 * A write that was tried, with the writes to the same row that it is built on. A row's body names them all, so that what a
 * disk holds can be told from the disk alone.
 */
export type TrackedWrite = {
  readonly id: number;
  readonly key: RowKey;
  readonly lineage: readonly number[];
  readonly isPurge: boolean;
  /** Set once the client has its answer. */
  position: Position | null;
  /** No disk's history holds it any more: every one that did was put back to an older copy. */
  isLost: boolean;
};

type SimSite = { process: SiteProcess | null; disk: Buffer };

export type WorldOptions = {
  readonly seed: number;
  readonly backups: readonly SiteName[];
  readonly limit?: BatchLimit;
  readonly lagAfterMs?: number;
};

export const calgary = "calgary" as SiteName;
export const zurich = "zurich" as SiteName;
export const oslo = "oslo" as SiteName;

/** The largest padding that a row's body gets, in bytes. */
const paddingBytes = 64;

/** Sites, the network between them and a client, all driven by one seed. */
export class World {
  readonly random: SeededRandom;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly sites = new Map<SiteName, SimSite>();
  readonly writes: TrackedWrite[] = [];
  /** What happened, in order: printed when a seed fails. */
  readonly trace: string[] = [];
  /** How likely a process crashes at a call of its store. */
  crashLikelihood = 0;
  /** How likely the answer of a store's call comes after others have run. */
  lingerLikelihood = 0;
  /**
   * Which calls of a running site's store fail, by the name of the method. Those of the start never do, nor does
   * `addAlert`: the desk keeps and tells what the store cannot take, and has tests of its own.
   */
  storeFails: (site: SiteName, method: string) => boolean = () => false;
  /** Called when a process has crashed by itself. */
  onCrash: (site: SiteName) => void = () => undefined;
  /** How often a site's disk was put back, running or not. */
  readonly putBacks = new Map<SiteName, number>();
  /**
   * Sites whose disk was put back under the running process, until they start anew; and those that took a push from before
   * their primary was put back. Nobody can notice either without a write.
   */
  readonly silentlyPutBack = new Set<SiteName>();
  readonly #options: WorldOptions;
  #ids = 0;

  private constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
    this.scheduler = new Scheduler(this.random);
    this.network = new Network(this.random, this.scheduler, (...request) => this.#receive(...request));
    this.network.note = (text) => this.note(text);
    this.network.eraOf = (site) => this.putBacks.get(site) ?? 0;
    this.network.onStaleApply = (to) => this.silentlyPutBack.add(to);
  }

  /** A primary in calgary and its backups, all stopped, all empty. */
  static async create(options: WorldOptions): Promise<World> {
    const world = new World(options);
    for (const site of [calgary, ...options.backups]) {
      const role = site === calgary ? "primary" : "backup";
      world.sites.set(site, { process: null, disk: world.#emptyDisk(site, role) });
    }
    return world;
  }

  get backups(): readonly SiteName[] {
    return this.#options.backups;
  }

  get primary(): SiteProcess {
    return this.process(calgary);
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

  async start(site: SiteName): Promise<void> {
    const slot = this.#site(site);
    if (slot.process) return;
    this.note(`${site} starts`);
    this.silentlyPutBack.delete(site);
    let isStarted = false;
    const process = new SiteProcess({
      site,
      peers: [...this.sites.keys()].filter(
        (other) => other !== site && (site === calgary || other === calgary),
      ),
      image: slot.disk,
      scheduler: this.scheduler,
      network: this.network,
      random: this.random,
      limit: this.#options.limit ?? { rows: 100, bytes: 1024 * 1024 },
      lagAfterMs: this.#options.lagAfterMs ?? 120_000,
      crashes: () => this.crashLikelihood > 0 && this.random.fraction() < this.crashLikelihood,
      fails: (method) => isStarted && method !== "addAlert" && this.storeFails(site, method),
      lingers: () => this.lingerLikelihood > 0 && this.random.fraction() < this.lingerLikelihood,
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
    slot.disk = slot.process.kill();
    slot.process = null;
  }

  /** An orderly end. */
  async stop(site: SiteName): Promise<void> {
    const slot = this.#site(site);
    const running = slot.process;
    if (!running) return;
    this.note(`${site} stops`);
    let disk: Buffer | undefined;
    void running.stop().then((image) => {
      disk = image;
    });
    await this.scheduler.run(10_000);
    if (slot.process !== running) return;
    if (!disk) throw new Error(`${site} did not stop`);
    slot.disk = disk;
    slot.process = null;
  }

  /** A copy of a site's disk as it is now. */
  image(site: SiteName): Buffer {
    const { process, disk } = this.#site(site);
    return process ? process.image() : disk;
  }

  /** Puts a site's disk back to an older copy: under the running process, or for its next start. */
  async putBack(site: SiteName, image: Buffer): Promise<void> {
    this.note(`${site} is put back${this.isUp(site) ? " while it runs" : ""}`);
    const slot = this.#site(site);
    const before = await this.#heldAnywhere((at) => this.held(at));
    if (slot.process) {
      slot.process.revert(image);
      this.silentlyPutBack.add(site);
    } else slot.disk = image;
    this.putBacks.set(site, (this.putBacks.get(site) ?? 0) + 1);
    const after = await this.#heldAnywhere((at) => this.#heldForSure(at));
    for (const write of this.writes) if (before.has(write.id) && !after.has(write.id)) write.isLost = true;
  }

  /** A client's write to one row, old or new, or its purge. Resolves when it is answered: never where the site crashes. */
  async write(key: RowKey, isPurge = false): Promise<TrackedWrite | Refusal> {
    const tracked = {
      id: (this.#ids += 1),
      key,
      lineage: [] as readonly number[],
      isPurge,
      position: null,
      isLost: false,
    };
    const write: TrackedWrite = tracked;
    this.writes.push(write);
    try {
      const rows = await this.primary.write({
        keys: [key],
        decide: ([current]) => {
          tracked.lineage = lineageOf(current, this.writes);
          return [{ key, body: isPurge ? null : this.#body([...tracked.lineage, write.id]) }];
        },
      });
      write.position = rows[0]?.position ?? null;
      this.note(`wrote ${write.id} ${formatKey(key)} at ${write.position && formatPosition(write.position)}`);
      return write;
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  /** What `POST /api/replication/signal` with `retry_quarantined` does. */
  async retryQuarantine(site: SiteName): Promise<void> {
    await this.process(site).receive("/api/replication/signal", site, { retry_quarantined: true });
  }

  /**
   * Whether a later change of a row, at `from` or above, was undone with the primary's disk. A batch leaves out a row that has
   * moved above its end, and carries vaults from above it: a backup that took one such batch of the history that is undone
   * lacks the row where it stands again, or has the vault as it never was, below a point that both histories share. Only the
   * digest at the end of a drain can show that.
   */
  isUndone(key: string, row: StoredRow): boolean {
    if ((this.putBacks.get(calgary) ?? 0) === 0) return false;
    const here = new Set(lineageOf(row, this.writes));
    const isAbove = ({ position }: TrackedWrite) =>
      !position || comparePositions(position, row.position) >= 0;
    return this.writes.some((write) => formatKey(write.key) === key && !here.has(write.id) && isAbove(write));
  }

  newVaultKey(): RowKey & { kind: "vault" } {
    return { kind: "vault", vaultId: this.#newId() as VaultId };
  }

  newEntryKey(vaultId: VaultId): RowKey & { kind: "entry" } {
    return { kind: "entry", vaultId, entryId: this.#newId() as EntryId };
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

  note(text: string): void {
    this.trace.push(`${String(this.scheduler.nowMs).padStart(9)} ${text}`);
  }

  /** Ids of the writes that a disk holds, directly or in what was built on them. */
  async held(site: SiteName): Promise<Set<number>> {
    const rows = await this.rows(site);
    return new Set([...rows.values()].flatMap((row) => lineageOf(row, this.writes)));
  }

  /**
   * Those that a disk's history proves. A vault that a batch carried from above its end proves nothing yet: where the primary
   * forgets that change, another takes its place, and only the digest at the end of a drain can show that.
   */
  async #heldForSure(site: SiteName): Promise<Set<number>> {
    const rows = await this.rows(site);
    const { head } = await this.reading(site, (store) => store.site());
    const proven = [...rows.values()].filter((row) => comparePositions(row.position, head.position) <= 0);
    return new Set(proven.flatMap((row) => lineageForSure(row, this.writes)));
  }

  /** Every row of a site by its key, tombstones too. */
  async rows(site: SiteName): Promise<Map<string, StoredRow>> {
    return this.reading(site, async (store) => {
      if ((await store.site()).realm === null) return new Map();
      const { rows } = await store.listAbove({ epoch: 0, seq: 0 }, allRows);
      return new Map(rows.map((row) => [formatKey(row.key), row]));
    });
  }

  /** Looks into a site's disk, whether it runs or not. */
  async reading<T>(site: SiteName, look: (store: Store) => Promise<T>): Promise<T> {
    const { process, disk } = this.#site(site);
    if (process) return look(process.store);
    const clock = processClock(this.scheduler, () => true);
    const store = openMemoryStore({ image: disk, clock, random: this.random, hash: sha256Hash });
    try {
      return await look(store);
    } finally {
      store.abandon();
    }
  }

  async #heldAnywhere(heldAt: (site: SiteName) => Promise<Set<number>>): Promise<Set<number>> {
    const held = new Set<number>();
    for (const site of this.sites.keys()) for (const id of await heldAt(site)) held.add(id);
    return held;
  }

  #receive(to: SiteName, path: string, from: SiteName, body: unknown): Promise<Reply> {
    const { process } = this.#site(to);
    return process ? process.receive(path, from, body) : Promise.reject(new Error("ECONNREFUSED"));
  }

  #site(site: SiteName): SimSite {
    const slot = this.sites.get(site);
    if (!slot) throw new Error(`${site} is no site of this world`);
    return slot;
  }

  #emptyDisk(site: SiteName, role: "primary" | "backup"): Buffer {
    return siteImage({ site, role, clock: processClock(this.scheduler, () => true), random: this.random });
  }

  #body(lineage: readonly number[]): Uint8Array {
    return utf8(JSON.stringify({ lineage, padding: "x".repeat(this.draw(paddingBytes)) }));
  }

  #newId(): string {
    return newUuidV7(Date.UTC(2026, 0, 1) + this.scheduler.nowMs, this.random);
  }
}

const allRows: BatchLimit = { rows: 1_000_000, bytes: Number.MAX_SAFE_INTEGER };

type Lineage = (row: StoredRow | undefined, writes: readonly TrackedWrite[]) => readonly number[];

/**
 * The writes that a row stands for. A tombstone has no body: the purge that left it is found by its position, or is one that
 * was never answered. Where several purges left the same tombstone in histories that parted, it stands for all of them.
 */
const lineageOf: Lineage = (row, writes) => [...new Set(lineagesOf(row, writes).flat())];

/** Only what the row stands for whichever of them left it: which history a disk holds, a tombstone does not tell. */
const lineageForSure: Lineage = (row, writes) => {
  const [first = [], ...others] = lineagesOf(row, writes);
  return first.filter((id) => others.every((lineage) => lineage.includes(id)));
};

/** What a row may stand for: of every purge that may have left it. */
function lineagesOf(
  row: StoredRow | undefined,
  writes: readonly TrackedWrite[],
): readonly (readonly number[])[] {
  if (!row) return [];
  if (row.body !== null) return [(JSON.parse(fromUtf8(row.body)) as { lineage: number[] }).lineage];
  const key = formatKey(row.key);
  const purges = writes.filter((write) => write.isPurge && formatKey(write.key) === key);
  const isHere = ({ position }: TrackedWrite) => position && comparePositions(position, row.position) === 0;
  const here = purges.filter(isHere);
  const possible = here.length > 0 ? here : purges.filter(({ position }) => position === null);
  return possible.map((purge) => [...purge.lineage, purge.id]);
}
