import { expect } from "vitest";
import { type AsideRow, strandedIdOf } from "../../src/core/aside.ts";
import { utf8 } from "../../src/core/bytes.ts";
import { origin, type Point, type Position } from "../../src/core/position.ts";
import { hashRow, type Row, type RowKey } from "../../src/core/row.ts";
import type { Store } from "../../src/core/store/store.ts";
import { sha256Hash, VirtualClock } from "../support/ports.ts";
import { guardOf, repair } from "./repair-driver.ts";
import { calgary, drain, fill, geneva, type StoreUnderTest, zurich } from "./store-harness.ts";

/** Sites with rows put aside, and what a primary's worker does with those. */

/** A row as another site may have put it aside. */
export function asideOf(row: Row, fork: Position = origin.position): AsideRow {
  const { key, position, hash, body } = row;
  return { key, position, hash, body, id: strandedIdOf(sha256Hash, row), fork, site: geneva, at: 1_000 };
}

export function rowAt(key: RowKey, text: string | null, position: Position): Row {
  const body = text === null ? null : utf8(text);
  return { key, position, hash: hashRow(sha256Hash, body), body };
}

export type StrandedKey = RowKey & { readonly kind: "stranded" };

export function strandedKey(row: AsideRow): StrandedKey {
  return { kind: "stranded", vaultId: row.key.vaultId, strandedId: row.id };
}

/** What a primary's worker does with the rows that a backup has put aside, until none waits. */
export async function collect(primary: Store, backup: Store): Promise<void> {
  for (let rounds = 0; (await backup.read((r) => r.aside.waiting(1))).waiting > 0; rounds += 1) {
    expect(rounds).toBeLessThan(5);
    const { rows } = await backup.read((r) => r.aside.waiting(3));
    const verdicts = await primary.transact((tx) => tx.aside.take(rows));
    const struck = rows.filter((_, index) => verdicts[index] === "struck").map(({ id }) => id);
    const taken = rows.filter((_, index) => verdicts[index] !== "struck").map(({ id }) => id);
    await backup.transact((tx) => tx.aside.settle(struck, taken));
    await drain(primary, backup);
  }
}

export async function comeHome(winner: Store, loser: Store, common: Point): Promise<void> {
  await loser.homecoming.rejoin({
    epoch: (await winner.read((r) => r.site.record())).epoch,
    timeline: await winner.read((r) => r.site.timeline()),
    common,
  });
  await drain(winner, loser);
  await repair({ primary: winner, backup: loser });
  await drain(winner, loser);
}

export type AsideSites = {
  readonly alone: () => Promise<Store>;
  readonly pair: () => Promise<{ primary: Store; backup: Store; keys: RowKey[]; clock: VirtualClock }>;
  readonly withAside: () => Promise<{ primary: Store; backup: Store; rows: readonly AsideRow[] }>;
};

export function asideSites({ open }: Pick<StoreUnderTest, "open">): AsideSites {
  const alone = async (): Promise<Store> => {
    const store = await open({ site: calgary, role: "primary", clock: new VirtualClock() });
    await store.transact((tx) => tx.replication.configurePeers([zurich]));
    return store;
  };

  /** Two equal sites with some entries. */
  const pair = async (): Promise<{ primary: Store; backup: Store; keys: RowKey[]; clock: VirtualClock }> => {
    const clock = new VirtualClock();
    const primary = await open({ site: calgary, role: "primary", clock });
    const backup = await open({ site: zurich, role: "backup", clock });
    await primary.transact((tx) => tx.replication.configurePeers([zurich, geneva]));
    await backup.transact((tx) => tx.replication.configurePeers([calgary, geneva]));
    const { keys } = await fill(primary, 3);
    await drain(primary, backup);
    return { primary, backup, keys, clock };
  };

  /** A backup with so many rows put aside, by a repair that removed them. */
  const withAside = async (): Promise<{ primary: Store; backup: Store; rows: readonly AsideRow[] }> => {
    const { primary, backup, keys, clock } = await pair();
    for (const key of keys) {
      const guard = await guardOf({ primary, backup });
      await backup.transact((tx) => tx.repair.apply(guard, [], [key]));
      await clock.advance(10);
    }
    const { rows } = await backup.read((r) => r.aside.waiting(10));
    return { primary, backup, rows };
  };

  return { alone, pair, withAside };
}
