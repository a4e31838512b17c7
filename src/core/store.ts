import type { AsideRow, AsideVerdict } from "./aside.ts";
import type { Alert, AlertDetails, AlertEvent } from "./alert-events.ts";
import type { Epoch, Promotion } from "./epoch.ts";
import type { AccessId, EntryId, RealmId, SiteName, VaultId, VersionId } from "./ids.ts";
import type { Point, Position } from "./position.ts";
import type { Identity, Push, PushRefusal, Receiver, Rejection, RejectionCode, Role } from "./push.ts";
import type { AuditEvent, AuditPart } from "./audit.ts";
import type { AuditStore } from "./audit-store.ts";
import type { Buckets } from "./digest.ts";
import type { StrandedId } from "./ids.ts";
import type { RowSummary } from "./repair.ts";
import type { Row, RowKey, StoredRow } from "./row.ts";

/**
 * The store's port, cut by who uses it: nobody sees more of the store than its work needs. Every method is one transaction,
 * durable when its promise resolves unless its docstring says otherwise, and rejects with a Refusal (`disk_full`,
 * `storage_failed`, `database_corrupt`) having changed nothing when the disk fails. All times are wall-clock milliseconds.
 */
export interface Store
  extends SiteStore,
    VaultStore,
    AccessStore,
    ErasureStore,
    PrimaryStore,
    BackupStore,
    RepairStore,
    RoleStore,
    AsideStore,
    AuditStore,
    AlertStore {
  /** Finishes what is queued, then closes. Calls after it reject with `shutting_down`. May be repeated. */
  close(): Promise<void>;
}

/** Why a primary takes no writes. */
export type Fence = "primary_behind" | "primary_superseded" | "promotion_granted";

/** When two sites were last proved equal, and at which position. */
export type Verified = { readonly position: Position; readonly at: number };

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
  /** On a backup: the last push whose digest was equal to its own. */
  readonly verified: Verified | null;
  /**
   * False from a rejoin until a digest was equal: below its watermark, rows may be missing that only a repair can find to be
   * missing. A promotion is told of it.
   */
  readonly isComplete: boolean;
  /** On a primary: its open promise to hand over. */
  readonly grant: Grant | null;
};

export interface SiteStore {
  site(): Promise<Site>;
  timeline(): Promise<readonly Promotion[]>;
  /** The site's digest and the point at which it was taken. */
  digest(): Promise<{ readonly head: Point; readonly digest: Uint8Array }>;
  /** The first of these points that this site's history went through; the origin is in every history. */
  firstKnown(points: readonly Point[]): Promise<Point | undefined>;
  /** Points of this history at or below a position, descending, at most `limit`. */
  pointsBelow(position: Position, limit: number): Promise<readonly Point[]>;
  /**
   * Records an epoch met in an authenticated message, where it is higher than any seen before; a primary is fenced
   * (`primary_superseded`) in the same transaction, unless it has an open grant. Returns whether that fence is new. May be repeated.
   * @throws Refusal `invalid_request` for an epoch too far above all that were seen, having changed nothing
   */
  recordEpoch(epoch: Epoch): Promise<{ readonly fencedNow: boolean }>;
  /** Finds a site's operator token by its id. */
  operator(tokenId: string): Promise<OperatorToken | undefined>;
  addOperator(token: OperatorToken): Promise<void>;
  /** All of them, oldest first. */
  operators(): Promise<readonly OperatorToken[]>;
  /** Ends a token. Returns whether there was one. */
  removeOperator(tokenId: string): Promise<boolean>;
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
  /** Whether what it replaces must not stay readable on this disk either, as at the end of a rotation (`ErasureStore`). */
  readonly erases?: boolean;
  /** What the audit is to say of it, in the same transaction; the rows add which vault, and which entry or access. */
  readonly audit?: AuditEvent;
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
   * Live earlier versions of one entry, those below `before` (all where undefined), newest first, at most `limit`. Costs what it
   * returns.
   */
  versions(
    vaultId: VaultId,
    entryId: EntryId,
    before: number | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]>;
  /** The number of an entry's newest live earlier version; 0 where there is none. One look into an index. */
  newestVersion(vaultId: VaultId, entryId: EntryId): Promise<number>;
  /**
   * Live rows of one kind of a vault, behind the entry or version `after`, in the order of their ids, at most `limit`: to go through
   * all of them in slices. Costs what it returns.
   */
  vaultRows(
    vaultId: VaultId,
    kind: "entry" | "version",
    after: EntryId | VersionId | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]>;
  /**
   * Keys of live entries, versions and accesses whose vault is a tombstone, at most `limit`: what is left to do of a vault's deletion.
   * Costs what it returns and the number of deleted vaults.
   */
  orphans(limit: number): Promise<readonly RowKey[]>;
}

