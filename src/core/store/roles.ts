import type { Epoch, Promotion } from "../epoch.ts";
import type { SiteName } from "../ids.ts";
import type { Point } from "../position.ts";

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

/** The only ways to change a site's role, with `Homecoming`: the design, section 8. */
export interface RoleWriter {
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
}

/** The way of a former primary back. A transaction of its own, which may be too large to share one with others. */
export interface Homecoming {
  /**
   * Comes home: puts every row above the common point aside and becomes a backup at that point. Returns how many rows.
   * @throws Refusal `not_fenced` on a primary that is in its right; `winner_unknown` where the epoch is not above, or the
   *   point is not of this history
   */
  rejoin(winner: Winner): Promise<{ readonly putAside: number }>;
}
