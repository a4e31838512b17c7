import type { Edition } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { Store, Transaction } from "../core/store/store.ts";
import { withTransactions } from "../core/store/with-transactions.ts";

/**
 * The store, telling the operator where a client's write meets a disk that is full or a database that is damaged, and when
 * there is room again. Whoever asked gets the refusal all the same.
 */
export function tellFaults(store: Store, edition: Edition): Store {
  let mayBeLow = true;
  const tell = (error: unknown): void => {
    if (!(error instanceof Refusal)) return;
    if (error.code === "disk_full") {
      mayBeLow = true;
      edition.alertOperator("disk_low", "The disk is full or nearly so; writes are refused", {});
    } else if (error.code === "database_corrupt") {
      edition.alertOperator("database_corrupt", "The database is damaged", {});
    }
  };
  return withTransactions(store, async (work) => {
    let isWrite = false;
    const noting = (tx: Transaction): Transaction => ({
      ...tx,
      get rows() {
        isWrite = true;
        return tx.rows;
      },
    });
    try {
      const result = await store.transact((tx) => work(noting(tx)));
      if (isWrite && mayBeLow) {
        mayBeLow = false;
        edition.alertOperator("disk_recovered", "There is room on the disk again", {});
      }
      return result;
    } catch (error) {
      if (isWrite) tell(error);
      throw error;
    }
  });
}