/** An access that this site refuses, whatever its row says, and since when. */
export type BlockedAccess = { readonly accessId: AccessId; readonly at: number };

/** What is known of accesses beside their contents. The deny list and the last uses are this site's own, and never travel. */
export interface AccessStore {
  /** A vault's live accesses behind `after` (all where undefined), by id, at most `limit`. Costs what it returns. */
  accesses(vaultId: VaultId, after: AccessId | undefined, limit: number): Promise<readonly StoredRow[]>;
  /** The live rows of one access in all vaults: a person has one id in each vault that he may open. */
  accessesById(accessId: AccessId): Promise<readonly StoredRow[]>;
  /** Refuses an access on this site from now on; one that no row is known of too. Survives a rejoin. May be repeated. */
  blockAccess(accessId: AccessId): Promise<void>;
  /** May be repeated. */
  unblockAccess(accessId: AccessId): Promise<void>;
  isBlocked(accessId: AccessId): Promise<boolean>;
  blockedAccesses(): Promise<readonly BlockedAccess[]>;
  /**
   * Notes that an access was used. Never waits and never writes: it is kept in memory, in bounded room, and goes to the disk with
   * the next write of a client.
   */
  noteUse(vaultId: VaultId, accessId: AccessId, at: number): void;
  /** When the accesses of a vault were last used here, as far as it is known. */
  lastUses(vaultId: VaultId): Promise<ReadonlyMap<AccessId, number>>;
}

/**
 * What was purged must not stay readable on the disk. A transaction that takes a body away for good (a purge, a revocation, what
 * replaces a vault's row, a write that `erases`) leaves it overwritten in the database and readable in the log, and says so in the
 * same transaction: this site has *remains*.
 * Not promised: a store may have moved a row within its files while it was there, and a piece of it may be left in room that is
 * unused since. Bodies are sealed, so that whoever finds one still needs the vault's key.
 */
export interface ErasureStore {
  hasRemains(): Promise<boolean>;
  /**
   * Empties the log where this site has remains; no file of the database holds them when it resolves. Waits a few seconds for
   * readers that look at an older state. Costs next to nothing where nothing remains; may be repeated.
   * @throws Refusal `busy` where a reader is at work for longer: the remains are still there, and known to be
   */
  eraseRemains(): Promise<void>;
}

/** What one peer has acknowledged. `acked` null: unknown, as for a new peer or after a promotion. */
export type Peer = {
  readonly site: SiteName;
  readonly acked: Point | null;
  readonly lastAckAt: number | null;
  readonly verified: Verified | null;
  /** Whether the last digest that was compared differed. Kept with acked, so that a crash does not forget it. */
  readonly diverged: boolean;
  /** Repairs begun since the digests were last equal. */
  readonly repairs: number;
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
  /** Points of this history strictly between `after` and `through`, ascending, the newest 4,000. */
  readonly points: readonly Point[];
  /** Whether nothing lies above `through`. */
  readonly isLast: boolean;
  /**
   * The site's digest, where this is the last and the peer refuses no more than 1,000 rows: those in `except` are left out
   * of it.
   */
  readonly digest: Uint8Array | null;
  readonly except: readonly RowKey[];
  /** What the site was when the rows were read: a push must not join what two transactions saw. */
  readonly site: SiteName;
  readonly realm: RealmId;
  readonly epoch: Epoch;
  readonly timeline: readonly Promotion[];
};

export type BatchLimit = { readonly rows: number; readonly bytes: number };

