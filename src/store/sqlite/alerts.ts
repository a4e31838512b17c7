import {
  type Alert,
  type AlertDetails,
  type AlertEvent,
  alertEvents,
  type Severity,
} from "../../core/alert-events.ts";
import { newUuidV4 } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import type { Transaction } from "./transaction.ts";

type AlertColumns = {
  id: number;
  event: AlertEvent;
  severity: Severity;
  message: string;
  details: string;
  at: number;
  incident: string;
  ended_at: number | null;
};

type OpenIncident = { id: number; incident: string };

export type NewAlert = {
  readonly event: AlertEvent;
  readonly subject: string;
  readonly message: string;
  readonly details: AlertDetails;
  readonly at: number;
};

const columns = "id, event, severity, message, details, at, incident, ended_at";

function alertOf(record: AlertColumns): Alert {
  const { ended_at: endedAt, details, ...rest } = record;
  return { ...rest, details: JSON.parse(details) as AlertDetails, endedAt };
}

/** Only what nobody needs to mend opens no incident: a test, and the notice that one ended. */
function opensIncident(event: AlertEvent): boolean {
  return alertEvents[event].severity !== "info";
}

/** See AlertWriter.add. */
export function addAlert(tx: Transaction, alert: NewAlert, random: Random): Alert | undefined {
  const { connection } = tx;
  const { ends } = alertEvents[alert.event];
  const opens = opensIncident(alert.event);
  if (ends === null && opens && openIncident(connection, alert.event, alert.subject)) return undefined;
  const added =
    ends === null
      ? insertAlert(connection, alert, newUuidV4(random), opens)
      : endIncident(connection, alert, ends);
  tx.know({ openIncidents: readOpenIncidents(connection) });
  return added;
}

function openIncident(connection: Connection, event: string, subject: string): OpenIncident | undefined {
  return connection.get<OpenIncident>(
    "SELECT id, incident FROM alerts WHERE opens = 1 AND ended_at IS NULL AND event = ? AND subject = ?",
    event,
    subject,
  );
}

function endIncident(connection: Connection, alert: NewAlert, ends: string): Alert | undefined {
  const open = openIncident(connection, ends, alert.subject);
  if (!open) return undefined;
  connection.run("UPDATE alerts SET ended_at = ? WHERE id = ?", alert.at, open.id);
  return insertAlert(connection, alert, open.incident, false);
}

function insertAlert(
  connection: Connection,
  alert: NewAlert,
  incident: string,
  opens: boolean,
): Alert | undefined {
  const record = connection.get<AlertColumns>(
    `INSERT INTO alerts (event, subject, severity, message, details, at, incident, opens) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     RETURNING ${columns}`,
    alert.event,
    alert.subject,
    alertEvents[alert.event].severity,
    alert.message,
    JSON.stringify(alert.details),
    alert.at,
    incident,
    opens ? 1 : 0,
  );
  return record && alertOf(record);
}

export function readAlerts(connection: Connection, limit: number): Alert[] {
  return connection
    .all<AlertColumns>(`SELECT ${columns} FROM alerts ORDER BY id DESC LIMIT ? + 0`, limit)
    .map(alertOf);
}

export function readOpenIncidents(connection: Connection): Alert[] {
  return connection
    .all<AlertColumns>(
      `SELECT ${columns} FROM alerts INDEXED BY alerts_open WHERE opens = 1 AND ended_at IS NULL ORDER BY id`,
    )
    .map(alertOf);
}

/** See AlertReader.undelivered. */
export function readUndelivered(connection: Connection, channel: string, since: number): Alert[] {
  return connection
    .all<AlertColumns>(
      `SELECT ${columns} FROM alerts INDEXED BY alerts_at WHERE at > ?
       AND NOT EXISTS (SELECT 1 FROM deliveries WHERE channel = ? AND alert_id = alerts.id) ORDER BY id`,
      since,
      channel,
    )
    .map(alertOf);
}

export function markDelivered(connection: Connection, channel: string, alertId: number): void {
  connection.run(
    "INSERT INTO deliveries (channel, alert_id) VALUES (?, ?) ON CONFLICT (channel, alert_id) DO NOTHING",
    channel,
    alertId,
  );
}
