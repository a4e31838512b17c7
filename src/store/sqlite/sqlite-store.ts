import type { Alert, AlertDetails, AlertEvent } from "../../core/alert-events.ts";
import type { AsideRow, AsideVerdict } from "../../core/aside.ts";
import type { AuditEvent, AuditPart, AuditRecord } from "../../core/audit.ts";
import type { AuditChain, AuditPage, AuditQuery, AuditStore, AuditTrouble } from "../../core/audit-store.ts";
import type { Epoch, Promotion } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import {
  type AccessId,
  type ChainId,
  type EntryId,
  newUuidV4,
  type SiteName,
  type StrandedId,
  type VaultId,
  type VersionId,
} from "../../core/ids.ts";
import type { Clock, Hash, Random } from "../../core/ports.ts";
import type { Point, Position } from "../../core/position.ts";
import type { Push, PushRefusal, Receiver, Rejection } from "../../core/push.ts";
import type { RowSummary } from "../../core/repair.ts";
import type { Row, RowKey, StoredRow } from "../../core/row.ts";
import type {
  Acknowledgement,
  ApplyOutcome,
  Backlog,
  BatchLimit,
  BlockedAccess,
  Grant,
  GrantAnswer,
  GrantOrigin,
  Listing,
  OperatorToken,
  Peer,
  Recount,
  RefusedRow,
  RepairGuard,
  RepairOutcome,
  Site,
  Store,
  Winner,
  Write,
} from "../../core/store.ts";
import {
  blockAccess,
  isBlocked,
  readAccess,
  readAccesses,
  readAccessesById,
  readBlocked,
  unblockAccess,
} from "./access-rows.ts";
import { addAlert, markDelivered, readAlerts, readOpenIncidents, readUndelivered } from "./alerts.ts";
import { readAside, settleAside } from "./aside-rows.ts";
import { readAllShown, readChains, readRecordsOf, readTroubles, settleAllChains } from "./audit-chains.ts";
import { readAuditPage } from "./audit-records.ts";
import { AuditRows, type AuditSettings } from "./audit-rows.ts";
import { readBacklog } from "./backlog.ts";
import { applyPush } from "./backup.ts";
import { type Connection, type Connections, openImage } from "./connection.ts";
import { Erasure } from "./erasure.ts";
import { refusalOf } from "./failures.ts";
import { declineGrant, endGrant, grantTo } from "./grants.ts";
import { knowsPoint, readPointsBelow } from "./history.ts";
import type { LargeCommit } from "./large-commit.ts";
import { LastUses, readUses, storeUses } from "./last-uses.ts";
import { readListing } from "./listing.ts";
import { markAbove } from "./marks.ts";
import { countRepair, demandRepair, readPeers } from "./peers.ts";
import { acknowledge, configurePeers, resumeFrom } from "./primary.ts";
import { readQuarantined } from "./quarantine.ts";
import { applyRepair, healRows, judge, readBucketPage, readRows } from "./repair-rows.ts";
import { readRow } from "./replicated-tables.ts";
import { Recounts } from "./recount.ts";
import { readRemains } from "./remains.ts";
import { rejoinBeside } from "./rejoin-beside.ts";
import { rejoin } from "./rejoin.ts";
import { readRejections } from "./rejections.ts";
import { promote, promoteBy } from "./roles.ts";
import {
  deleteOperator,
  insertOperator,
  readOperator,
  readOperators,
  readSite,
  readTimeline,
} from "./site-record.ts";
import { readStranded, readStrandedById } from "./stranded-rows.ts";
import { readBuckets } from "./stored-buckets.ts";
import { takeAside } from "./take-aside.ts";
import { inOneStep, recordEpoch, type Transaction } from "./transaction.ts";
import { commitWrite, readEntries, readOrphans, readVaults } from "./vault-rows.ts";
import { readNewestVersion, readVaultRows, readVersions } from "./version-rows.ts";
import { WriteQueue } from "./write-queue.ts";

export type StorePorts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly hash: Hash;
  readonly audit?: AuditSettings;
};

export type SqliteStoreOptions = StorePorts & {
  readonly connections: Connections;
  /** Of the file, which a thread can then read beside this store; left away in memory. */
  readonly path?: string;
  /** Given for a file, whose readers have a connection of their own. */
  readonly largeCommit?: LargeCommit;
  /** Throws a `disk_full` Refusal where the disk has too little room for clients. */
  readonly checkRoom: () => void;
};

