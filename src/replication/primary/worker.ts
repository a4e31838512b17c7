import type { BackoffPolicy } from "../../core/backoff.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Clock, Random, Transport } from "../../core/ports.ts";
import type { Acknowledgement, BatchLimit } from "../../core/store/replication.ts";
import type { Verified } from "../../core/store/site.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import type { Position } from "../../core/position.ts";
import { samePoint } from "../../core/push.ts";
import { nextWorkerState, type WorkerEvent, type WorkerState } from "../../core/worker-state.ts";
import type { WritesInFlight } from "../../core/writes-in-flight.ts";
import type { AuditWatch } from "../audit-watch.ts";
import { collectAside } from "./aside-collection.ts";
import { Drain, type DrainOutcome, markAllAbove } from "./drain.ts";
import { type Failure, localFailure } from "./failure.ts";
import type { Incidents } from "./incidents.ts";
import { LagWatch } from "./lag-watch.ts";
import { Pace } from "./pace.ts";
import { isProofWanted, isRepairLeft, type ProofMemory } from "./proof.ts";
import { Repair } from "./repair.ts";
import { Reports } from "./reports.ts";
import { Retries } from "./retries.ts";
import { Signal } from "./signal.ts";
import { Waiters } from "./waiters.ts";

export type WorkerOptions = {
  readonly peer: SiteName;
  readonly publicUrl: string;
  readonly store: Transacts<"replication" | "site" | "repair" | "aside" | "audit"> &
    Pick<Store, "acknowledgements" | "survey">;
  readonly transport: Transport;
  readonly writesInFlight: WritesInFlight;
  readonly clock: Clock;
  readonly random: Random;
  readonly limit: BatchLimit;
  readonly backoff: BackoffPolicy;
  /** How old the oldest dirty row may grow, while attempts fail, before the operator hears of it. */
  readonly lagAfterMs: number;
  readonly incidents: Incidents;
  readonly auditWatch: AuditWatch;
  /** The fence is committed: every worker of this site must stop. */
  readonly onFenced: () => void;
  /** This worker has made changes of this site, which all backups are to have. */
  readonly onWritten: () => void;
  /** A fault of this site, not of the peer: for the log. */
  readonly onFault: (error: unknown) => void;
};

/** What a worker counts since it started. */
export type WorkerCounters = {
  signals: number;
  wakeups: number;
  pushes: number;
  rows: number;
  bytes: number;
  failures: number;
};

export type WorkerStatus = {
  readonly state: WorkerState;
  readonly attempt: number;
  /** Wall clock, milliseconds. */
  readonly nextAttemptAt: number | null;
  readonly lastContactAt: number | null;
  readonly lastError: string | null;
  /** The last equal proof since the worker started; null where there was none. */
  readonly verified: Verified | null;
  readonly counters: Readonly<WorkerCounters>;
};

/** What came of an attempt: a drain, and the repair and the collection that followed from it. */
type Attempt = Exclude<DrainOutcome, { readonly kind: "diverged" }>;
type Unfinished = Exclude<Attempt, { readonly kind: "drained" }>;

/** How long a push in flight may still take once the site is stopping. */
const stopGraceMs = 1_000;

/**
 * Replicates to one backup. Asleep it is one pending promise: no timer, no query, no request. A signal wakes it; it drains,
 * retries what fails for as long as a row is dirty, and sleeps again. Nothing it does delays a client or another worker, and
 * nothing it knows is needed after a crash: the marks and acked in the store are the queue.
 */
