import type { AuditPart } from "../audit.ts";
import type { Epoch, Promotion } from "../epoch.ts";
import type { RealmId, SiteName } from "../ids.ts";
import type { Point, Position } from "../position.ts";
import type { Push, PushRefusal, Receiver, Rejection, RejectionCode } from "../push.ts";
import type { RowKey, StoredRow } from "../row.ts";
import type { Verified } from "./site.ts";

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

/** On a primary, what its peers have and lack; on a backup, what it has refused. */
export interface ReplicationReader {
  peers(): Promise<readonly Peer[]>;
  /** What is dirty for any peer, quarantined rows apart. Costs what is dirty. */
  backlogOfAll(): Promise<Backlog>;
  backlog(peer: SiteName): Promise<Backlog>;
  /**
   * Rows above `after` in position order, whatever their mark, up to the limit but at least one where there is any, with
   * each entry's and access's vault row. (The customer's EntryListDirty.) Costs what it lists.
   * @param peer whose quarantine the digest leaves out
   */
  listAbove(after: Position, limit: BatchLimit, peer?: SiteName): Promise<Listing>;
  /** Rows in this peer's quarantine above `after`, in position order, at most `limit`. */
  listQuarantined(peer: SiteName, after: Position, limit: number): Promise<readonly StoredRow[]>;
  /** Rows that this backup has refused and still lacks: the newest 1,000. */
  rejections(): Promise<readonly Rejection[]>;
}

/** What a primary and a backup make of each other's messages. */
export interface ReplicationWriter extends ReplicationReader {
  /**
   * Makes the peers that are stored those that the configuration names. A new one starts with acked unknown; one that is
   * gone no longer counts, and marks that waited only for it are cleared. Without peers nothing is marked.
   */
  configurePeers(sites: readonly SiteName[]): Promise<void>;
  /**
   * Marks rows above the lowest acked that bear no mark (a new peer's, or those a backup lost), among the next `limit` rows
   * above `after` (all where null). Returns how many it marked, and behind which position to go on; null at the end. May be
   * repeated. (The customer's EntryMarkDirty for many.)
   */
  markDirtyAbove(after: Position | null, limit: number): Promise<Marked>;
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
  /**
   * Judges a push (core's judgePush) and applies it in the same transaction: rows by core's `replaces`, rows that fail their
   * hash rejected alone, then the watermark, realm, epoch and timeline, and compares the digests. A refusal changes nothing
   * but a higher epoch seen. A primary whose open grant the push's timeline shows to be used becomes a backup first, in the
   * same transaction.
   */
  applyPush(push: Push): Promise<ApplyOutcome>;
}

/** ACKs of a primary's peers. No transactions: one may go with the next that comes. */
export interface Acknowledgements {
  /**
   * Moves a peer's acked to `through`, clears marks at or below every peer's acked, puts `rejected` rows that still stand at
   * the pushed position into quarantine and takes the `accepted` ones out. (The customer's EntryMarkReplicated.) Everybody is
   * shown it at once; it is stored with the next transaction, or by `settle`, and losing it costs a repeated push. A point that
   * this history does not have changes nothing and is `unknown`.
   */
  take(peer: SiteName, ack: Acknowledgement): Promise<"known" | "unknown">;
  /**
   * Stores what ACKs have changed and no other transaction has, without waiting for the disk: a worker calls it before it sleeps,
   * so that a process that is killed asleep does not ask its backups again. May be repeated.
   */
  settle(): Promise<void>;
}
