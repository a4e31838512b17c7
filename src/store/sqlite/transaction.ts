import type { Buckets } from "../../core/digest.ts";
import { compareEpochs, type Epoch, isLeap, type Promotion } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { parseVersionId, type SiteName } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import type { Position } from "../../core/position.ts";
import { formatKey, type RowKey, type StoredRow } from "../../core/row.ts";
import type { Peer } from "../../core/store/replication.ts";
import type { Site } from "../../core/store/site.ts";
import type { Connection } from "./connection.ts";
import { forgetUse } from "./last-uses.ts";
import { deletePeer, newPeer, type StoredPeer, storePeer } from "./peers.ts";
import type { Knowledge } from "./knowledge.ts";
import type { UnsavedAcks } from "./plain-ack.ts";
import { storeAcks } from "./primary.ts";
import type { RowCache } from "./row-cache.ts";
import { deleteRow, hasLiveRow, insertRow, readRow, type RowOutline, updateRow } from "./row-table.ts";
import { writeGrant, writeHead, writePruned, writeRemains, writeSite, writeTimeline } from "./site-record.ts";
import type { State, View } from "./state.ts";
import { everyPart, partOf, readBuckets, writeBuckets } from "./stored-buckets.ts";

/** Work inside a transaction. Where it yields, a store on a file lets other work run; a memory store goes straight on. */
export type Steps<T> = Generator<Promise<void> | undefined, T, undefined>;
export type Work<T> = (tx: Transaction) => Steps<T>;

/** Work that is short enough to have no steps. */
export function inOneStep<T>(work: (tx: Transaction) => T): Work<T> {
  // oxlint-disable-next-line require-yield -- one step, in the shape of many
  return function* (tx) {
    return work(tx);
  };
}

/** What a transaction has made of the state so far, and what of it is not in the database yet. A savepoint keeps it. */
type Draft = {
  readonly state: State;
  readonly unsavedSite: "nothing" | "head" | "record";
  /** Numbers of the records of buckets that changed. */
  readonly unsavedParts: ReadonlySet<number>;
  /** Whether somebody else holds the buckets' bytes, so that a change needs a copy. */
  readonly sharesBuckets: boolean;
  /** Whether a body was taken away for good (`Erasure`). */
  readonly leavesRemains: boolean;
  /** Keys of vaults and accesses that changed, by formatKey. */
  readonly changedKeys: ReadonlyMap<string, RowKey>;
  /** Whether marks of rows were set or cleared. */
  readonly changedMarks: boolean;
};

export type TransactionOptions = {
  readonly connection: Connection;
  readonly hash: Hash;
  /** What is known of the database as the transaction finds it. */
  readonly knowledge: Knowledge;
};

/** An open write transaction: the only one who changes what is known of the database, together with the database. */
export class Transaction implements View {
  readonly connection: Connection;
  readonly #hash: Hash;
  readonly #cache: RowCache;
  readonly #unsavedAcks: UnsavedAcks | null;
  #draft: Draft;

