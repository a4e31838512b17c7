import type { EntrySeal } from "../core/entry-seal.ts";
import { Refusal } from "../core/errors.ts";
import type { EntryId, KeyId, VaultId, VersionId } from "../core/ids.ts";
import { comparePositions, type Position } from "../core/position.ts";
import {
  dropOutlived,
  entryIdOf,
  isUnderOlderKey,
  linkedAccessKeys,
  noteResealed,
  outlived,
  raced,
  reseal,
  vaultOf,
} from "../core/resealing.ts";
import { isLive, type LiveRow, type StoredRow } from "../core/row.ts";
import type { Store } from "../core/store/store.ts";
import { vaultKey } from "../core/vault.ts";
import { VaultSeal } from "../crypto/entry-seal.ts";
import { VaultKey } from "../crypto/vault-key.ts";
import type { HttpContext } from "./call.ts";
import { nextSliceRows } from "./entry-page.ts";
import { holdingWithin } from "./replication-wait.ts";
import { olderKeys, type OpenVault } from "./vault-opening.ts";

/** The vault's keys for as long as the work lasts. */
type OwnedSeal = EntrySeal & Disposable;

/** What it writes beside a call is not that call's doing, and is not recorded as such. */
type Site = Pick<HttpContext, "edition" | "clock" | "random" | "logger" | "closing"> & {
  readonly store: Store;
};

/** Rows looked at, and sealed anew, in one step: well under 20 ms of work for entries of ordinary size. */
const sliceRows = 20;
/** How long the end of a rotation waits for the peers before it leaves the rest to the next write. */
const peersWaitMs = 60_000;

/**
 * Finishes what a change of a vault's key has begun: seals its entries and their versions anew, and drops the older keys when
 * every peer has them. It needs the vault's keys, so it runs beside a request that brought them, on a copy of its own that is
 * zeroed when it ends; what a crash, a promotion or a peer's absence leaves undone is continued by the next write to the vault.
 */
export class Resealing {
  readonly #site: Site;
  readonly #running = new Map<VaultId, Promise<void>>();
  /** Vaults of which nothing is left to drop: what their rows still hold is for accesses that have not written since. */
  readonly #settled = new Map<VaultId, KeyId>();

  constructor(site: Site) {
    this.#site = site;
  }

