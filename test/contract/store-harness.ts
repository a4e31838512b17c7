import { utf8 } from "../../src/core/bytes.ts";
import { Buckets } from "../../src/core/digest.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { Promotion } from "../../src/core/epoch.ts";
import {
  type AccessId,
  type EntryId,
  newUuidV7,
  type SiteName,
  type VaultId,
  versionIdOf,
} from "../../src/core/ids.ts";
import { protocolVersion, type Push } from "../../src/core/push.ts";
import type { RowKey, StoredRow } from "../../src/core/row.ts";
import type { ApplyOutcome, BatchLimit, Listing } from "../../src/core/store/replication.ts";
import type { RowChange, Write } from "../../src/core/store/rows.ts";
import type { Store } from "../../src/core/store/store.ts";
import { SeededRandom, sha256Hash, type VirtualClock } from "../support/ports.ts";

/** What the contract needs of a store that is to keep it. */
export type StoreUnderTest = {
  /** A new site's store. Whoever implements this closes it when the test ends. */
  readonly open: (site: NewStore) => Promise<Store>;
  /** Closes a store and opens what it left. */
  readonly reopen: (store: Store) => Promise<Store>;
  /** How often a property is tried whose every run starts threads, where a store has any. */
  readonly threadedRuns: number;
  /** Changes the database behind an open store's back, as a failing disk does. */
  readonly behind: (store: Store, sql: string, ...values: (string | number | Uint8Array)[]) => Promise<void>;
};

export type NewStore = {
  readonly site: SiteName;
  readonly role: "primary" | "backup";
  readonly clock: VirtualClock;
};

export const calgary = "calgary" as SiteName;
export const zurich = "zurich" as SiteName;
export const geneva = "geneva" as SiteName;

export const batch: BatchLimit = { rows: 100, bytes: 1024 * 1024 };

const random = new SeededRandom(7);
let made = 0;

/** Ids that rise, as those made one after the other by a site do. */
function nextId(): string {
  made += 1;
  return newUuidV7(Date.UTC(2026, 0, 1) + made, random);
}

export function newVault(): RowKey & { kind: "vault" } {
  return { kind: "vault", vaultId: nextId() as VaultId };
}

export function newEntry(vaultId: VaultId): RowKey & { kind: "entry" } {
  return { kind: "entry", vaultId, entryId: nextId() as EntryId };
}

export function newAccess(vaultId: VaultId): RowKey & { kind: "access" } {
  return { kind: "access", vaultId, accessId: nextId() as AccessId };
}

export function newVersion(
  { vaultId, entryId }: RowKey & { kind: "entry" },
  version: number,
): RowKey & { kind: "version" } {
  return { kind: "version", vaultId, versionId: versionIdOf(entryId, version) };
}

/** A write that sets one row, whatever it was. */
export function put(key: RowKey, text: string | null): Write {
  return { keys: [key], decide: () => [{ key, body: text === null ? null : utf8(text) }] };
}

/** One write that sets many rows. */
export function putAll(keys: readonly RowKey[], text: string): Write {
  return { keys, decide: () => keys.map((key) => ({ key, body: utf8(text) })) };
}

export async function set(store: Store, key: RowKey, text: string | null): Promise<StoredRow> {
  const [row] = await store.transact((tx) => tx.rows.write(put(key, text)));
  if (!row) throw new Error("a write of one row returned none");
  return row;
}

/** A change that fails when its turn comes, after those before it were made. */
export const impossible: RowChange = {
  get key(): RowKey {
    throw new Refusal("entry_exists");
  },
  body: null,
};

/** A vault with so many entries, each by a write of its own. */
export async function fill(
  store: Store,
  entries: number,
): Promise<{ vault: RowKey & { kind: "vault" }; keys: RowKey[] }> {
  const vault = newVault();
  await set(store, vault, "a vault");
  const keys = Array.from({ length: entries }, () => newEntry(vault.vaultId));
  for (const key of keys) await set(store, key, "an entry");
  return { vault, keys };
}

/** The same by one write for all of them. */
export async function fillAtOnce(
  store: Store,
  entries: number,
): Promise<{ vault: RowKey & { kind: "vault" }; keys: RowKey[] }> {
  const vault = newVault();
  const keys = Array.from({ length: entries }, () => newEntry(vault.vaultId));
  await store.transact((tx) => tx.rows.write(putAll([vault, ...keys], "at once")));
  return { vault, keys };
}

/** The push that a primary makes of a listing. */
export async function pushOf(primary: Store, listing: Listing, changes: Partial<Push> = {}): Promise<Push> {
  const { site } = await primary.read((r) => r.site.record());
  const timeline: readonly Promotion[] = await primary.read((r) => r.site.timeline());
  const { after, through, points, digest, except, epoch, realm } = listing;
  const rows = listing.rows.map((row) => ({ kind: "row" as const, row }));
  const publicUrl = `https://${site}.example`;
  return {
    protocol: protocolVersion,
    realm,
    site,
    publicUrl,
    epoch,
    timeline,
    after,
    through,
    points,
    digest,
    except,
    rows,
    ...changes,
  };
}

/** Pushes until nothing is above acked, as a worker does when nothing goes wrong. Returns how many pushes it took. */
export async function drain(primary: Store, backup: Store, limit: BatchLimit = batch): Promise<number> {
  const peer = (await backup.read((r) => r.site.record())).site;
  const applied = (await backup.read((r) => r.site.record())).head;
  await primary.transact((tx) => tx.replication.resumeFrom(peer, applied, []));
  for (let pushes = 1; ; pushes += 1) {
    const acked = (await primary.read((r) => r.replication.peers())).find(({ site }) => site === peer)?.acked;
    if (!acked) throw new Error(`${peer} is no peer with a known point`);
    const { rows, through, ...listing } = await primary.read((r) =>
      r.replication.listAbove(acked.position, limit, peer),
    );
    const push = await pushOf(primary, { rows, through, ...listing });
    const { verified } = expectApplied(await backup.transact((tx) => tx.replication.applyPush(push)));
    await primary.acknowledgements.take(peer, { through, rows, rejected: [], verified });
    if (listing.isLast) return pushes;
  }
}

/** A site's own columns are no part of what two sites must agree on. */
export function shared(rows: readonly StoredRow[]): object[] {
  return rows.map(({ key, position, hash, body }) => ({ key, position, hash, body }));
}

/** Every row of a site, tombstones too, in position order. */
export async function allRows(store: Store): Promise<readonly StoredRow[]> {
  const everything = { rows: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };
  const { rows } = await store.read((r) => r.replication.listAbove({ epoch: 0, seq: 0 }, everything));
  return rows.toSorted((a, b) => a.position.epoch - b.position.epoch || a.position.seq - b.position.seq);
}

/** The digest as it is when counted from the rows. */
export async function countedDigest(store: Store): Promise<Uint8Array> {
  const buckets = new Buckets();
  // A backup that was never filled belongs to no realm and can list nothing.
  const rows = (await store.read((r) => r.site.record())).realm === null ? [] : await allRows(store);
  for (const row of rows) buckets.toggle(sha256Hash, row);
  return buckets.digest(sha256Hash);
}

export function expectApplied(outcome: ApplyOutcome): ApplyOutcome & { kind: "applied" } {
  if (outcome.kind !== "applied") throw new Error(`refused: ${outcome.code}`);
  return outcome;
}
