import type { AsideRow, AsideVerdict } from "../aside.ts";
import type { StrandedId } from "../ids.ts";
import type { StoredRow } from "../row.ts";

/** Rows that were put aside, and those that are stranded. */
export interface AsideReader {
  /** Rows put aside that wait for a decision, oldest first, at most `limit`; and how many wait in all. */
  waiting(limit: number): Promise<{ readonly rows: readonly AsideRow[]; readonly waiting: number }>;
  /** Live rows of kind `stranded` behind `after`, by id, at most `limit`; and how many there are. */
  stranded(
    after: StrandedId | null,
    limit: number,
  ): Promise<{ readonly rows: readonly StoredRow[]; readonly total: number }>;
  /** A stranded row by its id alone. */
  strandedById(id: StrandedId): Promise<StoredRow | undefined>;
}

/** Decides on rows that were put aside. */
export interface AsideWriter extends AsideReader {
  /**
   * What the primary has decided: the struck are forgotten, the taken kept until what was made of them arrives, a stranded row
   * or the purge that was made again. They wait again at every change of epoch.
   */
  settle(struck: readonly StrandedId[], taken: readonly StrandedId[]): Promise<void>;
  /**
   * On a primary: decides on rows that another site, or this one before its promotion, has put aside (core's judgeAside), and
   * commits what follows as its own changes. Verdicts in the order of the rows.
   * @throws Refusal `read_only_backup`, `site_fenced`, `disk_full`
   */
  take(rows: readonly AsideRow[]): Promise<readonly AsideVerdict[]>;
}
