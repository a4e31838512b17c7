import type { Alert, AlertEvent } from "../../core/alert-events.ts";
import type { Alerts } from "../../core/edition.ts";
import { formatPosition } from "../../core/position.ts";
import type { Fence } from "../../core/store/site.ts";
import type { Transacts } from "../../core/store/store.ts";
import type { Workers } from "../primary/workers.ts";
import { tellStranded } from "../stranded-notice.ts";
import { persist, type PersistPorts } from "./persist.ts";

/** What is told, and taken up, when a site's reign begins, is cut short by a fence, or is over. */

export type ReignPorts = PersistPorts & {
  readonly store: Transacts<"site" | "aside">;
  readonly alerts: Alerts;
  readonly workers: Workers;
};

const fenceMessages: Readonly<Record<Exclude<Fence, "promotion_granted">, string>> = {
  primary_behind: "This primary was put back to an older copy and is fenced",
  primary_superseded: "Another site is primary now; this one is fenced",
};

/** A planned promotion that is made at all is made in this time, twice over. */
const answerMs = 60_000;

/**
 * While a grant is open no site takes writes, and only the site that it is to can end that: where it does not within a minute,
 * the operator is told. May be begun anew by a restart.
 */
export async function tellUnanswered(ports: ReignPorts, abort: AbortSignal): Promise<void> {
  await ports.clock.sleep(answerMs, abort);
  await persist(ports, abort, async () => {
    const { fenced, site, grant } = await ports.store.read((r) => r.site.record());
    if (fenced !== "promotion_granted" || !grant) return "done";
    const details = { site, to: grant.to, at: formatPosition(grant.head.position) };
    await ports.alerts.raise("promotion_unanswered", "", unansweredMessage, details);
    return "done";
  });
}

const unansweredMessage = "A planned promotion was neither made nor given back: no site takes writes";

/** Tells the operator why this site takes no writes; once, since an incident that is open is not told again. */
export async function tellFence(ports: ReignPorts, abort: AbortSignal): Promise<void> {
  await persist(ports, abort, async () => {
    const { fenced, site } = await ports.store.read((r) => r.site.record());
    if (fenced === null || fenced === "promotion_granted") return "done";
    await endWhere(ports.alerts, (event) => endingsOfGrants[event]);
    await ports.alerts.raise(fenced, "", fenceMessages[fenced], { site });
    return "done";
  });
}

/**
 * This site is the primary in its right: fences and grants are over, and what it has put aside itself is for it to decide. Rows
 * that are stranded are told here too, since the site that told of them before may be gone.
 */
export async function settleReign(ports: ReignPorts, abort: AbortSignal): Promise<void> {
  await persist(ports, abort, async () => {
    const { fenced } = await ports.store.read((r) => r.site.record());
    if (fenced !== null) return "done";
    await endWhere(ports.alerts, (event) => endingsOfFences[event] ?? endingsOfGrants[event]);
    await takeOwnAside(ports, abort);
    await tellStranded(ports);
    return "done";
  });
}

/** This site is a backup: what it told of its backups, its fences and its stranded rows is another's to tell. */
export async function endReign(ports: ReignPorts, abort: AbortSignal): Promise<void> {
  const endings = { ...endingsOfReign, ...endingsOfFences, ...endingsOfGrants };
  await persist(ports, abort, async () => {
    await endWhere(ports.alerts, (event) => endings[event]);
    return "done";
  });
}

type Endings = Partial<Record<AlertEvent, readonly [ending: AlertEvent, message: string]>>;

const handedOn = "This site is no longer the primary; its backups are another's to look after";
const endingsOfReign: Endings = {
  replication_failed: ["replication_recovered", handedOn],
  replication_unauthorized: ["replication_authorized", handedOn],
  replication_refused: ["replication_accepted", handedOn],
  replication_lagging: ["replication_caught_up", handedOn],
  replication_quarantined: ["replication_quarantine_cleared", handedOn],
  replication_diverged: ["replication_repaired", handedOn],
  rows_stranded: ["stranded_settled", "This site is no longer the primary, which lists the stranded rows"],
};
const endingsOfFences: Endings = {
  primary_behind: ["primary_recovered", "This site is no longer fenced"],
  primary_superseded: ["primary_rejoined", "This site is no longer fenced"],
};
const endingsOfGrants: Endings = {
  promotion_unanswered: ["promotion_answered", "The planned promotion was made, given back or taken back"],
};

async function endWhere(alerts: Alerts, endingOf: (event: AlertEvent) => Endings[AlertEvent]): Promise<void> {
  for (const incident of await alerts.openIncidents()) {
    const ending = endingOf(incident.event);
    if (ending) await alerts.raise(ending[0], subjectOf(incident), ending[1], incident.details);
  }
}

/** Incidents of a backup name it in their details; all others are of the site itself. */
function subjectOf({ details }: Alert): string {
  return typeof details["backup"] === "string" ? details["backup"] : "";
}

/** Rows decided on in one transaction. */
const asideRowsMax = 100;

async function takeOwnAside({ store, workers }: ReignPorts, abort: AbortSignal): Promise<void> {
  while (!abort.aborted) {
    const { rows } = await store.read((r) => r.aside.waiting(asideRowsMax));
    if (rows.length === 0) return;
    await store.transact((tx) => tx.aside.take(rows));
    // What was stranded is a row of this very site by now: nothing is left to keep.
    const ids = rows.map((row) => row.id);
    await store.transact((tx) => tx.aside.settle(ids, []));
    workers.signal();
  }
}
