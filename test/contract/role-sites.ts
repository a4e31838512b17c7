import { expect } from "vitest";
import type { Point } from "../../src/core/position.ts";
import type { Winner } from "../../src/core/store/roles.ts";
import type { Store } from "../../src/core/store/store.ts";
import { VirtualClock } from "../support/ports.ts";
import { calgary, drain, fill, geneva, type StoreUnderTest, zurich } from "./store-harness.ts";

/** Sites whose roles are about to change. */

export type Sites = { readonly primary: Store; readonly backup: Store; readonly clock: VirtualClock };

/** A point that no history of these tests went through. */
export const strange: Point = { position: { epoch: 1, seq: 2 }, chain: new Uint8Array(32).fill(7) };

export async function winnerOf(store: Store, common: Point): Promise<Winner> {
  return {
    epoch: (await store.read((r) => r.site.record())).epoch,
    timeline: await store.read((r) => r.site.timeline()),
    common,
  };
}

export type RoleSites = {
  readonly pair: (entries?: number) => Promise<Sites>;
  readonly apart: () => Promise<Sites & { fork: Point }>;
  readonly behind: () => Promise<Sites>;
};

export function roleSites({ open }: Pick<StoreUnderTest, "open">): RoleSites {
  /** Two sites that are equal, each of which knows the other and a third as its peers. */
  const pair = async (entries = 3): Promise<Sites> => {
    const clock = new VirtualClock();
    const primary = await open({ site: calgary, role: "primary", clock });
    const backup = await open({ site: zurich, role: "backup", clock });
    await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
    await backup.transact((tx) => tx.replication.configurePeers([calgary, geneva]));
    await fill(primary, entries);
    await drain(primary, backup);
    return { primary, backup, clock };
  };

  /** Both sites primary: calgary has gone on alone after zurich was promoted. */
  const apart = async (): Promise<Sites & { fork: Point }> => {
    const { primary, backup, clock } = await pair();
    const fork = (await backup.read((r) => r.site.record())).head;
    await fill(primary, 2);
    await backup.transact((tx) => tx.roles.promote());
    const epoch = (await backup.read((r) => r.site.record())).epoch;
    await primary.transact((tx) => tx.site.recordEpoch(epoch));
    return { primary, backup, clock, fork };
  };

  /** Puts a primary behind: zurich names a point that calgary never stood at. */
  const behind = async (): Promise<Sites> => {
    const sites = await pair();
    expect(await sites.primary.transact((tx) => tx.replication.resumeFrom(zurich, strange, []))).toBe(
      "unknown",
    );
    return sites;
  };

  return { pair, apart, behind };
}
