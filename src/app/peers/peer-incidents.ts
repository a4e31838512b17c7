import { type AlertEvent, alertEvents } from "../../core/alert-events.ts";
import type { Alerts } from "../../core/edition.ts";
import type { SiteName } from "../../core/ids.ts";

/** Ends what is open about backups that are peers no longer: no worker is left that would. Costs one look where nothing is. */
export async function endIncidentsBut(alerts: Alerts, peers: readonly SiteName[]): Promise<void> {
  const names = new Set<unknown>(peers);
  for (const { event, details } of await alerts.openIncidents()) {
    const { backup } = details;
    const ending = endingOf(event);
    if (typeof backup !== "string" || names.has(backup) || ending === undefined) continue;
    await alerts.raise(ending, backup, "The backup is no peer of this site any more", { backup });
  }
}

function endingOf(event: AlertEvent): AlertEvent | undefined {
  const names = Object.keys(alertEvents) as AlertEvent[];
  return names.find((name) => alertEvents[name].ends === event);
}