/** What one call of `markDirtyAbove` has done. */
export type Marked = { readonly marked: number; readonly next: Position | null };

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
   * Marks rows above the lowest acked that bear no mark (a new peer's, or those a backup lost), among the next `limit` rows
   * above `after` (all where null). Returns how many it marked, and behind which position to go on; null at the end. May be
   * repeated. (The customer's EntryMarkDirty for many.)
   */
  markDirtyAbove(after: Position | null, limit: number): Promise<Marked>;
  /**
   * Rows above `after` in position order, whatever their mark, up to the limit but at least one where there is any, with
   * each entry's and access's vault row. (The customer's EntryListDirty.) Costs what it lists.
   * @param peer whose quarantine the digest leaves out
   */
  listAbove(after: Position, limit: BatchLimit, peer?: SiteName): Promise<Listing>;
  /** Rows in this peer's quarantine above `after`, in position order, at most `limit`. */
  listQuarantined(peer: SiteName, after: Position, limit: number): Promise<readonly StoredRow[]>;
  /**
   * Moves a peer's acked to `through`, clears marks at or below every peer's acked, puts `rejected` rows that still stand at
   * the pushed position into quarantine and takes the `accepted` ones out. (The customer's EntryMarkReplicated.) Everybody is
   * shown it at once; it is stored with the next transaction, or by `settleAcknowledgements`, and losing it costs a repeated
   * push. A point that this history does not have changes nothing and is `unknown`.
   */
  acknowledge(peer: SiteName, ack: Acknowledgement): Promise<"known" | "unknown">;
  /**
   * Stores what ACKs have changed and no other transaction has, without waiting for the disk: a worker calls it before it sleeps,
   * so that a process that is killed asleep does not ask its backups again. May be repeated.
   */
  settleAcknowledgements(): Promise<void>;
  /**
   * A backup named the point it stands at, and what it lacks below. Known to this history: acked becomes that point, up or
   * down, what it lacks is in quarantine, and what lies above is not, for it is pushed again (`known`). A point of this very
   * epoch that this history lacks: this site was restored from an older copy, and is fenced (`primary_behind`) in the same
   * transaction (`unknown`). A point of an earlier epoch: that backup went another way than the site that was promoted, and
   * must rejoin; nothing changes (`foreign`).
   */
  resumeFrom(
    peer: SiteName,
    applied: Point,
    rejected: readonly RefusedRow[],
  ): Promise<"known" | "unknown" | "foreign">;
  /** Counts one more repair of a peer that has diverged, before it begins. */
  beginRepair(peer: SiteName): Promise<void>;
  /** On an operator's demand: the peer counts as diverged, and as never repaired. */
  demandRepair(peer: SiteName): Promise<void>;
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
  /** Whether the digests at `through` were equal; null where none was compared. */
  readonly verified: boolean | null;
  /** What the backup told of its audit. */
  readonly audit?: AuditPart | undefined;
};

export type ApplyOutcome = {
  /** Whether this site was a primary until this very push, which shows its grant to be used. */
  readonly hasYielded: boolean;
} & (
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
      /** Whether the digests were equal; null where none came. */
      readonly verified: boolean | null;
      /** Rows put aside that the primary has not decided on. */
      readonly aside: number;
      /** What is answered of this site's audit, where the push told of the sender's. */
      readonly audit?: AuditPart;
    }
);

export interface BackupStore {
  /**
   * Judges a push (core's judgePush) and applies it in the same transaction: rows by core's `replaces`, rows that fail their
   * hash rejected alone, then the watermark, realm, epoch and timeline, and compares the digests. A refusal changes nothing
   * but a higher epoch seen. A primary whose open grant the push's timeline shows to be used becomes a backup first, in the
   * same transaction.
   */
  applyPush(push: Push): Promise<ApplyOutcome>;
  /** Rows that this backup has refused and still lacks: the newest 1,000. */
  rejections(): Promise<readonly Rejection[]>;
}

/** What a count of all rows found. */
export type Recount = {
  /** The head at which the rows were read. */
  readonly head: Point;
  readonly buckets: Buckets;
  /** Numbers of buckets with a row that fails its own hash. */
  readonly damaged: readonly number[];
  readonly rows: number;
};

/** Where a repair believes this site to stand: every step is refused where it is not so any more. */
export type RepairGuard = { readonly from: Identity; readonly at: Point };

export type RepairOutcome =
  | { readonly kind: "refused"; readonly code: PushRefusal; readonly receiver: Receiver }
  | {
      readonly kind: "applied";
      readonly receiver: Receiver;
      readonly replaced: number;
      readonly removed: number;
      /** Rows that fail their own hash, or are too large. */
      readonly refused: number;
    };

export interface RepairStore {
  /**
   * Reads every row beside everything else that goes on, hashes each body, and corrects the stored buckets by what they were
   * wrong. Costs what is stored; a file is read in a thread of its own.
   * @param progress told how many rows were read, of how many
   */
  recount(progress?: (done: number, total: number) => void): Promise<Recount>;
  /**
   * Rows of one bucket by key, behind `after`, at most `limit`, each with whether it is intact. Costs what it lists; hashing
   * much of it lets other work run in between, which may change rows that are still to be listed.
   */
  bucketRows(bucket: number, after: RowKey | null, limit: number): Promise<readonly RowSummary[]>;
  /** The rows of these keys that are there, damaged ones too. */
  rowsOf(keys: readonly RowKey[]): Promise<readonly Row[]>;
  /**
   * On a backup: puts rows in place whatever their position, and removes others; what is replaced or removed and intact is put
   * aside first. Judged like a push in the same transaction; a row that fails its hash changes nothing.
   */
  applyRepair(guard: RepairGuard, rows: readonly Row[], remove: readonly RowKey[]): Promise<RepairOutcome>;
  /** Why a step of a repair that only reads may not happen here; undefined where it may. */
  judgeRepair(
    guard: RepairGuard,
  ): Promise<{ readonly code: PushRefusal | undefined; readonly receiver: Receiver }>;
  /**
   * On a primary: an intact row of a peer takes the place of the own one that stands at the same position and fails its hash.
   * Position and chain stay. Returns how many were healed.
   */
  healRows(rows: readonly Row[]): Promise<number>;
}

