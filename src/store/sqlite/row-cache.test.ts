import { describe, expect, it } from "vitest";
import { newAccess, newEntry, newVault } from "../../../test/contract/store-harness.ts";
import { utf8 } from "../../core/bytes.ts";
import type { AccessId, VaultId } from "../../core/ids.ts";
import type { RowKey, StoredRow } from "../../core/row.ts";
import { RowCache } from "./row-cache.ts";

function rowOf(key: RowKey, change: Partial<StoredRow> = {}): StoredRow {
  const position = { epoch: 1, seq: 1 };
  const unmarked = { dirty: false, dirtySince: null, replicatedAt: null };
  return { key, position, hash: new Uint8Array(32), body: utf8("x"), ...unmarked, ...change };
}

const unread = (): never => {
  throw new Error("this row is known");
};

function cacheOf(...rows: readonly StoredRow[]): RowCache {
  const cache = new RowCache();
  for (const row of rows) cache.row(row.key, () => row);
  return cache;
}

describe("rows in memory", () => {
  it("are those of vaults and accesses, small ones alone, and only rows that are there", () => {
    const [vault, large] = [newVault(), newVault()];
    const [entry, access] = [newEntry(vault.vaultId), newAccess(vault.vaultId)];
    const body = new Uint8Array(4_097);
    const cache = cacheOf(rowOf(vault), rowOf(entry), rowOf(access), rowOf(large, { body }));
    const known = [vault, access, entry, large].map((key) => cache.known(key)?.key);
    expect(known).toEqual([vault, access, undefined, undefined]);
    const missing = newVault();
    expect(cache.row(missing, () => undefined)).toBeUndefined();
    expect(cache.row(missing, () => rowOf(missing))).toEqual(rowOf(missing));
  });

  it("are read once, and anew when they have changed", () => {
    const vault = newVault();
    const cache = cacheOf(rowOf(vault));
    expect(cache.row(vault, unread)).toEqual(rowOf(vault));
    cache.changed(vault);
    const next = rowOf(vault, { body: utf8("y") });
    expect(cache.row(vault, () => next)).toBe(next);
  });

  it("are a thousand at most, those that were used last", () => {
    const first = newVault();
    const cache = cacheOf(rowOf(first));
    const others = Array.from({ length: 1_000 }, () => newVault());
    for (const key of others.slice(0, 999)) cache.row(key, () => rowOf(key));
    cache.row(first, unread);
    for (const key of others.slice(999)) cache.row(key, () => rowOf(key));
    expect([first, others[0], others[1]].map((key) => key && cache.known(key)?.key)).toEqual([
      first,
      undefined,
      others[1],
    ]);
  });

  it("are found by an access's id alone, until an access of that id changes, in whatever vault", () => {
    const here = newAccess(newVault().vaultId);
    const there = { ...here, vaultId: newVault().vaultId as VaultId };
    const cache = new RowCache();
    const find = (read: () => StoredRow | undefined) => cache.access(here.accessId as AccessId, read);
    find(() => rowOf(there));
    expect(find(unread)?.key).toEqual(there);
    cache.changed(here);
    expect(find(() => rowOf(here))?.key).toEqual(here);
  });

  it("are forgotten with their marks, and all of them where nobody knows what the disk holds", () => {
    const [marked, unmarked] = [newVault(), newVault()];
    const cache = cacheOf(rowOf(marked, { dirty: true, dirtySince: 1 }), rowOf(unmarked));
    cache.forgetMarks();
    expect([cache.known(marked), cache.known(unmarked)?.key]).toEqual([undefined, unmarked]);
    cache.clear();
    expect(cache.known(unmarked)).toBeUndefined();
  });
});