export class Worker {
  readonly peer: SiteName;
  readonly #options: WorkerOptions;
  readonly #signal = new Signal();
  /** Ends waits at once; a push in flight is given `stopGraceMs`. */
  readonly #stop = new AbortController();
  readonly #abort = new AbortController();
  readonly #waiters = new Waiters();
  readonly #reports: Reports;
  readonly #lagWatch: LagWatch;
  readonly #retries: Retries;
  readonly #pace: Pace;
  readonly #proof: ProofMemory = { answeredAt: null, isOwed: false, isRepairOpen: false };
  readonly #counters: WorkerCounters = { signals: 0, wakeups: 0, pushes: 0, rows: 0, bytes: 0, failures: 0 };
  #state: WorkerState = "asleep";
  /**
   * Hellos so far, the start being the first, and the last one after which the peer has answered. A push that left before a
   * hello does not answer it: the backup may have been put back to an older copy in between.
   */
  #hellos = 1;
  #hellosAnswered = 0;
  #retriesQuarantined = false;
  #lastContactAt: number | null = null;
  #lastError: string | null = null;
  #verified: Verified | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: WorkerOptions) {
    this.peer = options.peer;
    this.#options = options;
    this.#reports = new Reports(options);
    this.#lagWatch = new LagWatch(options);
    this.#pace = new Pace(options.limit);
    this.#retries = new Retries({ ...options, signal: this.#signal, stop: this.#stop.signal });
  }

  /** Starts with one push, which says hello: that is how a disk put back while this site was down is noticed. */
  start(): void {
    this.#signal.raise();
    this.#running = this.#run();
  }

  /** Something above acked may have been committed. Never blocks. */
  signal(): void {
    this.#counters.signals += 1;
    this.#signal.raise();
  }

  /** The backup has said hello: it is there now, and is owed a push. */
  greet(): void {
    this.#retries.greet();
    this.hello();
  }

  /** A push is owed even with nothing dirty: a wait is cut short. */
  hello(): void {
    this.#hellos += 1;
    this.signal();
  }

  /** Tries the rows in this backup's quarantine once more. */
  retryQuarantined(): void {
    this.#retriesQuarantined = true;
    this.hello();
  }

  status(): WorkerStatus {
    return {
      state: this.#state,
      attempt: this.#retries.failures,
      nextAttemptAt: this.#retries.nextAttemptAt,
      lastContactAt: this.#lastContactAt,
      lastError: this.#lastError,
      verified: this.#verified,
      counters: { ...this.#counters },
    };
  }

  /** Resolves when the backup has acknowledged `position`: true where it took the row, false where it rejected it. */
  waitFor(position: Position, abort: AbortSignal): Promise<boolean> {
    return this.#waiters.wait("held", position, abort);
  }

  /**
   * Resolves when the backup is proved equal at `position` or above: false where a drain that covers it ends without, as with
   * repairs used up. Waits for the next proof: `hello` has it asked for.
   */
  waitForProof(position: Position, abort: AbortSignal): Promise<boolean> {
    return this.#waiters.wait("proved", position, abort);
  }

  /** Stops for good because this site is fenced. Does not wait: it may be called from within the worker itself. */
  fence(): void {
    if (this.#state === "stopped" || this.#state === "fenced") return;
    this.#become("fenced");
    this.#end();
    this.#abort.abort();
  }

  /** Ends a wait at once and a push in flight within a second. May be repeated. */
  async stop(): Promise<void> {
    if (this.#state !== "stopped") this.#become("stopped");
    this.#end();
    const grace = new AbortController();
    void this.#options.clock.sleep(stopGraceMs, grace.signal).then(() => this.#abort.abort());
    await this.#running;
    grace.abort();
  }

  #end(): void {
    this.#stop.abort();
    void this.#lagWatch.end();
    this.#waiters.end();
  }

  get #isEnded(): boolean {
    return this.#stop.signal.aborted;
  }

  /** The only place where the state changes. */
  #become(event: WorkerEvent): void {
    this.#state = nextWorkerState(this.#state, event);
  }

  async #run(): Promise<void> {
    await this.#guard(() => markAllAbove(this.#options.store));
    for (;;) {
      await this.#signal.wait(this.#stop.signal);
      if (this.#isEnded) return;
      this.#counters.wakeups += 1;
      this.#become("woken");
      await this.#ship();
      if (this.#isEnded) return;
    }
  }

  /** From the first attempt to a finished drain, through every wait between. Returns asleep, fenced or stopped. */
  async #ship(): Promise<void> {
    while (!this.#isEnded) {
      this.#retries.begin();
      const outcome = await this.#attempt();
      if (this.#isEnded) return;
      if (outcome.kind === "fenced") return this.#fenced();
      if (outcome.kind === "drained") return await this.#drained();
      this.#pace.reset();
      this.#retries.fail(outcome.progressed);
      if (!(await this.#failed(outcome.failure))) return;
      await this.#retries.wait();
      if (this.#isEnded) return;
      this.#become("woken");
    }
  }

  /** A drain, what follows from it until the backup is equal or nothing is left to try, and word of what is over with it. */
  async #attempt(): Promise<Attempt> {
    for (;;) {
      const outcome = await this.#drain();
      if (outcome.kind === "failed" || outcome.kind === "fenced") return outcome;
      if (this.#isEnded) return { kind: "drained", aside: 0 };
      const next = outcome.kind === "diverged" ? await this.#repair() : await this.#collect(outcome.aside);
      if (next === "again") continue;
      if (next !== "done") return next;
      if (await this.#guard(() => this.#tellWhatIsOver())) return { kind: "drained", aside: 0 };
      const failure = { kind: "local", error: "the end of an incident could not be told" } as const;
      return { kind: "failed", failure, progressed: true };
    }
  }

  /** One repair. It is counted before it begins; one that is cut short is begun anew without being counted again. */
  async #repair(): Promise<"again" | Unfinished> {
    const { peer, store, transport, limit } = this.#options;
    this.#become("diverged");
    try {
      await this.#reports.diverged();
      if (!this.#proof.isRepairOpen) await store.transact((tx) => tx.replication.beginRepair(peer));
    } catch (error) {
      return { kind: "failed", failure: localFailure(error), progressed: false };
    }
    this.#proof.isRepairOpen = true;
    const repair = new Repair({
      peer,
      store,
      transport,
      limit,
      abort: this.#abort.signal,
      stop: this.#stop.signal,
      onSent: (bytes) => {
        this.#counters.bytes += bytes;
      },
      onContact: () => this.#meet(0),
    });
    const outcome = await repair.run();
    this.#reports.repaired(outcome.counts);
    // Whatever was moved: what was proved before says nothing of it.
    this.#proof.answeredAt = null;
    this.#proof.isOwed = true;
    if (outcome.kind === "fenced") return outcome;
    if (outcome.kind === "failed") return this.#unfinished(outcome.failure);
    this.#proof.isRepairOpen = false;
    if (!this.#isEnded) this.#become("repaired");
    return "again";
  }

  /** Takes what the backup has put aside; what follows from it is shipped to all. */
  async #collect(waiting: number): Promise<"again" | "done" | Unfinished> {
    if (waiting === 0) return "done";
    const { peer, store, transport, onWritten } = this.#options;
    const outcome = await collectAside({
      peer,
      store,
      transport,
      abort: this.#abort.signal,
      stop: this.#stop.signal,
    });
    if (outcome.kind === "fenced") return outcome;
    if (outcome.kind === "collected" && !outcome.written) return "done";
    onWritten();
    // A collection that was cut short may have committed decisions, which the next one does not find again.
    await this.#guard(() => this.#reports.stranded());
    return outcome.kind === "failed" ? this.#unfinished(outcome.failure) : "again";
  }

  /** What was begun with the backup and cut short is owed, even with nothing dirty: one more contact takes it up. */
  #unfinished(failure: Failure): Unfinished {
    this.#hellos += 1;
    return { kind: "failed", failure, progressed: false };
  }

  #drain(): Promise<DrainOutcome> {
    const { peer, publicUrl, store, transport, limit, clock, writesInFlight } = this.#options;
    const drain = new Drain({
      peer,
      publicUrl,
      store,
      transport,
      limit,
      clock,
      writesInFlight,
      pace: this.#pace,
      abort: this.#abort.signal,
      stop: this.#stop.signal,
      owedContact: () => (this.#owesContact ? this.#hellos : undefined),
      onFault: this.#options.onFault,
      proof: this.#proof,
      retriesQuarantined: () => this.#takeQuarantineRetry(),
      onLook: () => this.#signal.clear(),
      onPushed: (rows, bytes) => {
        this.#counters.pushes += 1;
        this.#counters.rows += rows;
        this.#counters.bytes += bytes;
      },
      onContact: (hello = 0) => this.#meet(hello),
      onAcknowledged: (ack) => this.#acknowledged(ack),
    });
    return drain.run();
  }

  /** The peer has answered; `hello` is the last one that was owed to it when what it answers left. */
  #meet(hello: number): void {
    this.#lastContactAt = this.#options.clock.now();
    this.#hellosAnswered = Math.max(this.#hellosAnswered, hello);
  }

  #takeQuarantineRetry(): boolean {
    const isWished = this.#retriesQuarantined;
    this.#retriesQuarantined = false;
    return isWished;
  }

  get #owesContact(): boolean {
    return this.#hellosAnswered < this.#hellos;
  }

  async #acknowledged(ack: Acknowledgement): Promise<void> {
    this.#waiters.acknowledged(ack);
    if (ack.verified) {
      this.#verified = { position: ack.through.position, at: this.#options.clock.now() };
      this.#proof.isRepairOpen = false;
    }
    await this.#guard(() => this.#reports.acknowledged(ack));
    if (ack.audit) await this.#options.auditWatch.look();
  }

  async #drained(): Promise<void> {
    // A signal that is there already means another drain, and perhaps a transaction that carries the acknowledgements along.
    if (!this.#signal.isRaised) await this.#guard(() => this.#options.store.acknowledgements.settle());
    if (this.#isEnded) return;
    this.#pace.drained({ goesOn: this.#signal.isRaised });
    this.#retries.reset();
    this.#lastError = null;
    this.#lagWatch.drained();
    this.#waiters.drained();
    this.#become("drained");
  }

  async #tellWhatIsOver(): Promise<true> {
    // A lag that is being told just now must be told before its end is.
    await this.#lagWatch.end();
    await this.#reports.drained();
    return true;
  }

  #fenced(): void {
    this.#become("fenced");
    this.#end();
    this.#options.onFenced();
  }

  /** Tells whoever must know and takes the state of the wait. False where nothing dirty needs another attempt. */
  async #failed(failure: Failure): Promise<boolean> {
    this.#counters.failures += 1;
    this.#lastError = failure.error;
    if (failure.kind === "local") this.#meetFault(failure.error);
    const dirty = await this.#guard(
      async () => (await this.#options.store.read((r) => r.replication.backlog(this.peer))).dirty,
    );
    // Where the disk fails just then nobody knows, and one contact more finds out.
    if (dirty === 0 && (await this.#guard(() => this.#isUnproved())) !== false) this.#hellos += 1;
    const isTold = this.#retries.isExhausted;
    await this.#guard(() => this.#reports.failed(failure, dirty ?? 0, isTold));
    if (this.#isEnded) return false;
    if (dirty === 0 && !this.#owesContact && !this.#signal.isRaised) {
      void this.#lagWatch.end();
      this.#retries.reset();
      this.#become("gave_up");
      return false;
    }
    this.#become(isTold ? "attempts_exhausted" : "attempt_failed");
    this.#lagWatch.begin(() => this.#lastError);
    return true;
  }

  /**
   * Whether the drain is unfinished though nothing is dirty: acked is unknown, or behind the head by refused rows alone, or it is
   * unanswered whether both sites are equal there. No write may ever ask again.
   */
  async #isUnproved(): Promise<boolean> {
    const { store, peer } = this.#options;
    const { head } = await store.read((r) => r.site.record());
    const known = (await store.read((r) => r.replication.peers())).find(({ site }) => site === peer);
    if (!known) return false;
    if (!known.acked || !samePoint(known.acked, head)) return true;
    return isProofWanted(this.#proof, known, head) || isRepairLeft(this.#proof, known);
  }

  /** What this site's disk has kept it from doing, marking or telling, is made up for by one more contact: no write may ever come. */
  #meetFault(error: string): void {
    this.#options.onFault(error);
    this.#hellos += 1;
  }

  /** Runs what touches this site's own disk: its faults must not end the worker, or a full disk would end replication. */
  async #guard<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#options.onFault(error);
      return undefined;
    }
  }
}
