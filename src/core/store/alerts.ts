import type { Alert, AlertDetails, AlertEvent } from "../alert-events.ts";

/** Alerts, and which of them were delivered. */
export interface AlertReader {
  /** Newest first, at most `limit`. */
  newest(limit: number): Promise<readonly Alert[]>;
  openIncidents(): Promise<readonly Alert[]>;
  /** Alerts that `channel` has not delivered and that are younger than `since`, oldest first. Costs what it returns. */
  undelivered(channel: string, since: number): Promise<readonly Alert[]>;
}

/** Stores alerts and what became of them. */
export interface AlertWriter extends AlertReader {
  /**
   * Stores an alert. An event that opens an incident of the same event and subject as one still open stores nothing; one
   * that ends an incident stores nothing unless it is open. Returns the stored alert.
   * @param subject a peer's site name, or "" for the site itself
   */
  add(event: AlertEvent, subject: string, message: string, details: AlertDetails): Promise<Alert | undefined>;
  markDelivered(channel: string, alertId: number): Promise<void>;
}
