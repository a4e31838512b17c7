import type { AuditTrouble } from "../core/store/audit.ts";
import type { Reads } from "../core/store/store.ts";
import type { Alerts } from "../core/edition.ts";

export type AuditWatchPorts = {
  readonly store: Reads<"audit" | "site">;
  readonly alerts: Alerts;
  readonly onFault: (error: unknown) => void;
};

/**
 * Tells the operator once of each site whose audit was cut off or goes two ways, and once when a new chain of that site has put it on
 * record. What is to be told follows from the store alone: a crash before the telling loses nothing.
 */
export class AuditWatch {
  readonly #ports: AuditWatchPorts;
  #last: Promise<void> = Promise.resolve();

  constructor(ports: AuditWatchPorts) {
    this.#ports = ports;
  }

  /** To be called whenever another site has told of its audit. One look after the other; never rejects. */
  look(): Promise<void> {
    this.#last = this.#last.then(() => this.#look().catch(this.#ports.onFault));
    return this.#last;
  }

  async #look(): Promise<void> {
    const { store, alerts } = this.#ports;
    const troubles = await store.read((r) => r.audit.troubles());
    const incidents = await alerts.openIncidents();
    const open = new Set(incidents.filter(({ event }) => event === "audit_truncated").map(siteIn));
    if (troubles.length === 0 && open.size === 0) return;
    const { site: own } = await store.read((r) => r.site.record());
    const subjectOf = (site: unknown): string => (site === own ? "" : String(site));
    for (const trouble of troubles) {
      if (!open.has(trouble.site)) await this.#tell(subjectOf(trouble.site), trouble);
      open.add(trouble.site);
    }
    for (const site of open) {
      if (!troubles.some((trouble) => trouble.site === site))
        await this.#tellEnd(subjectOf(site), String(site));
    }
  }

  #tell(subject: string, { site, chain, seq, peer }: AuditTrouble): Promise<void> {
    const message =
      subject === ""
        ? "Another site holds audit records of this one that its disk has lost or changed"
        : "Two copies of a site's audit differ";
    return this.#ports.alerts.raise("audit_truncated", subject, message, { site, chain, seq, peer });
  }

  #tellEnd(subject: string, site: string): Promise<void> {
    const message = "A new chain of that site has put on record what became of its audit";
    return this.#ports.alerts.raise("audit_continued", subject, message, { site });
  }
}

function siteIn({ details }: { readonly details: Readonly<Record<string, unknown>> }): unknown {
  return details["site"];
}
