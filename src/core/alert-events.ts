/**
 * What an operator can be told. An event either opens an incident or ends the one that `ends` names; an incident is one event
 * on one subject (a backup's site name, or the site itself), and is told once when it opens and once when it ends.
 * docs/OPERATIONS.md says of each what to do.
 */
export const alertEvents = {
  replication_failed: { severity: "critical", ends: null },
  replication_recovered: { severity: "info", ends: "replication_failed" },
  replication_unauthorized: { severity: "critical", ends: null },
  replication_authorized: { severity: "info", ends: "replication_unauthorized" },
  replication_refused: { severity: "critical", ends: null },
  replication_accepted: { severity: "info", ends: "replication_refused" },
  replication_lagging: { severity: "warning", ends: null },
  replication_caught_up: { severity: "info", ends: "replication_lagging" },
  replication_quarantined: { severity: "warning", ends: null },
  replication_quarantine_cleared: { severity: "info", ends: "replication_quarantined" },
  replication_diverged: { severity: "critical", ends: null },
  replication_repaired: { severity: "info", ends: "replication_diverged" },
  primary_behind: { severity: "critical", ends: null },
  primary_recovered: { severity: "info", ends: "primary_behind" },
  primary_superseded: { severity: "critical", ends: null },
  primary_rejoined: { severity: "info", ends: "primary_superseded" },
  promotion_unanswered: { severity: "critical", ends: null },
  promotion_answered: { severity: "info", ends: "promotion_unanswered" },
  rows_stranded: { severity: "warning", ends: null },
  stranded_settled: { severity: "info", ends: "rows_stranded" },
  disk_low: { severity: "critical", ends: null },
  disk_recovered: { severity: "info", ends: "disk_low" },
  database_corrupt: { severity: "critical", ends: null },
  rows_damaged: { severity: "critical", ends: null },
  rows_healed: { severity: "info", ends: "rows_damaged" },
  access_forged: { severity: "critical", ends: null },
  access_settled: { severity: "info", ends: "access_forged" },
  entry_unreadable: { severity: "critical", ends: null },
  entry_settled: { severity: "info", ends: "entry_unreadable" },
  audit_truncated: { severity: "critical", ends: null },
  audit_continued: { severity: "info", ends: "audit_truncated" },
  audit_failed: { severity: "critical", ends: null },
  audit_recovered: { severity: "info", ends: "audit_failed" },
  test: { severity: "info", ends: null },
} as const satisfies Record<string, { severity: Severity; ends: string | null }>;

export type Severity = "info" | "warning" | "critical";
export type AlertEvent = keyof typeof alertEvents;

/** JSON values that may stand in an alert's details: names, counts and codes, never contents. */
export type AlertDetails = Readonly<Record<string, string | number | boolean | null>>;

/** One alert as it is stored, listed and sent. `incident` joins an opening with its end. */
export type Alert = {
  readonly id: number;
  readonly event: AlertEvent;
  readonly severity: Severity;
  readonly message: string;
  readonly details: AlertDetails;
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  readonly incident: string;
  /** When the incident ended; null while it is open, and always null for an alert that opens none. */
  readonly endedAt: number | null;
};
