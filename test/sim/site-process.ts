import { pino } from "pino";
import { defaultBackoff } from "../../src/core/backoff.ts";
import type { Alerts } from "../../src/core/edition.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { SiteName, VaultId } from "../../src/core/ids.ts";
import type { Clock, Random } from "../../src/core/ports.ts";
import type { BatchLimit } from "../../src/core/store/replication.ts";
import type { Write } from "../../src/core/store/rows.ts";
import type { Store } from "../../src/core/store/store.ts";
import type { StoredRow } from "../../src/core/row.ts";
import { hooked } from "../support/hooked-store.ts";
import { WritesInFlight } from "../../src/core/writes-in-flight.ts";
import { CommercialEdition, type CommercialPeer } from "../../src/editions/commercial.ts";
import { Resealing } from "../../src/http/resealing.ts";
import { makeTransport, type Reply } from "../../src/replication/transport.ts";
import type { SqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { sha256Hash } from "../support/ports.ts";
import type { Disk, FlushPorts } from "./disk.ts";
import type { HeaderSeal } from "./header-seal.ts";
import type { Network } from "./network.ts";
import { processClock, type Scheduler } from "./scheduler.ts";

const slowBodyMs = 3_000;

const silent = pino({ enabled: false });

export type ProcessOptions = {
  readonly site: SiteName;
  readonly peers: readonly SiteName[];
  readonly disk: Disk;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: Random;
  readonly limit: BatchLimit;
  readonly lagAfterMs: number;
  /** Asked before and after every call of the store: true ends the process there. */
  readonly crashes: () => boolean;
  /** Asked before a call of the store, by the name of its method: true makes it fail, as a disk does. */
  readonly fails: (method: string) => boolean;
  /** Asked after a call of the store: true lets others run before its answer arrives, as a database elsewhere does. */
  readonly lingers: () => boolean;
  /** Asked at each flush of the disk: how long it takes; no time where it is left away. */
  readonly flushMs?: () => number;
  readonly isPowerCut?: FlushPorts["isPowerCut"];
  /** Told of each call of the store that has come to its end. */
  readonly onCall?: (method: string) => void;
  readonly onCrash: () => void;
  /** Called with every fault that a site would log. */
  readonly onFault: (site: SiteName, error: unknown) => void;
  /** Called where a part of the audit could not be taken over: nothing makes that happen. */
  readonly onAuditFault?: (error: unknown) => void;
};

/**
 * One process of a site: the real store over its disk, the real edition, workers and handlers; only clock,
 * randomness and network are simulated. Once it has crashed, nothing that it was waiting for goes on.
 */
export class SiteProcess {
  readonly clock: Clock;
  readonly edition: CommercialEdition;
  /** What follows a change of a vault's key, as the HTTP layer runs it. */
  readonly resealing: Resealing;
  readonly #store: SqliteStore;
  readonly #guarded: Store;
  readonly #options: ProcessOptions;
  readonly #commands = new AbortController();
  #links: readonly CommercialPeer[];
  /** Vaults whose entries are being sealed anew. */
  readonly #resealed = new Set<VaultId>();
  readonly #writesInFlight = new WritesInFlight();
  #isAlive = true;

  constructor(options: ProcessOptions) {
    const { site, scheduler, random } = options;
    this.#options = options;
    const isAlive = () => this.#isAlive;
    this.clock = processClock(scheduler, isAlive);
    const { onAuditFault: onFault = () => {} } = options;
    this.#store = options.disk.open(
      { clock: this.clock, random, hash: sha256Hash, audit: { onFault } },
      {
        wait: () => this.#flushes(),
        isPowerCut: (moment) => this.#isAlive && (options.isPowerCut?.(moment) ?? false),
      },
    );
    this.#guarded = this.#guard(this.#store);
    this.#links = options.peers.map((peer) => this.#linkTo(peer));
    this.edition = new CommercialEdition({
      store: this.#guarded,
      writesInFlight: this.#writesInFlight,
      publicUrl: `https://${site}.example`,
      peers: this.#links,
      peerOf: () => undefined,
      clock: this.clock,
      random,
      limit: options.limit,
      backoff: defaultBackoff,
      lagAfterMs: options.lagAfterMs,
      alerts: storedAlerts(this.#guarded),
      checkDatabase: async () => null,
      onFault: (error) => options.onFault(site, error),
    });
    this.resealing = new Resealing({
      store: this.#guarded,
      edition: this.edition,
      clock: this.clock,
      random,
      logger: silent,
      closing: this.#commands.signal,
    });
  }

  /** The store as it is, for checks that must not disturb it. */
  get store(): Store {
    return this.#store;
  }

  /** A client's write, in the steps of the real handler: guard, commit, signal, answer. */
  async write(write: Write): Promise<readonly StoredRow[]> {
    const end = this.#writesInFlight.begin();
    try {
      const refusal = await this.edition.writeGuard();
      if (refusal) throw new Refusal(refusal.code);
      // A body that arrives slowly: it is let in before it is read.
      if (this.#options.lingers()) await this.clock.sleep(slowBodyMs, this.#commands.signal);
      const rows = await this.#guarded.transact((tx) => tx.rows.write(write));
      this.edition.signalReplication();
      return rows;
    } finally {
      end();
    }
  }

  /** What a client's reading leaves in the audit. */
  async read(action: string): Promise<void> {
    const actor = { kind: "access", id: "a client" } as const;
    const address = "192.0.2.7";
    await this.#guarded.journal.record({ actor, action, vaultId: null, itemId: null, address, result: "ok" });
  }

  /** What the HTTP layer does with a peer's request. */
  async receive(path: string, peer: SiteName, body: unknown): Promise<Reply> {
    const route = this.edition.routes.find((candidate) => candidate.path === path);
    if (!route) return { status: 404, body: undefined };
    return route.handle({ peer, body });
  }

  /** What the machine's owner has the site do. */
  async command(name: string, body: object): Promise<object> {
    const command = this.edition.adminCommands.find((candidate) => candidate.name === name);
    if (!command) throw new Error(`there is no command ${name}`);
    return command.handle({ body, progress: () => undefined, signal: this.#commands.signal });
  }

  /** Reads its peers anew: those that are known keep their link, unless the pair's secret was changed. */
  async setPeers(peers: readonly SiteName[], changed: readonly SiteName[] = []): Promise<void> {
    const known = this.#links.filter(({ site }) => !changed.includes(site));
    this.#links = peers.map((peer) => known.find(({ site }) => site === peer) ?? this.#linkTo(peer));
    await this.edition.setPeers(this.#links);
  }

  async #flushes(): Promise<void> {
    const ms = this.#options.flushMs?.() ?? 0;
    if (ms > 0) await this.clock.sleep(ms, new AbortController().signal);
    if (!this.#isAlive) await never();
  }

  #linkTo(peer: SiteName): CommercialPeer {
    const { site, network } = this.#options;
    const exchange = network.exchange(site, peer, () => this.#isAlive);
    return { site: peer, url: `https://${peer}.example`, transport: makeTransport(exchange) };
  }

  /** Goes on with a change of a vault's key, one at a time for each vault. */
  reseal(seal: HeaderSeal): void {
    const { vaultId } = seal;
    if (this.#resealed.has(vaultId)) return;
    this.#resealed.add(vaultId);
    this.resealing.begin(seal);
    void this.resealing.idle().then(() => this.#resealed.delete(vaultId));
  }

  /** Ends at once, as kill -9 does. */
  kill(): void {
    this.#isAlive = false;
    this.#store.abandon();
  }

  /** Ends in order, as SIGTERM does. */
  async stop(): Promise<void> {
    this.#commands.abort();
    await this.edition.stop();
    this.kill();
  }

  /** Wraps every call of the store in two moments at which the process may crash. */
  #guard(store: SqliteStore): Store {
    const { disk, fails, lingers, onCall } = this.#options;
    return hooked(store, {
      call: async (run, names) => {
        if (this.#crashesHere()) return never();
        const [outcome] = await Promise.allSettled([run()]);
        disk.failsCommit = false;
        for (const name of names) onCall?.(name);
        if (lingers()) await this.clock.turn();
        if (this.#crashesHere()) return never();
        if (outcome?.status === "rejected") throw outcome.reason;
        return (outcome as PromiseFulfilledResult<Awaited<ReturnType<typeof run>>>).value;
      },
      operation: (name, run) => {
        const isFault = fails(name);
        // A client's write fails where it would be durable, and everything else at the call.
        if (isFault && name === "rows.write") disk.failsCommit = true;
        else if (isFault) throw new Refusal("storage_failed");
        return run();
      },
    });
  }

  #crashesHere(): boolean {
    if (this.#isAlive && this.#options.crashes()) this.#options.onCrash();
    return !this.#isAlive;
  }
}

/** Alerts as the site's own: stored once for each incident. Delivery has tests of its own. */
function storedAlerts(store: Store): Alerts {
  return {
    raise: async (event, subject, message, details) => {
      await store.transact((tx) => tx.alerts.add(event, subject, message, details));
    },
    openIncidents: () => store.read((r) => r.alerts.openIncidents()),
  };
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
