import { waitMs } from "../../core/backoff.ts";
import type { Alerts } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";
import type { BackupsHolding } from "../../core/ports.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import type { AlertStore, Fence } from "../../core/store.ts";
import { Incidents } from "./incidents.ts";
import { Worker, type WorkerOptions } from "./worker.ts";

export type WorkersOptions = Omit<WorkerOptions, "peer" | "transport" | "incidents" | "onFenced"> & {
  readonly store: AlertStore;
  readonly alerts: Alerts;
  readonly peers: readonly { readonly site: SiteName; readonly transport: WorkerOptions["transport"] }[];
};

/** A primary's workers, one for each backup. None knows of another; a fence is the only thing that stops them all. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #workers = new Map<SiteName, Worker>();
  #fencing: Promise<void> | null = null;
  #isRestarting = false;
  readonly #stop = new AbortController();

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** Starts one worker for each peer, unless this site is fenced: then it only tells why. */
  async start(): Promise<void> {
    const { fenced } = await this.#options.store.site();
    if (fenced !== null) return this.fence();
    this.#startWorkers();
  }

  #startWorkers(): void {
    if (this.#stop.signal.aborted) return;
    const { peers, alerts, ...options } = this.#options;
    for (const { site: peer, transport } of peers) {
      const incidents = new Incidents(peer, alerts);
      const onFenced = () => void this.fence();
      const worker = new Worker({
        ...options,
        peer,
        transport,
        incidents,
        onFenced,
      });
      this.#workers.set(peer, worker);
      worker.start();
    }
  }

  get(peer: SiteName): Worker | undefined {
    return this.#workers.get(peer);
  }

  signal(): void {
    for (const worker of this.#workers.values()) worker.signal();
    this.#restart();
  }

  /** A peer has said hello. */
  hello(peer: SiteName): void {
    this.#workers.get(peer)?.hello();
    this.#restart();
  }

  /** On an operator's demand: one push to each backup even with nothing dirty, and perhaps its quarantine once more. */
  contact({ retryQuarantined }: { readonly retryQuarantined: boolean }): void {
    for (const worker of this.#workers.values()) {
      if (retryQuarantined) worker.retryQuarantined();
      else worker.hello();
    }
  }

  /** Ends all shipping and tells the operator why, once; the fence itself is committed before this is called. */
  fence(): Promise<void> {
    this.#fencing ??= this.#fence();
    return this.#fencing;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop()));
    await this.#fencing;
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
    const peer = (await store.peers()).find((candidate) => candidate.site === site);
    if (!peer?.acked || comparePositions(peer.acked.position, position) < 0) return undefined;
    const below = { ...position, seq: position.seq - 1 };
    const [quarantined] = await store.listQuarantined(site, below, 1);
    return !quarantined || comparePositions(quarantined.position, position) !== 0;
  }

  /**
   * A write or a hello meets workers that ended with a fence. The fence is the store's: where it is gone, the disk was put back
   * under this process, and new workers find out where the backups stand.
   */
  #restart(): void {
    if (!this.#fencing || this.#isRestarting) return;
    this.#isRestarting = true;
    void this.#fencing
      .then(() => this.#persist(() => this.#restartUnfenced()))
      .finally(() => {
        this.#isRestarting = false;
      });
  }

  async #restartUnfenced(): Promise<void> {
    const { fenced } = await this.#options.store.site();
    if (fenced !== null) return;
    this.#fencing = null;
    this.#startWorkers();
  }

  async #fence(): Promise<void> {
    for (const worker of this.#workers.values()) worker.fence();
    await this.#persist(() => this.#tellFence());
  }

  /**
   * Does what must not be left undone because the disk fails just now: or the operator had no word of a site that takes no
   * writes, or the workers of one that does would not run.
   */
  async #persist(work: () => Promise<void>): Promise<void> {
    const { clock, random, backoff, onFault } = this.#options;
    for (let failures = 1; !this.#stop.signal.aborted; failures += 1) {
      try {
        return await work();
      } catch (error) {
        onFault(error);
        await clock.sleep(waitMs(backoff, failures, random), this.#stop.signal);
      }
    }
  }

  async #tellFence(): Promise<void> {
    const { store, alerts } = this.#options;
    const { fenced, site } = await store.site();
    if (fenced !== null) await alerts.raise(fenced, "", fenceMessages[fenced], { site });
  }
}

const fenceMessages: Readonly<Record<Fence, string>> = {
  primary_behind: "This primary was put back to an older copy and is fenced",
  primary_superseded: "Another site is primary now; this one is fenced",
};
