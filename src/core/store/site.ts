import type { Epoch, Promotion } from "../epoch.ts";
import type { RealmId, SiteName } from "../ids.ts";
import type { Point, Position } from "../position.ts";
import type { Role } from "../push.ts";
import type { Grant } from "./roles.ts";

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

/** The site's own record, and the history that led to it. */
export interface SiteReader {
  record(): Promise<Site>;
  timeline(): Promise<readonly Promotion[]>;
  /** The site's digest and the point at which it was taken. */
  digest(): Promise<{ readonly head: Point; readonly digest: Uint8Array }>;
  /** The first of these points that this site's history went through; the origin is in every history. */
  firstKnown(points: readonly Point[]): Promise<Point | undefined>;
  /** Points of this history at or below a position, descending, at most `limit`. */
  pointsBelow(position: Position, limit: number): Promise<readonly Point[]>;
}

/** What changes the site's record, beside what changes its rows and its role. */
export interface SiteWriter extends SiteReader {
  /**
   * Records an epoch met in an authenticated message, where it is higher than any seen before; a primary is fenced
   * (`primary_superseded`) in the same transaction, unless it has an open grant. Returns whether that fence is new. May be repeated.
   * @throws Refusal `invalid_request` for an epoch too far above all that were seen, having changed nothing
   */
  recordEpoch(epoch: Epoch): Promise<{ readonly fencedNow: boolean }>;
}
