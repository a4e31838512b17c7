import type { Alert, AlertDetails, AlertEvent } from "../../../core/alert-events.ts";
import type { AlertReader, AlertWriter } from "../../../core/store/alerts.ts";
import { addAlert, markDelivered, readAlerts, readUndelivered } from "../alerts.ts";
import type { ReadScope, TransactionScope } from "./scope.ts";

export class AlertReads implements AlertReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async newest(limit: number): Promise<readonly Alert[]> {
    return readAlerts(this.#scope.view.connection, limit);
  }

  async openIncidents(): Promise<readonly Alert[]> {
    return this.#scope.view.state.openIncidents;
  }

  async undelivered(channel: string, since: number): Promise<readonly Alert[]> {
    return readUndelivered(this.#scope.view.connection, channel, since);
  }
}

export class AlertWrites extends AlertReads implements AlertWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  add(
    event: AlertEvent,
    subject: string,
    message: string,
    details: AlertDetails,
  ): Promise<Alert | undefined> {
    const { clock, random } = this.#scope.ports;
    return this.#scope.do((tx) =>
      addAlert(tx, { event, subject, message, details, at: clock.now() }, random),
    );
  }

  markDelivered(channel: string, alertId: number): Promise<void> {
    return this.#scope.do((tx) => markDelivered(tx.connection, channel, alertId));
  }
}