  constructor({ connection, hash, knowledge }: TransactionOptions) {
    this.connection = connection;
    this.#hash = hash;
    this.#cache = knowledge.cache;
    this.#unsavedAcks = knowledge.unsavedAcks;
    this.#draft = {
      state: knowledge.state,
      unsavedSite: "nothing",
      unsavedParts: new Set(),
      sharesBuckets: true,
      leavesRemains: false,
      changedKeys: new Map(),
      changedMarks: false,
    };
  }

  /** What is known in this transaction, its own changes included. */
  get state(): State {
    return this.#draft.state;
  }

  site(): Site {
    return this.state.site;
  }

  /** Also opens, or closes, the grant where the record names another than it did. */
  saveSite(site: Site): void {
    const before = this.site();
    if (before.grant?.id !== site.grant?.id) writeGrant(this.connection, before.grant, site.grant);
    const isHeadOnly = this.#draft.unsavedSite !== "record" && isSameButHead(before, site);
    this.#draft = { ...this.#draft, unsavedSite: isHeadOnly ? "head" : "record" };
    this.know({ site });
  }

  saveTimeline(timeline: readonly Promotion[]): void {
    writeTimeline(this.connection, timeline);
    this.know({ timeline });
  }

  peer(site: SiteName): StoredPeer | undefined {
    return this.state.peers.find((peer) => peer.site === site);
  }

  /** Adds a peer that was not there. */
  addPeer(site: SiteName): void {
    const peer = newPeer(site);
    storePeer(this.connection, peer);
    const peers = [...this.state.peers, peer].toSorted((a, b) => (a.site < b.site ? -1 : 1));
    this.know({ peers });
  }

  removePeer(site: SiteName): void {
    deletePeer(this.connection, site);
    this.know({ peers: this.state.peers.filter((peer) => peer.site !== site) });
  }

  /** Changes what is kept of a peer; nothing where there is no such peer. */
  changePeer(site: SiteName, change: Partial<Omit<StoredPeer, "site">>): void {
    const peers = this.state.peers.map((peer) => (peer.site === site ? { ...peer, ...change } : peer));
    this.know({ peers });
    const changed = this.peer(site);
    if (changed) storePeer(this.connection, changed);
  }

  savePruned(pruned: Position): void {
    writePruned(this.connection, pruned);
    this.know({ pruned });
  }

  saveRemains(remains: number): void {
    writeRemains(this.connection, remains);
    this.know({ remains });
  }

  /** Notes what this transaction has made of the state. Whoever calls it has changed the database accordingly. */
  know(part: Partial<State>): void {
    this.#draft = { ...this.#draft, state: { ...this.state, ...part } };
  }

  /** The digests of the buckets as this transaction has made them. Not to be changed: a copy is. */
  buckets(): Buckets {
    return this.state.buckets;
  }

  row(key: RowKey): StoredRow | undefined {
    const { changedMarks, changedKeys } = this.#draft;
    const isKnown = !changedMarks && !changedKeys.has(formatKey(key));
    return (isKnown ? this.#cache.known(key) : undefined) ?? readRow(this.connection, key);
  }

  /**
   * The only way to change a replicated row: what is stored and what the buckets say of it change together (I2).
   * @param previous what stands there now; undefined where nothing does
   * @param next what is to stand there, of the same key; undefined removes the row
   */
  replaceRow(previous: RowOutline | undefined, next: StoredRow | undefined): void {
    const key = next?.key ?? previous?.key;
    if (!key) return;
    if (previous && next && this.#takesForGood(next)) this.leaveRemains();
    const bucket = this.#changedBuckets(this.#hash, key, previous, next);
    if (!next) deleteRow(this.connection, key);
    else if (previous) updateRow(this.connection, next);
    else insertRow(this.connection, next, bucket);
    this.#noteKey(key, next);
  }

  /** Something is gone for good, and must not stay readable in the log. */
  leaveRemains(): void {
    this.#draft = { ...this.#draft, leavesRemains: true };
  }

  /** Corrects the stored buckets, as they are read, by what a count of the rows found them to be wrong. */
  correctBuckets(difference: Buckets): void {
    writeBuckets(this.connection, this.buckets(), this.#draft.unsavedParts);
    this.know({ buckets: readBuckets(this.connection).difference(difference) });
    this.#draft = { ...this.#draft, unsavedParts: new Set(everyPart), sharesBuckets: false };
  }

  /** Marks of rows have changed in the database: rows in memory would go on showing the old ones. */
  noteMarks(): void {
    this.#draft = { ...this.#draft, changedMarks: true };
  }

  /** Stores what is not in the database yet; to be called once, before COMMIT. */
  flush(): void {
    if (this.#unsavedAcks) storeAcks(this, this.#unsavedAcks);
    const { unsavedSite, unsavedParts, leavesRemains } = this.#draft;
    if (unsavedSite === "head") writeHead(this.connection, this.site().head);
    if (unsavedSite === "record") writeSite(this.connection, this.site());
    if (unsavedParts.size > 0) writeBuckets(this.connection, this.buckets(), unsavedParts);
    if (leavesRemains) this.saveRemains(this.state.remains + 1);
  }

  /** To be called after COMMIT: rows in memory are not what the database holds now. Returns the state that it is known by. */
  committed(): State {
    const { changedKeys, changedMarks, state } = this.#draft;
    for (const key of changedKeys.values()) this.#cache.changed(key);
    if (changedMarks) this.#cache.forgetMarks();
    return state;
  }

  /** Whether a change is to be marked dirty: somebody is there to push it to. */
  hasPeers(): boolean {
    return this.state.peers.length > 0;
  }

  savepoint(): Draft {
    this.connection.run("SAVEPOINT member");
    this.#draft = { ...this.#draft, sharesBuckets: true };
    return this.#draft;
  }

  release(): void {
    this.connection.run("RELEASE member");
  }

  rollback(draft: Draft): void {
    this.connection.run("ROLLBACK TO member");
    this.connection.run("RELEASE member");
    this.#draft = draft;
  }

  #changedBuckets(
    hash: Hash,
    key: RowKey,
    previous: RowOutline | undefined,
    next: StoredRow | undefined,
  ): number {
    const { sharesBuckets, unsavedParts } = this.#draft;
    const buckets = sharesBuckets ? this.buckets().copy() : this.buckets();
    const bucket = buckets.replace(hash, key, previous, next);
    this.know({ buckets });
    const part = partOf(bucket);
    const parts = unsavedParts.has(part) ? unsavedParts : new Set([...unsavedParts, part]);
    this.#draft = { ...this.#draft, sharesBuckets: false, unsavedParts: parts };
    return bucket;
  }

  #noteKey(key: RowKey, row: StoredRow | undefined): void {
    if (key.kind !== "vault" && key.kind !== "access") return;
    const changedKeys = new Map([...this.#draft.changedKeys, [formatKey(key), key]]);
    this.#draft = { ...this.#draft, changedKeys };
    if (key.kind === "access" && !row?.body) forgetUse(this.connection, key);
  }

  /**
   * Whether a row takes the body that stood in its place away for good: a tombstone, and any change of a vault's row, which may
   * end a rotation. A version that is only more than are kept goes without haste, as what an edit replaces does.
   */
  #takesForGood({ key, body }: StoredRow): boolean {
    if (body !== null) return key.kind === "vault";
    if (key.kind !== "version") return true;
    const { vaultId, versionId } = key;
    const entry: RowKey = { kind: "entry", vaultId, entryId: parseVersionId(versionId).entryId };
    return !hasLiveRow(this.connection, entry);
  }
}

function isSameButHead(before: Site, after: Site): boolean {
  const { head: _, ...rest } = before;
  return Object.entries(rest).every(([name, value]) => after[name as keyof Site] === value);
}

/** What is known of a peer where nothing is: of another reign, or of another state of this site. */
export const unknownPeer = {
  acked: null,
  verified: null,
  diverged: false,
  repairs: 0,
  isNew: false,
} as const satisfies Partial<Peer & { readonly isNew: boolean }>;

/**
 * Records an epoch that was met, and fences a primary that it supersedes. One that has promised to hand over takes no writes
 * already, and waits for the push that shows its grant to be used. Returns whether that fence is new.
 * @throws Refusal `invalid_request` for an epoch too far above all that were seen
 */
export function recordEpoch(tx: Transaction, epoch: Epoch): boolean {
  const site = tx.site();
  if (isLeap(epoch, site.epochSeen)) {
    throw new Refusal("invalid_request", `no site can be at epoch ${epoch.number} yet`);
  }
  const epochSeen = compareEpochs(epoch, site.epochSeen) > 0 ? epoch : site.epochSeen;
  const superseded =
    site.role === "primary" && site.grant === null && compareEpochs(epochSeen, site.epoch) > 0;
  const fencedNow = superseded && site.fenced !== "primary_superseded";
  if (fencedNow || epochSeen !== site.epochSeen) {
    tx.saveSite({ ...site, epochSeen, fenced: superseded ? "primary_superseded" : site.fenced });
  }
  return fencedNow;
}
