import type { AlertDetails } from "../../core/alert-events.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Acknowledgement } from "../../core/store/replication.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import type { Failure } from "./failure.ts";
import type { BackupIncident, Incidents } from "./incidents.ts";
import { addCounts, nothingRepaired, type RepairCounts } from "./repair.ts";

export type ReportsOptions = {
  readonly peer: SiteName;
  readonly store: Transacts<"replication" | "aside"> & Pick<Store, "acknowledgements">;
  readonly incidents: Incidents;
};

/** What the operator hears of one backup: each trouble once when it begins, and once when it is over. */
export class Reports {
  readonly #options: ReportsOptions;
  /** What is to be told of rows in quarantine, until that has succeeded. */
  #untold: AlertDetails | null = null;
  /** Whether the last proof was not equal. */
  #differs = false;
  /** What repairs have moved since the last equal proof. */
  #repaired: RepairCounts = nothingRepaired;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  async acknowledged({ rejected, verified }: Acknowledgement): Promise<void> {
    if (verified !== null) this.#differs = !verified;
    // The incident tells of them as long as the sites differ; when they are equal again, the rows may have been written anew.
    if (verified === false) this.#repaired = { ...this.#repaired, hopeless: 0 };
    const [first] = rejected;
    if (first) await this.#tellQuarantine({ code: first.code });
  }

  /** @param isExhausted whether the operator is to hear of an outage */
  async failed(failure: Failure, count: number, isExhausted: boolean): Promise<void> {
    const { incidents } = this.#options;
    const details: AlertDetails = { count, last_error: failure.error };
    if (failure.kind === "unauthorized") {
      const message = "Backup does not take this site's credential";
      await incidents.open("replication_unauthorized", message, details);
    } else if (failure.kind === "refused") {
      await incidents.open("replication_refused", "Backup refuses pushes of this site", details);
    } else if (isExhausted) {
      await incidents.open("replication_failed", "Backup unreachable after retries", details);
    }
  }

  diverged(): Promise<void> {
    return this.#options.incidents.open("replication_diverged", "Backup differs from this site", {});
  }

  repaired(counts: RepairCounts): void {
    this.#repaired = addCounts(this.#repaired, counts);
  }

  stranded(): Promise<void> {
    return this.#options.incidents.stranded(this.#options.store);
  }

  /** A drain is finished. Tells what is over, and what could not be told before. */
  async drained(): Promise<void> {
    const { incidents } = this.#options;
    if (this.#untold) await this.#tellQuarantine(this.#untold);
    // What two repairs could not make equal stays open, even where its alert went with a disk that was put back.
    if (this.#differs) await this.diverged();
    await incidents.end((incident) => this.#endOf(incident));
    if (this.#differs) return;
    // Both sites agree on rows that neither has intact: nothing else would ever tell.
    if (this.#repaired.hopeless > 0) await incidents.damaged(this.#repaired.hopeless);
    this.#repaired = nothingRepaired;
  }

  /** What is to be told with an incident's end; null where it goes on. */
  async #endOf(incident: BackupIncident): Promise<AlertDetails | null> {
    const { store, peer } = this.#options;
    if (incident === "replication_quarantined") {
      return (await store.read((r) => r.replication.backlog(peer))).quarantined === 0 ? {} : null;
    }
    if (incident !== "replication_diverged") return {};
    const stored = (await store.read((r) => r.replication.peers())).find(({ site }) => site === peer);
    const { repaired, removed, healed } = this.#repaired;
    return stored?.diverged ? null : { repaired, removed, healed };
  }

  async #tellQuarantine(details: AlertDetails): Promise<void> {
    const { store, incidents, peer } = this.#options;
    this.#untold = details;
    const { quarantined: count } = await store.read((r) => r.replication.backlog(peer));
    const message = "Backup refuses a row; all others go on";
    if (count > 0) await incidents.open("replication_quarantined", message, { count, ...details });
    this.#untold = null;
  }
}
