import {
  type Alert,
  type AlertDetails,
  type AlertEvent,
  alertEvents,
  type Severity,
} from "../../core/alert-events.ts";
import { type BackoffPolicy, defaultBackoff } from "../../core/backoff.ts";
import type { Alerts } from "../../core/edition.ts";
import { newUuidV4 } from "../../core/ids.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { Transacts } from "../../core/store/store.ts";
import type { Logger } from "../logging.ts";
import type { AlertChannel } from "./alert-channel.ts";
import { Courier } from "./courier.ts";

export type AlertDeskOptions = {
  readonly store: Transacts<"alerts">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Owned from here on: stopping the desk closes them. */
  readonly channels: readonly AlertChannel[];
  readonly policy?: BackoffPolicy;
};

/** What came of a test alert on one channel. `error` says why not, without the channel's address. */
export type DeliveryReport = { readonly channel: string; readonly ok: boolean; readonly error?: string };

const alertEventNames = Object.keys(alertEvents) as AlertEvent[];
const levels = { info: "info", warning: "warn", critical: "error" } as const satisfies Record<
  Severity,
  string
>;

/**
 * Where everything that an operator must hear comes together: the store (once for each incident), the log, then each channel
 * at its own pace. A channel that is down delays nobody and loses nothing.
 */
export class AlertDesk implements Alerts, AsyncDisposable {
  readonly #options: AlertDeskOptions;
  readonly #couriers: readonly Courier[];
  /** What the store could not take last of each incident, its opening or its end, so that it too is told once. */
  readonly #unstored = new Map<string, Alert>();
  #unstoredCount = 0;

  constructor(options: AlertDeskOptions) {
    this.#options = options;
    const policy = options.policy ?? defaultBackoff;
    this.#couriers = options.channels.map((channel) => new Courier({ ...options, channel, policy }));
  }

  /** Delivers what earlier runs of the site left undelivered. Called once. */
  start(): void {
    for (const courier of this.#couriers) courier.start();
  }

  /**
   * Never rejects: an alert that the store cannot take (a full disk is one of the things to be told) is logged and delivered
   * all the same, and only forgotten if the process ends before.
   */
  async raise(event: AlertEvent, subject: string, message: string, details: AlertDetails): Promise<void> {
    const told = { event, subject, message, details };
    try {
      const alert = await this.#options.store.transact((tx) =>
        tx.alerts.add(event, subject, message, details),
      );
      if (alert === undefined) return this.#endUnstored(told);
      this.#forget(event, subject);
      this.#write(alert);
      for (const courier of this.#couriers) courier.wake();
    } catch (error) {
      // Told once: a full disk refuses many writes, and each of them raises this.
      if (this.#carry(told)) this.#options.log.error({ event, err: error }, "this alert could not be stored");
    }
  }

  async openIncidents(): Promise<readonly Alert[]> {
    return [...(await this.#options.store.read((r) => r.alerts.openIncidents())), ...this.#unstored.values()];
  }

  /** Stores an alert `test` and tries each channel once, now; where that fails it is delivered later, like any other. */
  async deliverTest(): Promise<readonly DeliveryReport[]> {
    const message = "This is a test: alerts reach you.";
    const alert = await this.#options.store.transact((tx) => tx.alerts.add("test", "", message, {}));
    if (alert === undefined) throw new Error("the store took a test alert for the end of an incident");
    this.#write(alert);
    const names = this.#options.channels.map(({ name }) => name);
    const failures = await Promise.all(this.#couriers.map((courier) => courier.deliverNow(alert)));
    const reports = failures.map((error, i): DeliveryReport => {
      const channel = names[i] ?? "";
      return error === undefined ? { channel, ok: true } : { channel, ok: false, error };
    });
    return [{ channel: "log", ok: true }, ...reports];
  }

  /** Ends waits and attempts at once and closes the channels. What is not delivered is delivered after the next start. */
  async stop(): Promise<void> {
    await Promise.all(this.#couriers.map((courier) => courier.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #write({ event, severity, message, details, incident }: Alert): void {
    this.#options.log[levels[severity]]({ event, incident, details }, message);
  }

  /** The store knows of no such incident; it may be one that it could not take. */
  #endUnstored(told: Told): void {
    const { ends } = alertEvents[told.event];
    if (ends !== null && this.#unstored.has(keyOf(ends, told.subject))) this.#carry(told);
  }

  /** Whether it was news. */
  #carry({ event, subject, message, details }: Told): boolean {
    const { severity, ends } = alertEvents[event];
    if (this.#unstored.has(keyOf(event, subject))) return false;
    const opening = ends === null ? undefined : this.#unstored.get(keyOf(ends, subject));
    this.#unstoredCount += 1;
    const alert: Alert = {
      // Never an id of the store's.
      id: -this.#unstoredCount,
      event,
      severity,
      message,
      details,
      at: this.#options.clock.now(),
      incident: opening?.incident ?? newUuidV4(this.#options.random),
      endedAt: null,
    };
    this.#forget(event, subject);
    if (event !== "test") this.#unstored.set(keyOf(event, subject), alert);
    this.#write(alert);
    for (const courier of this.#couriers) courier.carry(alert);
    return true;
  }

  #forget(event: AlertEvent, subject: string): void {
    this.#unstored.delete(keyOf(event, subject));
    const counterpart = counterpartOf(event);
    if (counterpart !== undefined) this.#unstored.delete(keyOf(counterpart, subject));
  }
}

/** The event that ends this one, or that this one ends; undefined for one that stands alone. */
function counterpartOf(event: AlertEvent): AlertEvent | undefined {
  return alertEvents[event].ends ?? alertEventNames.find((other) => alertEvents[other].ends === event);
}

type Told = {
  readonly event: AlertEvent;
  readonly subject: string;
  readonly message: string;
  readonly details: AlertDetails;
};

function keyOf(event: AlertEvent, subject: string): string {
  return `${event}/${subject}`;
}
