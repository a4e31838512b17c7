import type { Alert } from "../../core/alert-events.ts";

/** A way to an operator. Its name is how the store remembers what it has delivered, so it outlives restarts. */
export interface AlertChannel {
  readonly name: string;
  /** Where it leads, without anything secret: for logs. */
  readonly target: string;
  /**
   * Hands over one alert; resolves when the other end has taken it. May be repeated: what was taken may come again.
   * @throws DeliveryError where it was not taken, or not known to be
   */
  deliver(alert: Alert, signal: AbortSignal): Promise<void>;
  /** Gives up connections. Nothing is delivered after it. */
  close(): Promise<void>;
}

/** Why an alert was not taken, in words that hold no address and no answer. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
}
