import type { AlertDetails, AlertEvent } from "../../core/alert-events.ts";
import type { Alerts } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Transacts } from "../../core/store/store.ts";
import { tellStranded } from "../stranded-notice.ts";

/** What can be wrong with one backup, with the notice that ends it. */
const endings = {
  replication_failed: ["replication_recovered", "Backup reachable again; everything is there"],
  replication_unauthorized: ["replication_authorized", "Backup takes the credential again"],
  replication_refused: ["replication_accepted", "Backup accepts pushes again"],
  replication_lagging: ["replication_caught_up", "Backup has everything again"],
  replication_quarantined: ["replication_quarantine_cleared", "No row is refused by the backup any more"],
  replication_diverged: ["replication_repaired", "Backup is proved equal again"],
} as const satisfies Partial<Record<AlertEvent, readonly [AlertEvent, string]>>;

export type BackupIncident = keyof typeof endings;

/**
 * The incidents of one backup. Which are open is known to whoever stores the alerts, so that neither a restart nor a disk put
 * back repeats an alert or forgets to end it.
 */
export class Incidents {
  readonly #backup: SiteName;
  readonly #alerts: Alerts;

  constructor(backup: SiteName, alerts: Alerts) {
    this.#backup = backup;
    this.#alerts = alerts;
  }

  /** Tells the operator, once until the incident ends. */
  async open(incident: BackupIncident, message: string, details: AlertDetails): Promise<void> {
    await this.#alerts.raise(incident, this.#backup, message, { backup: this.#backup, ...details });
  }

  /**
   * Tells the operator what is over. Costs one look at the store while nothing is open: `isOver` is not asked then.
   * @param isOver what is to be told with the end; null where the incident is not over
   */
  async end(isOver: (incident: BackupIncident) => Promise<AlertDetails | null>): Promise<void> {
    for (const { event, details } of await this.#alerts.openIncidents()) {
      if (details["backup"] !== this.#backup || !isBackupIncident(event)) continue;
      const told = await isOver(event);
      if (told) await this.#tellEnd(event, told);
    }
  }

  /** Rows of this site that fail their own hash and that the backup has not intact either. Of the site, whoever found them. */
  async damaged(rows: number): Promise<void> {
    const message = "Rows are damaged, and no intact copy of them was found";
    await this.#alerts.raise("rows_damaged", "", message, { rows });
  }

  /** Something was stranded, or may have been. */
  stranded(store: Transacts<"aside">): Promise<void> {
    return tellStranded({ store, alerts: this.#alerts });
  }

  #tellEnd(incident: BackupIncident, details: AlertDetails): Promise<void> {
    const [ending, message] = endings[incident];
    return this.#alerts.raise(ending, this.#backup, message, { backup: this.#backup, ...details });
  }
}

function isBackupIncident(event: AlertEvent): event is BackupIncident {
  return Object.hasOwn(endings, event);
}
