import type { AlertDetails, AlertEvent } from "../../core/alert-events.ts";
import type { Alerts } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";

/** What can be wrong with one backup, with the notice that ends it. */
const endings = {
  replication_failed: ["replication_recovered", "Backup reachable again; everything is there"],
  replication_unauthorized: ["replication_authorized", "Backup takes the credential again"],
  replication_refused: ["replication_accepted", "Backup accepts pushes again"],
  replication_lagging: ["replication_caught_up", "Backup has everything again"],
  replication_quarantined: ["replication_quarantine_cleared", "No row is refused by the backup any more"],
} as const satisfies Partial<Record<AlertEvent, readonly [AlertEvent, string]>>;

export type BackupIncident = keyof typeof endings;

/**
 * The incidents of one backup. Whether one is open is the store's knowledge, so that a restart neither repeats an alert nor
 * forgets to end it; what is kept here only saves asking.
 */
export class Incidents {
  readonly #backup: SiteName;
  readonly #alerts: Alerts;
  readonly #open: Set<BackupIncident>;

  /** @param open the incidents of this backup that the store holds open */
  constructor(backup: SiteName, alerts: Alerts, open: Iterable<BackupIncident>) {
    this.#backup = backup;
    this.#alerts = alerts;
    this.#open = new Set(open);
  }

  has(incident: BackupIncident): boolean {
    return this.#open.has(incident);
  }

  /** Tells the operator, once until the incident ends. */
  async open(incident: BackupIncident, message: string, details: AlertDetails): Promise<void> {
    if (this.#open.has(incident)) return;
    await this.#alerts.raise(incident, this.#backup, message, { backup: this.#backup, ...details });
    this.#open.add(incident);
  }

  /** Tells the operator that it is over; nothing where it was not open. */
  async end(incident: BackupIncident): Promise<void> {
    if (!this.#open.has(incident)) return;
    const [event, message] = endings[incident];
    await this.#alerts.raise(event, this.#backup, message, { backup: this.#backup });
    this.#open.delete(incident);
  }

  /** Ends everything that a finished drain disproves. */
  async endAfterDrain(): Promise<void> {
    await this.end("replication_failed");
    await this.end("replication_unauthorized");
    await this.end("replication_refused");
    await this.end("replication_lagging");
  }
}

export function isBackupIncident(event: AlertEvent): event is BackupIncident {
  return Object.hasOwn(endings, event);
}
