import type { Alert } from "../../core/alert-events.ts";
import type { ShownHead } from "../../core/store/audit.ts";
import type { Site } from "../../core/store/site.ts";
import type { Buckets } from "../../core/digest.ts";
import type { Promotion } from "../../core/epoch.ts";
import type { AccessId, SiteName } from "../../core/ids.ts";
import type { Position } from "../../core/position.ts";
import { readBlocked } from "./access-rows.ts";
import { readOpenIncidents } from "./alerts.ts";
import { hasAside } from "./aside-rows.ts";
import { readAllShown, readChains, type StoredChain } from "./audit-chains.ts";
import type { Connection } from "./connection.ts";
import { readPeers, type StoredPeer } from "./peers.ts";
import { hasQuarantined } from "./quarantine.ts";
import { hasRejections } from "./rejections.ts";
import { readOwnRecord, readTimeline } from "./site-record.ts";
import { readBuckets } from "./stored-buckets.ts";

/**
 * What a process knows of its database without asking it. One process owns the database (the design, section 3), so what it has
 * read or written stays true until it writes again. A state is never changed: a transaction makes another one, which becomes the
 * known state when the transaction is committed. Where a COMMIT fails, `loadState` reads what is on the disk.
 */
export type State = {
  readonly site: Site;
  readonly timeline: readonly Promotion[];
  /** Not to be changed: a transaction changes a copy. */
  readonly buckets: Buckets;
  readonly peers: readonly StoredPeer[];
  /** Every chain of the audit that is held here, in the order in which this site has met them. */
  readonly chains: readonly StoredChain[];
  /** What each peer has last shown of all chains. */
  readonly shown: ReadonlyMap<SiteName, readonly ShownHead[]>;
  /** Up to where the history was looked through for points to forget. */
  readonly pruned: Position;
  /** How many transactions have left something readable in the log since it was last emptied. */
  readonly remains: number;
  /** Whether any peer refuses a row. */
  readonly hasQuarantined: boolean;
  /** Whether this site, as a backup, has refused a row. */
  readonly hasRejections: boolean;
  /** Whether any row is put aside. */
  readonly hasAside: boolean;
  /** Accesses that this site refuses whatever their rows say, and since when. */
  readonly blocked: ReadonlyMap<AccessId, number>;
  /** The alerts whose incidents have not ended. */
  readonly openIncidents: readonly Alert[];
};

/** A database as it is read: what the disk holds, and what is known of it without asking. */
export type View = { readonly connection: Connection; readonly state: State };

/** Reads a state from the disk. Costs what sites, peers, chains and open incidents there are, and nothing for rows. */
export function loadState(connection: Connection): State {
  const { site, pruned, remains } = readOwnRecord(connection);
  return {
    site,
    pruned,
    remains,
    timeline: readTimeline(connection),
    buckets: readBuckets(connection),
    peers: readPeers(connection),
    chains: readChains(connection),
    shown: new Map(readAllShown(connection).map(({ peer, heads }) => [peer, heads])),
    hasQuarantined: hasQuarantined(connection),
    hasRejections: hasRejections(connection),
    hasAside: hasAside(connection),
    blocked: new Map(readBlocked(connection).map(({ accessId, at }) => [accessId, at])),
    openIncidents: readOpenIncidents(connection),
  };
}
