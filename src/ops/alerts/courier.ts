import type { Alert } from "../../core/alert-events.ts";
import { type BackoffPolicy, waitMs } from "../../core/backoff.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { Transacts } from "../../core/store/store.ts";
import type { Logger } from "../logging.ts";
import type { AlertChannel } from "./alert-channel.ts";

const dayMs = 86_400_000;
/** After this an alert is history and no longer news. */
const alertAgeMsMax = 7 * dayMs;

export type CourierOptions = {
  readonly channel: AlertChannel;
  readonly store: Transacts<"alerts">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly policy: BackoffPolicy;
};

/**
 * Brings alerts to one channel: in order, each at least once, for up to seven days and over restarts. While everything is
 * delivered it is one pending promise; a timer exists only between two attempts. Whoever raises an alert never waits for it.
 */
export class Courier {
  readonly #options: CourierOptions;
  readonly #stop = new AbortController();
  /** Set by a signal, cleared before the look at the store that it asks for, so that no signal is lost. */
  #isWoken = false;
  #wakeUp: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #failures = 0;
  /** Delivered, but the store could not be told: not to be delivered again by this process. */
  readonly #unmarked = new Set<number>();
  /** Alerts that the store could not take. They live as long as the process. */
  #unstored: readonly Alert[] = [];
  /** What may have gone stale while the site was down is looked for once. */
  #isFirstLook = true;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  /** Delivers what is left from before, and from then on what it is woken for. Called once. */
  start(): void {
    this.#running = this.#run();
  }

  /** There may be something to deliver. Cuts a wait short. */
  wake(): void {
    this.#isWoken = true;
    this.#wakeUp();
  }

  /** Takes an alert that is in no store. */
  carry(alert: Alert): void {
    this.#unstored = [...this.#unstored, alert];
    this.wake();
  }

  /** One attempt out of turn; the reason where it failed, after which the alert waits in line like any other. */
  async deliverNow(alert: Alert): Promise<string | undefined> {
    const failure = await this.#attempt(alert);
    if (failure === undefined) await this.#settle(alert);
    else this.wake();
    return failure;
  }

  /** Ends a wait or an attempt at once. What is not delivered is delivered after the next start. May be repeated. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wakeUp();
    await this.#running;
    await this.#options.channel.close();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#isWoken = false;
      const beganMs = this.#options.clock.monotonicMs();
      const isDone = await this.#deliverPending();
      if (isDone) await this.#sleep();
      else await this.#backOff(beganMs);
    }
  }

  /** Whether nothing is left to do until the next signal. */
  async #deliverPending(): Promise<boolean> {
    const stored = await this.#news();
    for (const alert of [...(stored ?? []), ...this.#unstored]) {
      const failure = this.#unmarked.has(alert.id) ? undefined : await this.#attempt(alert);
      if (failure === undefined && !(await this.#settle(alert)))
        return this.#fail("the store could not be written");
      if (this.#stop.signal.aborted) return true;
      if (failure !== undefined) return this.#fail(failure, alert);
    }
    if (stored === undefined) return this.#fail("the store could not be read");
    if (this.#failures > 0) this.#options.log.info({ channel: this.#name }, "alerts are delivered again");
    this.#failures = 0;
    return true;
  }

  get #name(): string {
    return this.#options.channel.name;
  }

  /** What the store has to deliver, oldest first, without what is too old to be news; undefined where it cannot be read. */
  async #news(): Promise<readonly Alert[] | undefined> {
    const { store, clock } = this.#options;
    const since = clock.now() - alertAgeMsMax;
    try {
      const stored = await store.read((r) =>
        r.alerts.undelivered(this.#name, this.#isFirstLook ? 0 : since - dayMs),
      );
      this.#isFirstLook = false;
      const stale = stored.filter(({ at }) => at <= since);
      if (stale.length > 0) await this.#giveUp(stale);
      return stored.filter(({ at }) => at > since);
    } catch {
      return undefined;
    }
  }

  /** To the store, given up and delivered are one: nothing is to be done any more, and nothing is told twice. */
  async #giveUp(alerts: readonly Alert[]): Promise<void> {
    const events = [...new Set(alerts.map(({ event }) => event))];
    const facts = { channel: this.#name, count: alerts.length, events };
    this.#options.log.error(facts, "alerts are older than 7 days and are given up undelivered");
    for (const alert of alerts) await this.#settle(alert);
  }

  async #attempt(alert: Alert): Promise<string | undefined> {
    try {
      await this.#options.channel.deliver(alert, this.#stop.signal);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : "the delivery failed";
    }
  }

  /** Notes that an alert needs no further attempt; false where the store could not be told. */
  async #settle(alert: Alert): Promise<boolean> {
    if (this.#unstored.includes(alert)) {
      this.#unstored = this.#unstored.filter((other) => other !== alert);
      return true;
    }
    this.#unmarked.add(alert.id);
    try {
      await this.#options.store.transact((tx) => tx.alerts.markDelivered(this.#name, alert.id));
      this.#unmarked.delete(alert.id);
      return true;
    } catch {
      return false;
    }
  }

  #fail(reason: string, alert?: Alert): false {
    const { policy, log, channel } = this.#options;
    this.#failures += 1;
    const facts = {
      channel: this.#name,
      target: channel.target,
      event: alert?.event,
      failures: this.#failures,
      reason,
    };
    if (this.#failures === 1) log.warn(facts, "an alert was not delivered; it is tried again");
    else if (this.#failures === policy.retriesMax + 1)
      log.error(facts, "alerts cannot be delivered; it goes on trying");
    else log.debug(facts, "an alert was not delivered");
    return false;
  }

  async #sleep(): Promise<void> {
    if (this.#isWoken || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wakeUp = resolve;
    });
  }

  /**
   * Waits before the next attempt. A new alert cuts the wait short, since the channel may be back; but attempts never follow
   * each other faster than the policy's base, and one that came early does not count.
   */
  async #backOff(beganMs: number): Promise<void> {
    const { clock, policy, random } = this.#options;
    await this.#wait(waitMs(policy, Math.max(1, this.#failures), random), () => this.#isWoken);
    if (!this.#isWoken) return;
    this.#failures = Math.max(0, this.#failures - 1);
    await this.#wait(policy.baseMs - (clock.monotonicMs() - beganMs), () => false);
  }

  async #wait(ms: number, isCut: () => boolean): Promise<void> {
    if (ms <= 0 || this.#stop.signal.aborted || isCut()) return;
    const end = new AbortController();
    this.#wakeUp = () => {
      if (isCut() || this.#stop.signal.aborted) end.abort();
    };
    await this.#options.clock.sleep(ms, end.signal);
  }
}
