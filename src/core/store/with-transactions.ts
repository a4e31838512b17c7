import type { Store } from "./store.ts";

/** The same store, whose transactions are run by `transact`: for who must hear of their outcome. */
export function withTransactions(store: Store, transact: Store["transact"]): Store {
  const { uses, journal, acknowledgements, erasure, survey, homecoming } = store;
  const [read, close]: [Store["read"], Store["close"]] = [(look) => store.read(look), () => store.close()];
  return { read, transact, uses, journal, acknowledgements, erasure, survey, homecoming, close };
}
