import type { Buckets } from "../digest.ts";
import type { Point } from "../position.ts";
import type { RowSummary } from "../repair.ts";
import type { RowKey } from "../row.ts";

/** What a count of all rows found. */
export type Recount = {
  /** The head at which the rows were read. */
  readonly head: Point;
  readonly buckets: Buckets;
  /** Numbers of buckets with a row that fails its own hash. */
  readonly damaged: readonly number[];
  readonly rows: number;
};

/** Looks at much of the store, beside everything else and not in one transaction. */
export interface Survey {
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
}