  /**
   * Goes on in the background where anything is left to do; never throws. One at a time for each vault.
   * @param isRenewed whether an access that was absent has got a slot of the current key by now
   */
  continue(open: OpenVault, isRenewed: boolean): void {
    const { vaultId, vault } = open;
    if (vault.older.length === 0 && vault.links.length === 0) return;
    if (this.#running.has(vaultId) || this.#site.closing.aborted) return;
    const isWhole = vault.older.every(({ lastPosition }) => lastPosition !== null);
    if (isWhole && !isRenewed && this.#settled.get(vaultId) === vault.keyId) return;
    this.begin(copyOf(open, this.#site));
  }

  /**
   * Seals what is in a vault anew, as `continue` does.
   * @param seal the vault's keys, which are this object's from now on
   */
  begin(seal: OwnedSeal): void {
    const { vaultId } = seal;
    const before = this.#running.get(vaultId) ?? Promise.resolve();
    const run = before
      .then(() => this.#run(seal))
      .finally(() => {
        seal[Symbol.dispose]();
        if (this.#running.get(vaultId) === run) this.#running.delete(vaultId);
      });
    this.#running.set(vaultId, run);
  }

  /** Resolves when everything that runs has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  async #run(seal: OwnedSeal): Promise<void> {
    try {
      const isWhole = (await this.#isResealed(seal.vaultId)) || (await this.#resealAll(seal));
      if (isWhole) await this.#dropOutlived(seal);
    } catch (error) {
      // Changed again, deleted, fenced, full: whoever comes next goes on from what is stored.
      const code = error instanceof Refusal ? error.code : "internal";
      if (!raced(error)) this.#site.logger.warn({ code, vaultId: seal.vaultId }, "a change of keys waits");
    }
  }

  /**
   * Whether a note of this reign says so. One of an earlier reign came with the vault's row, which goes in front of every batch: this
   * site may have been promoted before the rows came that it speaks of.
   */
  async #isResealed(vaultId: VaultId): Promise<boolean> {
    const { store } = this.#site;
    const { vault } = vaultOf(await store.read((r) => r.rows.row(vaultKey(vaultId))));
    const { epoch } = await store.read((r) => r.site.record());
    return vault.older.every(({ lastPosition }) => lastPosition?.epoch === epoch.number);
  }

  /** Whether everything is under the current key now, and that was noted. What does not open stays, and keeps its key. */
  async #resealAll(seal: EntrySeal): Promise<boolean> {
    const { isWhole, last } = await this.#resealRows(seal);
    if (isWhole) await this.#noteWhole(seal, last);
    return isWhole;
  }

  async #resealRows(seal: EntrySeal): Promise<Resealed> {
    let last: Position | undefined;
    let isWhole = true;
    for (const kind of ["entry", "version"] as const) {
      let after: EntryId | VersionId | undefined;
      let limit = sliceRows;
      for (;;) {
        if (this.#site.closing.aborted) return { isWhole: false, last };
        const rows = await this.#site.store.read((r) => r.rows.vaultRows(seal.vaultId, kind, after, limit));
        const live = rows.filter(isLive).filter((row) => isUnderOlderKey(row, seal.keyId));
        const readable = live.filter((row) => opens(seal, row));
        isWhole &&= readable.length === live.length;
        const changed =
          readable.length === 0
            ? []
            : await this.#site.store.transact((tx) => tx.rows.write(reseal(seal, readable)));
        if (changed.length > 0) this.#site.edition.signalReplication();
        last = later(last, changed.at(-1)?.position);
        after = changed.length < readable.length ? after : itemOf(rows.at(-1));
        if (rows.length < limit && changed.length === readable.length) break;
        limit = Math.min(sliceRows, nextSliceRows(rows));
        await this.#site.clock.turn();
      }
    }
    return { isWhole, last };
  }

  async #noteWhole({ vaultId, keyId }: EntrySeal, last: Position | undefined): Promise<void> {
    const { store, edition } = this.#site;
    const head = (await store.read((r) => r.site.record())).head.position;
    const changed = await store.transact((tx) => tx.rows.write(noteResealed(vaultId, keyId, last ?? head)));
    if (changed.length > 0) edition.signalReplication();
  }

  /** Drops older keys that no row of any peer is under, and links that nobody needs. What was stranded may still be under one. */
  async #dropOutlived(seal: EntrySeal): Promise<void> {
    const { vaultId, keyId } = seal;
    const { store, edition } = this.#site;
    const { row, vault } = vaultOf(await store.read((r) => r.rows.row(vaultKey(vaultId))));
    const last = vault.older.reduce<Position>(
      (highest, { lastPosition }) => later(highest, lastPosition ?? undefined) ?? highest,
      row.position,
    );
    if (!(await this.#isHeld(last)) || !(await this.#nothingStranded(vaultId))) return;
    const rows = new Map<string, StoredRow | undefined>();
    for (const key of linkedAccessKeys(vaultId, vault))
      rows.set(key.accessId, await store.read((r) => r.rows.row(key)));
    const gone = outlived(vault, rows);
    if (gone.older.length > 0 && !(await this.#isStillResealed(seal))) return;
    const changed = await store.transact((tx) =>
      tx.rows.write({ ...dropOutlived(vaultId, keyId, gone), erases: true }),
    );
    if ([...rows.values()].every((each) => !each?.dirty)) this.#settle(vaultId, keyId);
    if (changed.length === 0) return;
    edition.signalReplication();
    await store.erasure.eraseRemains();
  }

  /** Whether every peer has everything up to a position: what one refuses, it holds as it was before. */
  async #isHeld(position: Position): Promise<boolean> {
    const holding = await holdingWithin(this.#site, position, peersWaitMs);
    if (!Object.values(holding).every(Boolean)) return false;
    return (await this.#site.store.read((r) => r.replication.backlogOfAll())).quarantined === 0;
  }

  /** Looks once more before a key goes for good: what was stranded may have been reapplied since as it was sealed. */
  async #isStillResealed(seal: EntrySeal): Promise<boolean> {
    const { isWhole } = await this.#resealRows(seal);
    return (
      isWhole && (await this.#isHeld((await this.#site.store.read((r) => r.site.record())).head.position))
    );
  }

  #settle(vaultId: VaultId, keyId: KeyId): void {
    if (this.#settled.size >= settledMax) this.#settled.clear();
    this.#settled.set(vaultId, keyId);
  }

  async #nothingStranded(vaultId: VaultId): Promise<boolean> {
    const { store } = this.#site;
    const { waiting } = await store.read((r) => r.aside.waiting(1));
    const { rows, total } = await store.read((r) => r.aside.stranded(null, strandedLookedAt));
    return waiting === 0 && total <= strandedLookedAt && rows.every((row) => row.key.vaultId !== vaultId);
  }
}

type Resealed = {
  readonly isWhole: boolean;
  /** Of the last row that was sealed anew. */
  readonly last: Position | undefined;
};

const strandedLookedAt = 1_000;
/** Vaults remembered: forgotten ones are looked at once more. */
const settledMax = 10_000;

function opens(seal: EntrySeal, row: LiveRow): boolean {
  try {
    seal.open(entryIdOf(row.key), row.body);
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

function itemOf(row: StoredRow | undefined): EntryId | VersionId | undefined {
  if (row?.key.kind === "entry") return row.key.entryId;
  return row?.key.kind === "version" ? row.key.versionId : undefined;
}

function later(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return comparePositions(a, b) >= 0 ? a : b;
}

/** The vault's keys once more, for work that outlasts the request. */
function copyOf({ vaultId, key, vault }: OpenVault, { random }: Site): VaultSeal {
  const older = olderKeys(vaultId, vault, key);
  return new VaultSeal({ vaultId, current: VaultKey.of(key.bytes), older, random });
}
