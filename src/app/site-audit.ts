import type { Audit, AuditEvent } from "../core/audit.ts";
import type { Store } from "../core/store/store.ts";
import type { Edition } from "../core/edition.ts";
import type { Clock } from "../core/ports.ts";
import type { Logger } from "../ops/logging.ts";

export type SiteAuditOptions = {
  readonly store: Pick<Store, "journal">;
  readonly edition: Pick<Edition, "name" | "alertOperator">;
  readonly clock: Pick<Clock, "turn">;
  readonly log: Logger;
};

/** A record of its own, or one that shares a commit with others, takes fewer turns of the event loop than these. */
const turnsMax = 4;

/**
 * Records what is done at this site. The operator hears once that it cannot be recorded, and once that it can be again. Behind a write
 * that takes long, such as a large import, a record waits, and the answer to a reader does not.
 */
export class SiteAudit implements Audit {
  readonly #options: SiteAuditOptions;
  /** An incident may be open from before the start; a community site has none. */
  #mayBeFailing: boolean;
  #isFailing = false;

  constructor(options: SiteAuditOptions) {
    this.#options = options;
    this.#mayBeFailing = options.edition.name === "commercial";
  }

  async record(event: AuditEvent): Promise<void> {
    let isSettled = false;
    const settled = this.#record(event).then(() => {
      isSettled = true;
    });
    const waited = async (): Promise<void> => {
      for (let turn = 0; turn < turnsMax && !isSettled; turn += 1) await this.#options.clock.turn();
    };
    await Promise.race([settled, waited()]);
  }

  async #record(event: AuditEvent): Promise<void> {
    const { store, edition } = this.#options;
    try {
      await store.journal.record(event);
    } catch (error) {
      return this.#fail(error, event);
    }
    if (!this.#mayBeFailing) return;
    this.#mayBeFailing = false;
    this.#isFailing = false;
    edition.alertOperator("audit_recovered", "What is done at this site is recorded again", {});
  }

  #fail(error: unknown, { action, result }: AuditEvent): void {
    const { edition, log } = this.#options;
    log.error({ err: error, action, result }, "the audit could not record a call");
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#mayBeFailing = true;
    edition.alertOperator("audit_failed", "What is done at this site cannot be recorded in its audit", {});
  }
}
