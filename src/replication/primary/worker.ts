import type { AlertDetails } from "../../core/alert-events.ts";
import { type BackoffPolicy, isExhausted, waitMs } from "../../core/backoff.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Clock, Random, Transport } from "../../core/ports.ts";
import { comparePositions, type Position } from "../../core/position.ts";
import type { Acknowledgement, BatchLimit, PrimaryStore, SiteStore } from "../../core/store.ts";
import { nextWorkerState, type WorkerEvent, type WorkerState } from "../../core/worker-state.ts";
import { Drain, type DrainOutcome, type Failure, markAllAbove } from "./drain.ts";
import type { Incidents } from "./incidents.ts";
import { Signal } from "./signal.ts";

export type WorkerOptions = {
  readonly peer: SiteName;
  readonly publicUrl: string;
  readonly store: PrimaryStore & SiteStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly limit: BatchLimit;
  readonly backoff: BackoffPolicy;
  /** How old the oldest dirty row may grow, while attempts fail, before the operator hears of it. */
  readonly lagAfterMs: number;
  readonly incidents: Incidents;
  /** The fence is committed: every worker of this site must stop. */
  readonly onFenced: () => void;
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
  readonly counters: Readonly<WorkerCounters>;
};

type Waiter = { readonly position: Position; readonly settle: (isHeld: boolean) => void };

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
  readonly #waiters = new Set<Waiter>();
  readonly #counters: WorkerCounters = { signals: 0, wakeups: 0, pushes: 0, rows: 0, bytes: 0, failures: 0 };
  #state: WorkerState = "asleep";
  /**
   * Hellos so far, the start being the first, and the last one after which the peer has answered. A push that left before a
   * hello does not answer it: the backup may have been put back to an older copy in between.
   */
  #hellos = 1;
  #hellosAnswered = 0;
  #retriesQuarantined = false;
  #failures = 0;
  #nextAttemptAt: number | null = null;
  #lastContactAt: number | null = null;
  #lastError: string | null = null;
  /** What is to be told of rows in quarantine, until that has succeeded. */
  #untold: AlertDetails | null = null;
  #lagWatch: AbortController | null = null;
  #lagWatched: Promise<void> = Promise.resolve();
  /** Whether the operator knows of the lag since the last finished drain: then no timer need watch it. */
  #lagIsTold = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: WorkerOptions) {
    this.peer = options.peer;
    this.#options = options;
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

  /** The backup has said hello: push once even with nothing dirty, and wait no longer. */
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
      attempt: this.#failures,
      nextAttemptAt: this.#nextAttemptAt,
      lastContactAt: this.#lastContactAt,
      lastError: this.#lastError,
      counters: { ...this.#counters },
    };
  }

  /** Resolves when the backup has acknowledged `position`: true where it took the row, false where it rejected it. */
  waitFor(position: Position, abort: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isHeld: boolean) => {
        this.#waiters.delete(waiter);
        abort.removeEventListener("abort", giveUp);
        resolve(isHeld);
      };
      const giveUp = () => settle(false);
      const waiter = { position, settle };
      this.#waiters.add(waiter);
      abort.addEventListener("abort", giveUp);
      if (abort.aborted) giveUp();
    });
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
    this.#lagWatch?.abort();
    for (const waiter of this.#waiters) waiter.settle(false);
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
      // A burst's writes commit in this turn and the next; one turn later they are one batch.
      await this.#options.clock.turn();
      await this.#ship();
      if (this.#isEnded) return;
    }
  }

  /** From the first attempt to a finished drain, through every wait between. Returns asleep, fenced or stopped. */
  async #ship(): Promise<void> {
    const { clock, backoff } = this.#options;
    let deadlineMs = 0;
    let isCut = false;
    while (!this.#isEnded) {
      const begunMs = clock.monotonicMs();
      const outcome = await this.#attempt();
      if (this.#isEnded) return;
      if (outcome.kind === "fenced") return this.#fenced();
      if (outcome.kind === "drained") return this.#drained();
      const counts = outcome.progressed || !isCut;
      if (outcome.progressed) this.#failures = 0;
      if (counts) this.#failures += 1;
      if (counts) deadlineMs = clock.monotonicMs() + waitMs(backoff, this.#failures, this.#options.random);
      if (!(await this.#failed(outcome.failure))) return;
      isCut = await this.#pause(deadlineMs, begunMs + backoff.baseMs);
      if (this.#isEnded) return;
      this.#become("woken");
      await clock.turn();
    }
  }

  /** A drain, and word of what is over with it. */
  async #attempt(): Promise<DrainOutcome> {
    const outcome = await this.#drain();
    if (outcome.kind !== "drained" || this.#isEnded) return outcome;
    if (await this.#guard(() => this.#settleIncidents())) return outcome;
    const failure = { kind: "local", error: "the end of an incident could not be told" } as const;
    return { kind: "failed", failure, progressed: true };
  }

  #drain(): Promise<DrainOutcome> {
    const { peer, publicUrl, store, transport, limit, clock } = this.#options;
    const drain = new Drain({
      peer,
      publicUrl,
      store,
      transport,
      limit,
      abort: this.#abort.signal,
      stop: this.#stop.signal,
      owedContact: () => (this.#owesContact ? this.#hellos : undefined),
      retriesQuarantined: () => this.#takeQuarantineRetry(),
      onLook: () => this.#signal.clear(),
      onPushed: (rows, bytes) => {
        this.#counters.pushes += 1;
        this.#counters.rows += rows;
        this.#counters.bytes += bytes;
      },
      onContact: (hello = 0) => {
        this.#lastContactAt = clock.now();
        this.#hellosAnswered = Math.max(this.#hellosAnswered, hello);
      },
      onAcknowledged: (ack) => this.#acknowledged(ack),
    });
    return drain.run();
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
    const rejected = (position: Position) =>
      ack.rejected.some((row) => comparePositions(row.position, position) === 0);
    for (const waiter of this.#waiters) {
      if (rejected(waiter.position)) waiter.settle(false);
      else if (comparePositions(waiter.position, ack.through.position) <= 0) waiter.settle(true);
    }
    const [first] = ack.rejected;
    if (first) await this.#guard(() => this.#tellQuarantine({ code: first.code }));
  }

  async #tellQuarantine(details: AlertDetails): Promise<void> {
    const { store, incidents } = this.#options;
    this.#untold = details;
    const { quarantined: count } = await store.backlog(this.peer);
    const message = "Backup refuses a row; all others go on";
    if (count > 0) await incidents.open("replication_quarantined", message, { count, ...details });
    this.#untold = null;
  }

  #drained(): void {
    this.#failures = 0;
    this.#nextAttemptAt = null;
    this.#lastError = null;
    this.#lagIsTold = false;
    this.#become("drained");
  }

  /** Tells what is over, and what could not be told of quarantine before. */
  async #settleIncidents(): Promise<true> {
    const { incidents, store } = this.#options;
    // A lag that is being told just now must be told before its end is.
    this.#lagWatch?.abort();
    await this.#lagWatched;
    if (this.#untold) await this.#tellQuarantine(this.#untold);
    await incidents.end(
      async (incident) =>
        incident !== "replication_quarantined" || (await store.backlog(this.peer)).quarantined === 0,
    );
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
    const dirty = await this.#guard(async () => (await this.#options.store.backlog(this.peer)).dirty);
    await this.#guard(() => this.#tell(failure, dirty ?? 0));
    if (this.#isEnded) return false;
    if (dirty === 0 && !this.#owesContact && !this.#signal.isRaised) {
      this.#lagWatch?.abort();
      this.#failures = 0;
      this.#become("gave_up");
      return false;
    }
    this.#become(
      isExhausted(this.#options.backoff, this.#failures) ? "attempts_exhausted" : "attempt_failed",
    );
    this.#watchLag();
    return true;
  }

  /** What this site's disk has kept it from doing, marking or telling, is made up for by one more contact: no write may ever come. */
  #meetFault(error: string): void {
    this.#options.onFault(error);
    this.#hellos += 1;
  }

  async #tell(failure: Failure, count: number): Promise<void> {
    const { incidents, backoff } = this.#options;
    const details: AlertDetails = { count, last_error: failure.error };
    if (failure.kind === "unauthorized") {
      await incidents.open(
        "replication_unauthorized",
        "Backup does not take this site's credential",
        details,
      );
    } else if (failure.kind === "refused") {
      await incidents.open("replication_refused", "Backup refuses pushes of this site", details);
    } else if (isExhausted(backoff, this.#failures)) {
      await incidents.open("replication_failed", "Backup unreachable after retries", details);
    }
  }

  /**
   * Waits until the deadline, or a signal, or the end. A signal's attempt begins no sooner than `earliestMs`, however many
   * signals there are. Returns whether a signal cut the wait.
   */
  async #pause(deadlineMs: number, earliestMs: number): Promise<boolean> {
    const { clock } = this.#options;
    this.#nextAttemptAt = clock.now() + Math.max(0, deadlineMs - clock.monotonicMs());
    const cut = this.#signal.cut();
    await clock.sleep(deadlineMs - clock.monotonicMs(), AbortSignal.any([this.#stop.signal, cut.signal]));
    cut.release();
    const isCut = cut.signal.aborted && clock.monotonicMs() < deadlineMs;
    await clock.sleep(earliestMs - clock.monotonicMs(), this.#stop.signal);
    this.#nextAttemptAt = null;
    return isCut;
  }

  /** One timer while attempts fail and a row is dirty: for the moment at which the oldest is too old. */
  #watchLag(): void {
    if (this.#lagWatch || this.#lagIsTold) return;
    const watch = new AbortController();
    this.#lagWatch = watch;
    this.#lagWatched = this.#guard(() => this.#tellLag(watch.signal)).finally(() => {
      this.#lagWatch = null;
    });
  }

  async #tellLag(abort: AbortSignal): Promise<void> {
    const { store, clock, lagAfterMs, incidents } = this.#options;
    while (!abort.aborted) {
      const { dirty, oldestDirtySince } = await store.backlog(this.peer);
      if (oldestDirtySince === null) return;
      // A wall clock that was put back must not put off the next look until it has caught up.
      const lagMs = Math.max(0, clock.now() - oldestDirtySince);
      if (abort.aborted) return;
      if (lagMs >= lagAfterMs) {
        const details = { count: dirty, lag_ms: lagMs, last_error: this.#lastError };
        await incidents.open("replication_lagging", "Backup is behind", details);
        this.#lagIsTold = true;
        return;
      }
      await clock.sleep(lagAfterMs - lagMs, abort);
    }
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
