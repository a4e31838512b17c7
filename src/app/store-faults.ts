import type { Edition } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { Store } from "../core/store/store.ts";

/**
 * The store, telling the operator where a client's write meets a disk that is full or a database that is damaged, and when
 * there is room again. Whoever asked gets the refusal all the same.
 */
export function tellFaults(store: Store, edition: Edition): Store {
  let mayBeLow = true;
  const write: Store["write"] = async (change) => {
    try {
      const rows = await store.transact((tx) => tx.rows.write(change));
      if (mayBeLow) edition.alertOperator("disk_recovered", "There is room on the disk again", {});
      mayBeLow = false;
      return rows;
    } catch (error) {
      if (error instanceof Refusal && error.code === "disk_full") {
        mayBeLow = true;
        edition.alertOperator("disk_low", "The disk is full or nearly so; writes are refused", {});
      }
      if (error instanceof Refusal && error.code === "database_corrupt") {
        edition.alertOperator("database_corrupt", "The database is damaged", {});
      }
      throw error;
    }
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "write") return write;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
