import type { Alerts } from "../../core/edition.ts";
import { compareEpochs } from "../../core/epoch.ts";
import type { SiteName } from "../../core/ids.ts";
import type { BackupsHolding, Transport } from "../../core/ports.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import type { Push } from "../../core/push.ts";
import type { PeerLink } from "../peer-link.ts";
import { Incidents } from "./incidents.ts";
import { Worker, type WorkerOptions } from "./worker.ts";

export type WorkersOptions = Omit<
  WorkerOptions,
  "peer" | "transport" | "incidents" | "onFenced" | "onWritten"
> & {
  readonly alerts: Alerts;
  readonly peers: readonly PeerLink[];
  /** A worker has met what ends this site's reign, or found that it has none: whoever starts and ends workers should look. */
  readonly onDoubt: () => void;
};

/**
 * A primary's workers, one for each backup. None knows of another, and none waits for another. Whether they run follows from
 * the site's role, which is looked at by whoever calls `run`, `fence` and `rest`.
 */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #workers = new Map<SiteName, Worker>();
  /** Workers that were told to stop, until they have: the next one for the same peer begins after that. */
  readonly #retiring = new Map<SiteName, Promise<void>>();
  #peers: readonly PeerLink[];
  #isRunning = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#peers = options.peers;
  }

  /** Starts a worker for each peer that has none at work. May be repeated. */
  run(): void {
    this.#isRunning = true;
    for (const link of this.#peers) void this.#begin(link);
  }

  /** Ends all shipping at once and for good. The workers can still be asked for what they counted. */
  fence(): void {
    this.#isRunning = false;
    for (const worker of this.#workers.values()) worker.fence();
  }

  /** Ends all workers: a push in flight within a second. Does not wait. */
  rest(): void {
    this.#isRunning = false;
    for (const peer of this.#workers.keys()) this.#retire(peer);
  }

  /** From now on the peers are these. Workers of those that are gone, or reached another way, end; the next `run` starts others. */
  setPeers(peers: readonly PeerLink[]): void {
    const kept = new Map(peers.map((link) => [link.site, link.transport]));
    const gone = this.#peers.filter(({ site, transport }) => kept.get(site) !== transport);
    this.#peers = peers;
    for (const { site } of gone) this.#retire(site);
  }

  async stop(): Promise<void> {
    this.rest();
    await this.retired();
  }

  /** Resolves when those that were told to stop have: none of them tells anything after that. */
  async retired(): Promise<void> {
    await Promise.all(this.#retiring.values());
  }

  get(peer: SiteName): Worker | undefined {
    return this.#workers.get(peer);
  }

  signal(): void {
    for (const worker of this.#workers.values()) worker.signal();
  }

  /** A peer has said hello. */
  greet(peer: SiteName): void {
    this.#workers.get(peer)?.greet();
  }

  /** A peer is owed a push even with nothing dirty. */
  hello(peer: SiteName): void {
    this.#workers.get(peer)?.hello();
  }

  /** One push to each backup even with nothing dirty, and perhaps its quarantine once more. */
  contact({ retryQuarantined }: { readonly retryQuarantined: boolean }): void {
    for (const worker of this.#workers.values()) {
      if (retryQuarantined) worker.retryQuarantined();
      else worker.hello();
    }
  }

  /** Which backups hold a position, waiting at most `ms` for those that do not. */
  async waitReplicated(position: Position, ms: number): Promise<BackupsHolding> {
    const timeout = new AbortController();
    const enough = new AbortController();
    void this.#options.clock.sleep(ms, enough.signal).then(() => timeout.abort());
    const held = [...this.#workers.values()].map(async (worker) => {
      const isHeld = await this.#waitFor(worker, position, timeout.signal);
      return [worker.peer, isHeld] as const;
    });
    const pairs = await Promise.all(held);
    enough.abort();
    return Object.fromEntries(pairs);
  }

  /** Listens first and looks then, so that an ACK in between is not missed. */
  async #waitFor(worker: Worker, position: Position, abort: AbortSignal): Promise<boolean> {
    const looked = new AbortController();
    const waiting = worker.waitFor(position, AbortSignal.any([abort, looked.signal]));
    const isHeld = await this.#isHeld(worker.peer, position);
    if (isHeld === undefined) return waiting;
    looked.abort();
    await waiting;
    return isHeld;
  }

  /** Whether a peer has the row of a position, where it has passed that position; undefined where it has not. */
  async #isHeld(site: SiteName, position: Position): Promise<boolean | undefined> {
    const { store } = this.#options;
    const peer = (await store.read((r) => r.replication.peers())).find(
      (candidate) => candidate.site === site,
    );
    if (!peer?.acked || comparePositions(peer.acked.position, position) < 0) return undefined;
    const below = { ...position, seq: position.seq - 1 };
    const [quarantined] = await store.read((r) => r.replication.listQuarantined(site, below, 1));
    return !quarantined || comparePositions(quarantined.position, position) !== 0;
  }

  async #begin(link: PeerLink): Promise<void> {
    const retiring = this.#retiring.get(link.site);
    if (retiring) await retiring;
    if (!this.#isRunning || !this.#peers.includes(link) || this.#isAtWork(link.site)) return;
    const { peers: _, alerts, onDoubt, ...options } = this.#options;
    const worker = new Worker({
      ...options,
      peer: link.site,
      transport: ofOwnReign(link.transport, onDoubt),
      incidents: new Incidents(link.site, alerts),
      onFenced: onDoubt,
      onWritten: () => this.signal(),
    });
    this.#workers.set(link.site, worker);
    worker.start();
  }

  #isAtWork(peer: SiteName): boolean {
    const state = this.#workers.get(peer)?.status().state;
    return state !== undefined && state !== "fenced" && state !== "stopped";
  }

  #retire(peer: SiteName): void {
    const worker = this.#workers.get(peer);
    if (!worker) return;
    this.#workers.delete(peer);
    const before = this.#retiring.get(peer);
    const retiring = Promise.all([before, worker.stop()]).then(() => {
      if (this.#retiring.get(peer) === retiring) this.#retiring.delete(peer);
    });
    this.#retiring.set(peer, retiring);
  }
}

/**
 * Lets only pushes of this site's own reign out. It may have become a backup since its workers were started, and what it holds is then
 * another's to push (I8).
 */
function ofOwnReign(transport: Transport, onDoubt: () => void): Transport {
  return {
    ...transport,
    push: async (push, signal, onLeaving) => {
      if (isOwnReign(push)) return transport.push(push, signal, onLeaving);
      onDoubt();
      return { answer: { kind: "failed", error: "this site is not the primary" }, bytes: 0 };
    },
  };
}

function isOwnReign({ timeline, site, epoch }: Push): boolean {
  const last = timeline.at(-1);
  return last !== undefined && last.site === site && compareEpochs(last.epoch, epoch) === 0;
}
