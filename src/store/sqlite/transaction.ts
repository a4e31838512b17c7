import type { Buckets } from "../../core/digest.ts";
import { compareEpochs, type Epoch, isLeap } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { parseVersionId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import type { StoredRow } from "../../core/row.ts";
import type { Site } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { addRemains } from "./remains.ts";
import { deleteRow, type RowOutline, storeRow } from "./replicated-tables.ts";
import { readSite, writeGrant, writeSite } from "./site-record.ts";
import { readBuckets, writeBuckets } from "./stored-buckets.ts";

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

/** What the members of one group commit hand to each other; a savepoint that fails puts it back. */
type Carried = {
  readonly site: Site | undefined;
  readonly hasPeers: boolean | undefined;
  readonly buckets: CarriedBuckets | undefined;
  /** Whether a body was taken away for good (`ErasureStore`). */
  readonly leavesRemains: boolean;
};

/** `isShared`: a savepoint may come back to these very bytes, so whoever changes them copies them first. */
type CarriedBuckets = { readonly buckets: Buckets; readonly isShared: boolean; readonly isChanged: boolean };

const nothing: Carried = { site: undefined, hasPeers: undefined, buckets: undefined, leavesRemains: false };

/** An open write transaction. What it carries is read in it and dies with it. */
export class Transaction {
  readonly connection: Connection;
  readonly #hash: Hash;
  #carried: Carried = nothing;

  constructor(connection: Connection, hash: Hash) {
    this.connection = connection;
    this.#hash = hash;
  }

  site(): Site {
    const site = this.#carried.site ?? readSite(this.connection);
    this.#carried = { ...this.#carried, site };
    return site;
  }

  /** Also opens, or closes, the grant where the record names another than it did. */
  saveSite(site: Site): void {
    const { grant } = this.site();
    writeSite(this.connection, site);
    if (grant?.id !== site.grant?.id) writeGrant(this.connection, grant, site.grant);
    this.#carried = { ...this.#carried, site };
  }

  /** The digests of the buckets as this transaction has made them. Not to be changed: a copy is. */
  buckets(): Buckets {
    return this.#loadBuckets().buckets;
  }

  /**
   * The only way to change a replicated row: what is stored and what the buckets say of it change together (I2).
   * @param previous what stands there now; undefined where nothing does
   * @param next what is to stand there, of the same key; undefined removes the row
   */
  replaceRow(previous: RowOutline | undefined, next: StoredRow | undefined): void {
    const key = next?.key ?? previous?.key;
    if (!key) return;
    if (previous && next && takesForGood(this.connection, next)) this.leaveRemains();
    const bucket = this.#ownBuckets().replace(this.#hash, key, previous, next);
    if (next) storeRow(this.connection, next, bucket);
    else deleteRow(this.connection, key);
  }

  /** Something is gone for good, and must not stay readable in the log. */
  leaveRemains(): void {
    this.#carried = { ...this.#carried, leavesRemains: true };
  }

  /** Corrects the buckets by what a count of the rows found them to be wrong. */
  correctBuckets(difference: Buckets): void {
    const corrected = this.buckets().difference(difference);
    this.#carried = {
      ...this.#carried,
      buckets: { buckets: corrected, isShared: false, isChanged: true },
    };
  }

  /** Stores what is carried; to be called once, before COMMIT. */
  flush(): void {
    const { buckets, leavesRemains } = this.#carried;
    if (buckets?.isChanged) writeBuckets(this.connection, buckets.buckets);
    if (leavesRemains) addRemains(this.connection);
  }

  #loadBuckets(): CarriedBuckets {
    const buckets = this.#carried.buckets ?? {
      buckets: readBuckets(this.connection),
      isShared: false,
      isChanged: false,
    };
    this.#carried = { ...this.#carried, buckets };
    return buckets;
  }

  /** The buckets as bytes that nobody else holds, to be changed. */
  #ownBuckets(): Buckets {
    const { buckets, isShared, isChanged } = this.#loadBuckets();
    if (isChanged && !isShared) return buckets;
    const own = isShared ? buckets.copy() : buckets;
    this.#carried = { ...this.#carried, buckets: { buckets: own, isShared: false, isChanged: true } };
    return own;
  }

  /** Whether a change is to be marked dirty: somebody is there to push it to. */
  hasPeers(): boolean {
    const known = this.#carried.hasPeers;
    if (known !== undefined) return known;
    const hasPeers = this.connection.get("SELECT 1 FROM peers LIMIT 1") !== undefined;
    this.#carried = { ...this.#carried, hasPeers };
    return hasPeers;
  }

  /** To be called by whoever changes the peers. */
  forgetPeers(): void {
    this.#carried = { ...this.#carried, hasPeers: undefined };
  }

  savepoint(): Carried {
    this.connection.run("SAVEPOINT member");
    const { buckets } = this.#carried;
    if (buckets) this.#carried = { ...this.#carried, buckets: { ...buckets, isShared: true } };
    return this.#carried;
  }

  release(): void {
    this.connection.run("RELEASE member");
  }

  rollback(carried: Carried): void {
    this.connection.run("ROLLBACK TO member");
    this.connection.run("RELEASE member");
    this.#carried = carried;
  }
}

/**
 * Whether a row takes the body that stood in its place away for good: a tombstone, and any change of a vault's row, which may end a
 * rotation. A version that is only more than are kept goes without haste, as what an edit replaces does.
 */
function takesForGood(connection: Connection, { key, body }: StoredRow): boolean {
  if (body !== null) return key.kind === "vault";
  if (key.kind !== "version") return true;
  const { entryId } = parseVersionId(key.versionId);
  const sql = "SELECT 1 FROM entries WHERE vault_id = ? AND entry_id = ? AND deleted = 0";
  return connection.get(sql, key.vaultId, entryId) === undefined;
}

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