/** A primary's promise to hand over: until it is answered, it takes no writes. */
export type Grant = {
  readonly id: string;
  readonly to: SiteName;
  readonly epoch: Epoch;
  /** Exactly what the other site must hold. */
  readonly head: Point;
};

export type GrantAnswer = "promoted" | "declined";

/** Who made a grant, and the epoch that it is of, or a later one. */
export type GrantOrigin = { readonly site: SiteName; readonly epoch: Epoch };

/** The primary that a site comes home to. */
export type Winner = {
  readonly epoch: Epoch;
  readonly timeline: readonly Promotion[];
  /** The highest point that both histories went through. */
  readonly common: Point;
};

/** The only ways to change a site's role: the design, section 8. */
export interface RoleStore {
  /**
   * Promises to hand over to a peer, at this site's head or, on a primary that went back, at the point where that peer stands;
   * from its commit on the site takes no writes. Repeated, it returns the grant that is open.
   * @throws Refusal `read_only_backup`, `site_fenced`, `peer_unknown`, `grant_open` to another, `rows_quarantined` (named),
   *   `not_behind` for a point of another site on a primary that did not go back
   */
  grant(to: SiteName, at?: Point): Promise<Grant>;
  /** The answer has come: declined, the site takes writes again; promoted, it waits for the new primary's first push. */
  endGrant(grantId: string, answer: GrantAnswer): Promise<void>;
  /**
   * Becomes primary by a grant; repeated, returns the promotion that it was.
   * @throws Refusal `grant_declined`, `grant_unmet` unless this is a backup of the grant's epoch, at its head; `not_proved`
   *   unless the digests were equal there, `rows_quarantined` where this backup refuses rows, which an equal digest leaves out
   *   (both only for a grant of a primary that is not behind)
   */
  promoteBy(grant: Grant, isProofNeeded: boolean): Promise<Promotion>;
  /**
   * Becomes primary of the next epoch, whatever others hold; a primary with an open grant takes it back by a number above it.
   * A backup's reign continues from where it was last proved equal, or from below the first row that it refused, whichever is
   * lower: nobody who stands above that in the old history can follow it without a rejoin, for they may have what it never had.
   * @throws Refusal `already_primary` on a primary that is not fenced; `not_ready` on a backup that was never filled
   */
  promote(): Promise<Promotion>;
  /**
   * Gives a grant back for good, unless it was used: then the answer stays `promoted`. Repeatable. The answer is kept while the
   * grant could be used: it is of the highest epoch seen, and made by whom the timeline, where it names that epoch, names.
   */
  decline(grantId: string, of: GrantOrigin): Promise<GrantAnswer>;
  /**
   * Comes home: puts every row above the common point aside and becomes a backup at that point. Returns how many rows.
   * @throws Refusal `not_fenced` on a primary that is in its right; `winner_unknown` where the epoch is not above, or the
   *   point is not of this history
   */
  rejoin(winner: Winner): Promise<{ readonly putAside: number }>;
}

export interface AsideStore {
  /** Rows put aside that wait for a decision, oldest first, at most `limit`; and how many wait in all. */
  aside(limit: number): Promise<{ readonly rows: readonly AsideRow[]; readonly waiting: number }>;
  /**
   * What the primary has decided: the struck are forgotten, the taken kept until what was made of them arrives, a stranded row
   * or the purge that was made again. They wait again at every change of epoch.
   */
  settleAside(struck: readonly StrandedId[], taken: readonly StrandedId[]): Promise<void>;
  /**
   * On a primary: decides on rows that another site, or this one before its promotion, has put aside (core's judgeAside), and
   * commits what follows as its own changes. Verdicts in the order of the rows.
   * @throws Refusal `read_only_backup`, `site_fenced`, `disk_full`
   */
  takeAside(rows: readonly AsideRow[]): Promise<readonly AsideVerdict[]>;
  /** Live rows of kind `stranded` behind `after`, by id, at most `limit`; and how many there are. */
  stranded(
    after: StrandedId | null,
    limit: number,
  ): Promise<{ readonly rows: readonly StoredRow[]; readonly total: number }>;
  /** A stranded row by its id alone. */
  strandedById(id: StrandedId): Promise<StoredRow | undefined>;
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
