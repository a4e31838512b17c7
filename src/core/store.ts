import type { Alert, AlertDetails, AlertEvent } from "./alert-events.ts";
import type { Epoch, Promotion } from "./epoch.ts";
import type { AccessId, EntryId, RealmId, SiteName, VaultId } from "./ids.ts";
import type { Point, Position } from "./position.ts";
import type { Push, PushRefusal, Receiver, Rejection, RejectionCode, Role } from "./push.ts";
import type { RowKey, StoredRow } from "./row.ts";

/**
 * The store's port, cut by who uses it: nobody sees more of the store than its work needs. Every method is one transaction,
 * durable when its promise resolves unless its docstring says otherwise, and rejects with a Refusal (`disk_full`,
 * `storage_failed`, `database_corrupt`) having changed nothing when the disk fails. All times are wall-clock milliseconds.
 */
export interface Store extends SiteStore, VaultStore, PrimaryStore, BackupStore, AlertStore {
  /** Finishes what is queued, then closes. Calls after it reject with `shutting_down`. May be repeated. */
  close(): Promise<void>;
}

/** Why a primary takes no writes. */
export type Fence = "primary_behind" | "primary_superseded";

/** The site's own record. */
export type Site = {
  readonly site: SiteName;
  readonly realm: RealmId | null;
  readonly role: Role;
  readonly fenced: Fence | null;
  /** On a primary its own; on a backup that of the last push it applied. Number 0 and an empty id on an empty backup. */
  readonly epoch: Epoch;
  /** The highest epoch seen anywhere; at or above `epoch`. */
  readonly epochSeen: Epoch;
  /** The newest position and its chain: a primary's head, a backup's watermark (`applied`). */
  readonly head: Point;
  /** On a backup: who pushed last, from where, when. */
  readonly primary: { readonly site: SiteName; readonly url: string; readonly lastPushAt: number } | null;
};

export interface SiteStore {
  site(): Promise<Site>;
  timeline(): Promise<readonly Promotion[]>;
  /**
   * Records an epoch met in an authenticated message, where it is higher than any seen before; a primary is fenced
   * (`primary_superseded`) in the same transaction. Returns whether that fence is new. May be repeated.
   */
  recordEpoch(epoch: Epoch): Promise<{ readonly fencedNow: boolean }>;
  /** Finds a site's operator token by its id. */
  operator(tokenId: string): Promise<OperatorToken | undefined>;
  addOperator(token: OperatorToken): Promise<void>;
}

export type OperatorToken = {
  readonly tokenId: string;
  readonly verifier: Uint8Array;
  readonly label: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
};

/** A change of one row: a new body, or null for a tombstone. */
export type RowChange = { readonly key: RowKey; readonly body: Uint8Array | null };

/**
 * A client's write. `keys` are the rows to look at; `decide` is given them in the same order, live or tombstone or undefined, in
 * the transaction that will hold the changes, and returns the changes or throws a Refusal. It must be pure: it may run twice.
 */
export type Write = {
  readonly keys: readonly RowKey[];
  readonly decide: (current: readonly (StoredRow | undefined)[]) => readonly RowChange[];
};

export interface VaultStore {
  /**
   * Commits a write: each change takes the next position, extends the chain and is marked dirty where a backup is configured
   * (a mark's `dirtySince` survives). All or nothing. Writes that arrive in one turn share a transaction, each in its own
   * savepoint. Returns the changed rows in the order of the changes. Large writes let other work run between slices; no
   * reader sees a part of them.
   * @throws Refusal what `decide` threw; `read_only_backup` or `site_fenced` where the role forbids it
   */
  write(write: Write): Promise<readonly StoredRow[]>;
  row(key: RowKey): Promise<StoredRow | undefined>;
  /** A token's row by the token's id alone, live or tombstone. */
  access(accessId: AccessId): Promise<StoredRow | undefined>;
  /** All live vaults, oldest first, each with its number of live entries. */
  vaults(): Promise<readonly { readonly row: StoredRow; readonly entries: number }[]>;
  /** Live entries below `before` (all where undefined), newest first by id, at most `limit`. Costs what it returns. */
  entries(vaultId: VaultId, before: EntryId | undefined, limit: number): Promise<readonly StoredRow[]>;
  /**
   * Keys of live entries and accesses whose vault is a tombstone, at most `limit`: what is left to do of a vault's deletion.
   * Costs what it returns and the number of deleted vaults.
   */
  orphans(limit: number): Promise<readonly RowKey[]>;
}

/** What one peer has acknowledged. `acked` null: unknown, as for a new peer or after a promotion. */
export type Peer = {
  readonly site: SiteName;
  readonly acked: Point | null;
  readonly lastAckAt: number | null;
};