/**
 * The store on SQLite. It remembers nothing of the data from one transaction to the next: a database that is put back to an
 * older copy under a running site must be met as it is, or the site would go on writing into a history it no longer has.
 */
export class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  readonly #queue: WriteQueue;
  readonly #recounts: Recounts;
  readonly #erasure: Erasure;
  readonly #lastUses = new LastUses();
  readonly #audit: AuditRows;
  readonly #abandoned = new AbortController();
  #connections: Connections;
  #closing: Promise<void> | undefined;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.#connections = options.connections;
    this.#queue = new WriteQueue({
      clock: options.clock,
      hash: options.hash,
      connection: () => this.#connections.writer,
      largeCommit: options.largeCommit ?? null,
      onCommit: (isDurable) => this.#audit.committed(isDurable),
    });
    this.#audit = new AuditRows({ ...options, ...options.audit });
    this.#recounts = new Recounts({
      path: options.path ?? null,
      hash: options.hash,
      reader: () => this.#connections.reader,
      write: (work) => this.#queue.enqueue(inOneStep(work)),
    });
    this.#erasure = new Erasure({
      path: options.path ?? null,
      clock: options.clock,
      queue: this.#queue,
      connection: () => this.#connections.writer,
      largeCommit: options.largeCommit ?? null,
    });
  }

  site(): Promise<Site> {
    return this.#read(readSite);
  }

  timeline(): Promise<readonly Promotion[]> {
    return this.#read(readTimeline);
  }

  digest(): Promise<{ readonly head: Point; readonly digest: Uint8Array }> {
    const { hash } = this.#options;
    return this.#read((connection) => ({
      head: readSite(connection).head,
      digest: readBuckets(connection).digest(hash),
    }));
  }

  firstKnown(points: readonly Point[]): Promise<Point | undefined> {
    return this.#read((connection) => points.find((point) => knowsPoint(connection, point)));
  }

  pointsBelow(position: Position, limit: number): Promise<readonly Point[]> {
    return this.#read((connection) => readPointsBelow(connection, position, limit));
  }

  recordEpoch(epoch: Epoch): Promise<{ readonly fencedNow: boolean }> {
    return this.#write((tx) => ({ fencedNow: recordEpoch(tx, epoch) }));
  }

  operator(tokenId: string): Promise<OperatorToken | undefined> {
    return this.#read((connection) => readOperator(connection, tokenId));
  }

  addOperator(token: OperatorToken): Promise<void> {
    return this.#write((tx) => insertOperator(tx.connection, token));
  }

  operators(): Promise<readonly OperatorToken[]> {
    return this.#read(readOperators);
  }

  removeOperator(tokenId: string): Promise<boolean> {
    return this.#write((tx) => deleteOperator(tx.connection, tokenId));
  }

  async write(write: Write): Promise<readonly StoredRow[]> {
    const { clock, hash, checkRoom } = this.#options;
    const uses = this.#lastUses.due();
    const audit = this.#audit;
    const rows = await this.#open(() =>
      this.#queue.enqueue(function* (tx) {
        const changed = yield* commitWrite(tx, write, { hash, now: clock.now(), checkRoom });
        audit.recordWrite(tx, write.audit, changed);
        if (changed.length > 0) storeUses(tx.connection, uses);
        return changed;
      }),
    );
    if (rows.length > 0) this.#lastUses.written(uses);
    return rows;
  }

  row(key: RowKey): Promise<StoredRow | undefined> {
    return this.#read((connection) => readRow(connection, key));
  }

  access(accessId: AccessId): Promise<StoredRow | undefined> {
    return this.#read((connection) => readAccess(connection, accessId));
  }

  vaults(): Promise<readonly { readonly row: StoredRow; readonly entries: number }[]> {
    return this.#read(readVaults);
  }

  entries(vaultId: VaultId, before: EntryId | undefined, limit: number): Promise<readonly StoredRow[]> {
    return this.#read((connection) => readEntries(connection, vaultId, before, limit));
  }

  versions(
    vaultId: VaultId,
    entryId: EntryId,
    before: number | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return this.#read((connection) => readVersions(connection, { vaultId, entryId }, before, limit));
  }

  newestVersion(vaultId: VaultId, entryId: EntryId): Promise<number> {
    return this.#read((connection) => readNewestVersion(connection, vaultId, entryId));
  }

  vaultRows(
    vaultId: VaultId,
    kind: "entry" | "version",
    after: EntryId | VersionId | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return this.#read((connection) => readVaultRows(connection, { vaultId, kind }, after, limit));
  }

  accesses(vaultId: VaultId, after: AccessId | undefined, limit: number): Promise<readonly StoredRow[]> {
    return this.#read((connection) => readAccesses(connection, vaultId, after, limit));
  }

  accessesById(accessId: AccessId): Promise<readonly StoredRow[]> {
    return this.#read((connection) => readAccessesById(connection, accessId));
  }

  blockAccess(accessId: AccessId): Promise<void> {
    return this.#write((tx) => blockAccess(tx.connection, accessId, this.#options.clock.now()));
  }

  unblockAccess(accessId: AccessId): Promise<void> {
    return this.#write((tx) => unblockAccess(tx.connection, accessId));
  }

  isBlocked(accessId: AccessId): Promise<boolean> {
    return this.#read((connection) => isBlocked(connection, accessId));
  }

  blockedAccesses(): Promise<readonly BlockedAccess[]> {
    return this.#read(readBlocked);
  }

  noteUse(vaultId: VaultId, accessId: AccessId, at: number): void {
    this.#lastUses.note({ vaultId, accessId, at });
  }

  lastUses(vaultId: VaultId): Promise<ReadonlyMap<AccessId, number>> {
    return this.#read((connection) => this.#lastUses.merge(vaultId, readUses(connection, vaultId)));
  }

  hasRemains(): Promise<boolean> {
    return this.#read((connection) => readRemains(connection) > 0);
  }

  eraseRemains(): Promise<void> {
    return this.#open(() => this.#erasure.erase());
  }

  orphans(limit: number): Promise<readonly RowKey[]> {
    return this.#read((connection) => readOrphans(connection, limit));
  }

  configurePeers(sites: readonly SiteName[]): Promise<void> {
    return this.#open(() =>
      this.#queue.enqueue((tx) => configurePeers(tx, sites, this.#options.clock.now())),
    );
  }

  peers(): Promise<readonly Peer[]> {
    return this.#read(readPeers);
  }

  backlogOfAll(): Promise<Backlog> {
    return this.#read((connection) => readBacklog(connection, null));
  }

  backlog(peer: SiteName): Promise<Backlog> {
    return this.#read((connection) => readBacklog(connection, peer));
  }

  markDirtyAbove(limit: number): Promise<number> {
    return this.#write((tx) => markAbove(tx, limit, this.#options.clock.now()));
  }

  listAbove(after: Position, limit: BatchLimit, peer?: SiteName): Promise<Listing> {
    const { hash } = this.#options;
    return this.#read((connection) => readListing(connection, hash, { after, limit, peer }));
  }

  listQuarantined(peer: SiteName, after: Position, limit: number): Promise<readonly StoredRow[]> {
    return this.#read((connection) => readQuarantined(connection, peer, after, limit));
  }

  acknowledge(peer: SiteName, ack: Acknowledgement): Promise<"known" | "unknown"> {
    const { clock } = this.#options;
    const audit = this.#audit;
    return this.#open(() =>
      this.#queue.enqueue(function* (tx) {
        const known = yield* acknowledge(tx, peer, ack, clock.now());
        if (known === "known") audit.acknowledged(tx, peer, ack);
        return known;
      }, "at_next_commit"),
    );
  }

  /** Every acknowledgement is a transaction of its own here. */
  async settleAcknowledgements(): Promise<void> {}

  resumeFrom(
    peer: SiteName,
    applied: Point,
    rejected: readonly RefusedRow[],
  ): Promise<"known" | "unknown" | "foreign"> {
    const { clock } = this.#options;
    return this.#open(() =>
      this.#queue.enqueue((tx) => resumeFrom(tx, peer, { applied, rejected }, clock.now())),
    );
  }

  beginRepair(peer: SiteName): Promise<void> {
    return this.#write((tx) => countRepair(tx.connection, peer));
  }

  demandRepair(peer: SiteName): Promise<void> {
    return this.#write((tx) => demandRepair(tx.connection, peer));
  }

  applyPush(push: Push): Promise<ApplyOutcome> {
    const { clock, hash } = this.#options;
    const audit = this.#audit;
    return this.#open(() =>
      this.#queue.enqueue(function* (tx) {
        return audit.answer(tx, push, yield* applyPush(tx, push, hash, clock.now()));
      }),
    );
  }

  recount(progress: (done: number, total: number) => void = () => {}): Promise<Recount> {
    return this.#open(() => this.#recounts.recount(progress));
  }

  async bucketRows(bucket: number, after: RowKey | null, limit: number): Promise<readonly RowSummary[]> {
    const { clock, hash } = this.#options;
    const rows: RowSummary[] = [];
    for (;;) {
      const query = { bucket, after: rows.at(-1)?.key ?? after, limit: limit - rows.length };
      const page = await this.#read((connection) => readBucketPage(connection, hash, query));
      rows.push(...page.rows);
      if (page.isLast || rows.length === limit) return rows;
      await clock.turn();
    }
  }

  rowsOf(keys: readonly RowKey[]): Promise<readonly Row[]> {
    return this.#read((connection) => readRows(connection, keys));
  }

  applyRepair(guard: RepairGuard, rows: readonly Row[], remove: readonly RowKey[]): Promise<RepairOutcome> {
    const { clock, hash } = this.#options;
    return this.#open(() =>
      this.#queue.enqueue((tx) => applyRepair(tx, { guard, rows, remove }, { hash, now: clock.now() })),
    );
  }

  judgeRepair(
    guard: RepairGuard,
  ): Promise<{ readonly code: PushRefusal | undefined; readonly receiver: Receiver }> {
    return this.#write((tx) => judge(tx, guard));
  }

  healRows(rows: readonly Row[]): Promise<number> {
    return this.#open(() => this.#queue.enqueue((tx) => healRows(tx, rows, this.#options.hash)));
  }

  grant(to: SiteName, at?: Point): Promise<Grant> {
    return this.#write((tx) => grantTo(tx, to, at, newUuidV4(this.#options.random)));
  }

  endGrant(grantId: string, answer: GrantAnswer): Promise<void> {
    return this.#write((tx) => endGrant(tx, grantId, answer));
  }

  promoteBy(grant: Grant, isProofNeeded: boolean): Promise<Promotion> {
    return this.#open(() => this.#queue.enqueue((tx) => promoteBy(tx, grant, isProofNeeded, this.#options)));
  }

  promote(): Promise<Promotion> {
    return this.#open(() => this.#queue.enqueue((tx) => promote(tx, this.#options)));
  }

  decline(grantId: string, of: GrantOrigin): Promise<GrantAnswer> {
    return this.#write((tx) => declineGrant(tx, grantId, of));
  }

  rejoin(winner: Winner): Promise<{ readonly putAside: number }> {
    const { clock, hash, path } = this.#options;
    return this.#open(() => {
      if (path === undefined)
        return this.#queue.enqueue((tx) => rejoin(tx, winner, { hash, now: clock.now() }));
      return this.#queue.hold(() => rejoinBeside({ path, winner, now: clock.now() }, this.#abandoned.signal));
    });
  }

  aside(limit: number): Promise<{ readonly rows: readonly AsideRow[]; readonly waiting: number }> {
    return this.#read((connection) => readAside(connection, limit));
  }

  settleAside(struck: readonly StrandedId[], taken: readonly StrandedId[]): Promise<void> {
    return this.#write((tx) => settleAside(tx, struck, taken));
  }

  takeAside(rows: readonly AsideRow[]): Promise<readonly AsideVerdict[]> {
    const { clock, hash, checkRoom } = this.#options;
    return this.#open(() =>
      this.#queue.enqueue((tx) => takeAside(tx, rows, { hash, now: clock.now(), checkRoom })),
    );
  }

  stranded(
    after: StrandedId | null,
    limit: number,
  ): Promise<{ readonly rows: readonly StoredRow[]; readonly total: number }> {
    return this.#read((connection) => readStranded(connection, after, limit));
  }

  strandedById(id: StrandedId): Promise<StoredRow | undefined> {
    return this.#read((connection) => readStrandedById(connection, id));
  }

  recordAudit(event: AuditEvent): Promise<void> {
    return this.#open(() =>
      this.#audit.record(event, (work) => this.#queue.enqueue(inOneStep(work), "at_next_commit")),
    );
  }

  auditFor(peer: SiteName): Promise<AuditPart> {
    return this.#read((connection) => this.#audit.partFor(connection, peer));
  }

  auditTroubles(): Promise<readonly AuditTrouble[]> {
    return this.#read(readTroubles);
  }

  settleAudit(): Promise<void> {
    return this.#write((tx) => settleAllChains(tx.connection));
  }

  auditChains(): Promise<readonly AuditChain[]> {
    return this.#read(readChains);
  }

  auditRecords(chain: ChainId, after: number, limit: number): Promise<readonly AuditRecord[]> {
    return this.#read((connection) => readRecordsOf(connection, chain, after, limit));
  }

  auditPage(query: AuditQuery): Promise<AuditPage> {
    return this.#read((connection) => readAuditPage(connection, query));
  }

  auditShown(): ReturnType<AuditStore["auditShown"]> {
    return this.#read(readAllShown);
  }

  rejections(): Promise<readonly Rejection[]> {
    return this.#read((connection) => readRejections(connection));
  }

  addAlert(
    event: AlertEvent,
    subject: string,
    message: string,
    details: AlertDetails,
  ): Promise<Alert | undefined> {
    const { clock, random } = this.#options;
    return this.#write((tx) =>
      addAlert(tx.connection, { event, subject, message, details, at: clock.now() }, random),
    );
  }

  alerts(limit: number): Promise<readonly Alert[]> {
    return this.#read((connection) => readAlerts(connection, limit));
  }

  openIncidents(): Promise<readonly Alert[]> {
    return this.#read(readOpenIncidents);
  }

  undelivered(channel: string, since: number): Promise<readonly Alert[]> {
    return this.#read((connection) => readUndelivered(connection, channel, since));
  }

  markDelivered(channel: string, alertId: number): Promise<void> {
    return this.#write((tx) => markDelivered(tx.connection, channel, alertId));
  }

  close(): Promise<void> {
    this.#closing ??= this.#recounts
      .stop()
      .then(() => this.#erasure.stop())
      .then(() => this.#queue.idle())
      .then(() => this.#closeConnections());
    return this.#closing;
  }

  /** A memory store's database as the bytes of a file, as they stand after the last commit. */
  serialize(): Buffer {
    return this.#connections.writer.database.serialize();
  }

  /**
   * Puts another copy of the database under this running store, as an administrator who restores a disk does. Only for
   * memory stores, whose transactions are never open between two turns of the event loop.
   */
  replaceDatabase(image: Buffer): void {
    if (this.#connections.reader !== this.#connections.writer)
      throw new Error("only a memory store can be replaced");
    this.#connections.writer.close();
    this.#connections = openImage(image);
  }

  /** Ends at once, as a crash does: what is queued and not committed is lost. The database stays as `serialize` saw it. */
  abandon(): void {
    this.#closing ??= this.#recounts.stop();
    void this.#erasure.stop();
    this.#abandoned.abort(new Refusal("shutting_down"));
    this.#queue.abandon();
    this.#closeConnections();
  }

  /** The statements prepared so far, for the test that reads their plans. */
  statements(): readonly string[] {
    const { reader, writer } = this.#connections;
    return [...new Set([...reader.statements(), ...writer.statements()])];
  }

  #closeConnections(): void {
    const { reader, writer } = this.#connections;
    reader.close();
    if (writer !== reader) writer.close();
  }

  async #open<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new Refusal("shutting_down");
    return work();
  }

  #write<T>(work: (tx: Transaction) => T): Promise<T> {
    return this.#open(() => this.#queue.enqueue(inOneStep(work)));
  }

  /** All statements of a read run in one turn, and commits are turns of their own: a read sees one state of the data. */
  async #read<T>(read: (connection: Connection) => T): Promise<T> {
    if (this.#closing) throw new Refusal("shutting_down");
    try {
      return read(this.#connections.reader);
    } catch (error) {
      throw refusalOf(error);
    }
  }
}
