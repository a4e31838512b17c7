import { compareEpochs, type Epoch } from "../../core/epoch.ts";
import type { Site } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { readSite, writeSite } from "./site-record.ts";

/** Work inside a transaction. Where it yields, a store on a file lets other work run; a memory store goes straight on. */
export type Steps<T> = Generator<Promise<void> | undefined, T, undefined>;
export type Work<T> = (tx: Transaction) => Steps<T>;

/** Work that is short enough to have no steps. */
export function inOneStep<T>(work: (tx: Transaction) => T): Work<T> {
  // oxlint-disable-next-line require-yield -- one step, in the shape of many
  return function* (tx) {
    return work(tx);
  };
}

/** What the members of one group commit hand to each other; a savepoint that fails puts it back. */
type Carried = { readonly site: Site | undefined; readonly hasPeers: boolean | undefined };

const nothing: Carried = { site: undefined, hasPeers: undefined };

/** An open write transaction. What it carries is read in it and dies with it. */
export class Transaction {
  readonly connection: Connection;
  #carried: Carried = nothing;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  site(): Site {
    const site = this.#carried.site ?? readSite(this.connection);
    this.#carried = { ...this.#carried, site };
    return site;
  }

  saveSite(site: Site): void {
    writeSite(this.connection, site);
    this.#carried = { ...this.#carried, site };
  }

  /** Whether a change is to be marked dirty: somebody is there to push it to. */
  hasPeers(): boolean {
    const known = this.#carried.hasPeers;
    if (known !== undefined) return known;
    const hasPeers = this.connection.get("SELECT 1 FROM peers LIMIT 1") !== undefined;
    this.#carried = { ...this.#carried, hasPeers };
    return hasPeers;
  }

  /** To be called by whoever changes the peers. */
  forgetPeers(): void {
    this.#carried = { ...this.#carried, hasPeers: undefined };
  }

  savepoint(): Carried {
    this.connection.run("SAVEPOINT member");
    return this.#carried;
  }

  release(): void {
    this.connection.run("RELEASE member");
  }

  rollback(carried: Carried): void {
    this.connection.run("ROLLBACK TO member");
    this.connection.run("RELEASE member");
    this.#carried = carried;
  }
}

/** Records an epoch that was met, and fences a primary that it supersedes. Returns whether that fence is new. */
export function recordEpoch(tx: Transaction, epoch: Epoch): boolean {
  const site = tx.site();
  const epochSeen = compareEpochs(epoch, site.epochSeen) > 0 ? epoch : site.epochSeen;
  const superseded = site.role === "primary" && compareEpochs(epochSeen, site.epoch) > 0;
  const fencedNow = superseded && site.fenced !== "primary_superseded";
  if (fencedNow || epochSeen !== site.epochSeen) {
    tx.saveSite({ ...site, epochSeen, fenced: superseded ? "primary_superseded" : site.fenced });
  }
  return fencedNow;
}