/** Rows to push, and what they cover. */
export type Listing = {
  /** In position order; vaults that must be there first are in front, whatever their position. */
  readonly rows: readonly StoredRow[];
  /**
   * Where the rows continue from, with the chain that this history has there: what a push must name as its `after`. A point
   * kept from an earlier call may be of a history that a restored disk has undone since.
   */
  readonly after: Point;
  readonly through: Point;
  /** Whether nothing lies above `through`. */
  readonly isLast: boolean;
  /** What the site was when the rows were read: a push must not join what two transactions saw. */
  readonly site: SiteName;
  readonly realm: RealmId;
  readonly epoch: Epoch;
  readonly timeline: readonly Promotion[];
};

export type BatchLimit = { readonly rows: number; readonly bytes: number };

/** What is waiting for one peer. */
export type Backlog = {
  /** Rows above acked. */
  readonly dirty: number;
  /** The oldest `dirtySince` among them; null where there is none. */
  readonly oldestDirtySince: number | null;
  readonly quarantined: number;
};

export interface PrimaryStore {
  /**
   * Makes the peers that are stored those that the configuration names. A new one starts with acked unknown; one that is
   * gone no longer counts, and marks that waited only for it are cleared. Without peers nothing is marked.
   */
  configurePeers(sites: readonly SiteName[]): Promise<void>;
  peers(): Promise<readonly Peer[]>;
  /** What is dirty for any peer, quarantined rows apart. Costs what is dirty. */
  backlogOfAll(): Promise<Backlog>;
  backlog(peer: SiteName): Promise<Backlog>;
  /**
   * Marks rows above the lowest acked that bear no mark (a new peer's, or those a backup lost), at most `limit`; returns how
   * many it marked. Costs what lies above acked. May be repeated. (The customer's EntryMarkDirty for many.)
   */
  markDirtyAbove(limit: number): Promise<number>;
  /**
   * Rows above `after` in position order, whatever their mark, up to the limit but at least one where there is any, with
   * each entry's and access's vault row. (The customer's EntryListDirty.) Costs what it lists.
   */
  listAbove(after: Position, limit: BatchLimit): Promise<Listing>;
  /** Rows in this peer's quarantine above `after`, in position order, at most `limit`. */
  listQuarantined(peer: SiteName, after: Position, limit: number): Promise<readonly StoredRow[]>;
  /**
   * Moves a peer's acked to `through`, clears marks at or below every peer's acked, puts `rejected` rows that still stand at
   * the pushed position into quarantine and takes the `accepted` ones out. (The customer's EntryMarkReplicated.) Durable at
   * the next durable commit: losing it costs a repeated push. A point that this history does not have changes nothing and is
   * `unknown`: the disk was put back since the push left.
   */
  acknowledge(peer: SiteName, ack: Acknowledgement): Promise<"known" | "unknown">;
  /**
   * A backup named the point it stands at, and what it lacks below. Known to this history: acked becomes that point, up or
   * down, what it lacks is in quarantine, and what lies above is not, for it is pushed again (`known`). Otherwise this site
   * was restored from an older copy: it is fenced (`primary_behind`) in the same transaction (`unknown`).
   */
  resumeFrom(peer: SiteName, applied: Point, rejected: readonly RefusedRow[]): Promise<"known" | "unknown">;
}

/** A row that a backup refused, at the position it was pushed at. */
export type RefusedRow = {
  readonly key: RowKey;
  readonly position: Position;
  readonly code: RejectionCode | "too_large";
};

export type Acknowledgement = {
  readonly through: Point;
  /** The rows of the push: what was not rejected leaves quarantine. */
  readonly rows: readonly { readonly key: RowKey; readonly position: Position }[];
  /** Everything that the backup lacks at or below `through`. */
  readonly rejected: readonly RefusedRow[];
};

export type ApplyOutcome =
  | {
      readonly kind: "refused";
      readonly code: PushRefusal;
      readonly receiver: Receiver;
      readonly rejected: readonly Rejection[];
    }
  | {
      readonly kind: "applied";
      readonly receiver: Receiver;
      readonly accepted: number;
      readonly ignored: number;
      /** Every rejection that stands, from this push or an earlier one. */
      readonly rejected: readonly Rejection[];
    };

export interface BackupStore {
  /**
   * Judges a push (core's judgePush) and applies it in the same transaction: rows by core's `replaces`, rows that fail their
   * hash rejected alone, then the watermark, realm, epoch and timeline. A refusal changes nothing but a higher epoch seen.
   */
  applyPush(push: Push): Promise<ApplyOutcome>;
}

export interface AlertStore {
  /**
   * Stores an alert. An event that opens an incident of the same event and subject as one still open stores nothing; one
   * that ends an incident stores nothing unless it is open. Returns the stored alert.
   * @param subject a peer's site name, or "" for the site itself
   */
  addAlert(
    event: AlertEvent,
    subject: string,
    message: string,
    details: AlertDetails,
  ): Promise<Alert | undefined>;
  /** Newest first, at most `limit`. */
  alerts(limit: number): Promise<readonly Alert[]>;
  openIncidents(): Promise<readonly Alert[]>;
  /** Alerts that `channel` has not delivered and that are younger than `since`, oldest first. Costs what it returns. */
  undelivered(channel: string, since: number): Promise<readonly Alert[]>;
  markDelivered(channel: string, alertId: number): Promise<void>;
}
