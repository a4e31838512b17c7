import { vi } from "vitest";
import type { Store } from "../../src/core/store/store.ts";
import { hooked, type StoreHooks } from "./hooked-store.ts";

/** Hooks what is asked of a store that others hold already, until `vi.restoreAllMocks`. */
export function hookInPlace(store: Store, hooks: StoreHooks): void {
  const { uses, journal, acknowledgements, erasure, survey, homecoming } = store;
  const [read, transact]: [Store["read"], Store["transact"]] = [
    store.read.bind(store),
    store.transact.bind(store),
  ];
  const close = () => store.close();
  const besides = { uses, journal, acknowledgements, erasure, survey, homecoming, close };
  const through = hooked({ ...besides, read, transact }, hooks);
  vi.spyOn(store, "read").mockImplementation((look) => through.read(look));
  vi.spyOn(store, "transact").mockImplementation((work) => through.transact(work));
}
