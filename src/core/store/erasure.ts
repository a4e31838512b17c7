/**
 * What was purged must not stay readable on the disk. A transaction that takes a body away for good (a purge, a revocation, what
 * replaces a vault's row, a write that `erases`) leaves it overwritten in the database and readable in the log, and says so in the
 * same transaction: this site has *remains*.
 * Not promised: a store may have moved a row within its files while it was there, and a piece of it may be left in room that is
 * unused since. Bodies are sealed, so that whoever finds one still needs the vault's key.
 */
export interface Erasure {
  hasRemains(): Promise<boolean>;
  /**
   * Empties the log where this site has remains; no file of the database holds them when it resolves. Waits a few seconds for
   * readers that look at an older state. Costs next to nothing where nothing remains; may be repeated.
   * @throws Refusal `busy` where a reader is at work for longer: the remains are still there, and known to be
   */
  eraseRemains(): Promise<void>;
}
