import type { Position } from "../../src/core/position.ts";
import type { StoredRow } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import { calgary, type StoreUnderTest, zurich } from "./store-harness.ts";

const start: Position = { epoch: 0, seq: 0 };

/** What the contract does with a primary and what its backups acknowledge. */
export function primarySites(open: StoreUnderTest["open"]) {
  const primary = async (...peers: (typeof zurich)[]): Promise<{ store: Store; clock: VirtualClock }> => {
    const clock = new VirtualClock();
    const store = await open({ site: calgary, role: "primary", clock });
    await store.transact((tx) => tx.replication.configurePeers(peers));
    return { store, clock };
  };

  const acknowledgeAll = async (store: Store, peer = zurich): Promise<void> => {
    const { rows, through } = await store.read((r) =>
      r.replication.listAbove(start, { rows: 10_000, bytes: 2 ** 40 }),
    );
    await store.acknowledgements.take(peer, { through, rows, rejected: [], verified: null });
  };

  const dirtyRows = async (store: Store): Promise<StoredRow[]> => {
    await store.acknowledgements.settle();
    return (
      await store.read((r) => r.replication.listAbove(start, { rows: 10_000, bytes: 2 ** 40 }))
    ).rows.filter(({ dirty }) => dirty);
  };

  return { primary, acknowledgeAll, dirtyRows };
}
