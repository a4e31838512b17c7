import type { Point } from "../position.ts";
import type { Identity, PushRefusal, Receiver } from "../push.ts";
import type { Row, RowKey } from "../row.ts";

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

/** Rows as a repair wants them. */
export interface RepairReader {
  /** The rows of these keys that are there, damaged ones too. */
  rowsOf(keys: readonly RowKey[]): Promise<readonly Row[]>;
}

/** The steps of a repair that change something. */
export interface RepairWriter extends RepairReader {
  /**
   * On a backup: puts rows in place whatever their position, and removes others; what is replaced or removed and intact is put
   * aside first. Judged like a push in the same transaction; a row that fails its hash changes nothing.
   */
  apply(guard: RepairGuard, rows: readonly Row[], remove: readonly RowKey[]): Promise<RepairOutcome>;
  /** Why a step of a repair that only reads may not happen here; undefined where it may. */
  judge(guard: RepairGuard): Promise<{ readonly code: PushRefusal | undefined; readonly receiver: Receiver }>;
  /**
   * On a primary: an intact row of a peer takes the place of the own one that stands at the same position and fails its hash.
   * Position and chain stay. Returns how many were healed.
   */
  heal(rows: readonly Row[]): Promise<number>;
}
