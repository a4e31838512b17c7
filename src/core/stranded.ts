import { decodeStranded } from "./aside.ts";
import { Refusal } from "./errors.ts";
import { isLive, type RowKey } from "./row.ts";
import type { Write } from "./store.ts";

/** The operator's decisions on a stranded row: each is a write for the store, and settles it on every site. */

type StrandedKey = RowKey & { readonly kind: "stranded" };

/**
 * Makes the stranded row the row of its key again, as a change of its own, and settles it.
 * @param key of the row that is stranded, as its body names it
 * @throws Refusal `stranded_unknown`, `stranded_unreadable`; `reapply_refused` where the row was purged or revoked since
 */
export function reapplyStranded(strandedKey: StrandedKey, key: RowKey): Write {
  return {
    keys: [strandedKey, key],
    decide: ([stranded, current]) => {
      if (!stranded || !isLive(stranded)) throw new Refusal("stranded_unknown");
      const { row } = decodeStranded(stranded.body);
      if (current && current.body === null && row.body !== null) throw new Refusal("reapply_refused");
      return [
        { key, body: row.body },
        { key: strandedKey, body: null },
      ];
    },
  };
}

/**
 * Settles stranded rows without making them again.
 * @throws Refusal `stranded_unknown`
 */
export function discardStranded(keys: readonly StrandedKey[]): Write {
  return {
    keys,
    decide: (current) => {
      if (!current.every((row) => row && isLive(row))) throw new Refusal("stranded_unknown");
      return keys.map((key) => ({ key, body: null }));
    },
  };
}
