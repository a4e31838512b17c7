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
import { type Push, type PushRefusal, type Receiver, type Rejection, samePoint } from "../../core/push.ts";
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
  Marked,
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
import { blockAccess, readAccess, readAccesses, readAccessesById, unblockAccess } from "./access-rows.ts";
import { addAlert, markDelivered, readAlerts, readUndelivered } from "./alerts.ts";
import { readAside, settleAside } from "./aside-rows.ts";
import { ownChain, readRecordsOf, settleChains, troublesOf } from "./audit-chains.ts";
import { readAuditPage } from "./audit-records.ts";
import { AuditRows, type AuditSettings } from "./audit-rows.ts";
import { readBacklog } from "./backlog.ts";
import { applyPush } from "./backup.ts";
import type { Connections } from "./connection.ts";
import { Erasure } from "./erasure.ts";
import { refusalOf } from "./failures.ts";
import { Flushes, type Log } from "./flushes.ts";
import { declineGrant, endGrant, grantTo } from "./grants.ts";
import { knowsPoint, readPointsBelow } from "./history.ts";
import { Knowledge } from "./knowledge.ts";
import { LastUses, readUses, storeUses } from "./last-uses.ts";
import { readListing } from "./listing.ts";
import type { LogFile } from "./log-file.ts";
import { markAbove } from "./marks.ts";
import { acknowledge, configurePeers, resumeFrom } from "./primary.ts";
import { readQuarantined } from "./quarantine.ts";
import { applyRepair, healRows, judge, readBucketPage, readRows } from "./repair-rows.ts";
import { Recounts } from "./recount.ts";
import { rejoinBeside, type RejoinRequest } from "./rejoin-beside.ts";
import { rejoin } from "./rejoin.ts";
import { readRejections } from "./rejections.ts";
import { asAcknowledged, takePlainAck } from "./plain-ack.ts";
import { promote, promoteBy } from "./roles.ts";
import { readRow } from "./row-table.ts";
import { deleteOperator, insertOperator, readOperator, readOperators } from "./site-record.ts";
import type { State, View } from "./state.ts";
import { readStranded, readStrandedById } from "./stranded-rows.ts";
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
  /** The database file and its log, which threads can use beside this store; left away in memory. */
  readonly file?: {
    readonly path: string;
    readonly log: LogFile;
    /** Throws where another file has taken the database's place. */
    readonly refuseReplaced: () => void;
  };
  /** In memory, what makes commits durable; every commit is at once where left away. */
  readonly log?: Log;
  /** Called once, where the database can be trusted no more while it is open: its file was replaced, or a flush has failed. */
  readonly onLost?: (why: Refusal) => void;
  /** Throws a `disk_full` Refusal where the disk has too little room for clients. */
  readonly checkRoom: () => void;
};

/**
 * The store on SQLite. One process owns the database, so what it knows of it is kept in memory (Knowledge). Nothing is shown to
 * anybody before it is on the disk: a read that may have seen a commit which is not resolves when that is flushed.
 */
export class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  readonly #queue: WriteQueue;
  readonly #flushes: Flushes;
  readonly #knowledge: Knowledge;
  readonly #recounts: Recounts;
  readonly #erasure: Erasure;
  readonly #lastUses = new LastUses();
  readonly #audit: AuditRows;
  readonly #abandoned = new AbortController();
  #closing: Promise<void> | undefined;
  #lost: Refusal | undefined;

  constructor(options: SqliteStoreOptions) {
    const { connections, file, hash, clock } = options;
    this.#options = options;
    this.#knowledge = new Knowledge(connections.writer);
    this.#audit = new AuditRows({ ...options, ...options.audit });
    this.#flushes = new Flushes({
      clock,
      log: file?.log ?? options.log ?? null,
      onBegin: () => this.#audit.flushing(ownChain(this.#knowledge.state)),
      onFailure: (why) => this.#lose(why),
    });
    this.#queue = new WriteQueue({
      clock,
      hash,
      connection: connections.writer,
      yields: file !== undefined,
      knowledge: this.#knowledge,
      flushes: this.#flushes,
      onBegin: () => this.#refuseLost(),
      onCommit: (before) => this.#committed(before),
    });
    const path = file?.path ?? null;
    this.#recounts = new Recounts({
      path,
      hash,
      reader: connections.reader,
      write: (work) => this.#queue.enqueue(inOneStep(work)),
    });
    this.#erasure = new Erasure({
      path,
      clock,
      queue: this.#queue,
      connection: connections.writer,
      knowledge: this.#knowledge,
      log: file?.log ?? null,
    });
  }

  /** @throws Refusal `data_replaced`, `storage_failed` where the database is not what this store knows of it */
  #refuseLost(): void {
    if (this.#lost) throw this.#lost;
    try {
      this.#options.file?.refuseReplaced();
    } catch (error) {
      if (error instanceof Refusal) this.#lose(error);
      throw error;
    }
  }

  #lose(why: Refusal): void {
    if (this.#lost) return;
    this.#lost = why;
    this.#options.onLost?.(why);
  }

  #committed(before: State): void {
    const { file, log, connections } = this.#options;
    const own = ownChain(this.#knowledge.state);
    this.#audit.appended(ownChain(before), own);
    if (!file && !log) this.#audit.flushing(own)();
    file?.log.committed(connections.writer, (work) => this.#queue.hold(work));
  }

  site(): Promise<Site> {
    return this.#read(({ state }) => state.site);
  }

  timeline(): Promise<readonly Promotion[]> {
    return this.#read(({ state }) => state.timeline);
  }

  digest(): Promise<{ readonly head: Point; readonly digest: Uint8Array }> {
    const { hash } = this.#options;
    return this.#read(({ state }) => ({ head: state.site.head, digest: state.buckets.digest(hash) }));
  }

  firstKnown(points: readonly Point[]): Promise<Point | undefined> {
    return this.#read(({ connection }) => points.find((point) => knowsPoint(connection, point)));
  }

  pointsBelow(position: Position, limit: number): Promise<readonly Point[]> {
    return this.#read(({ connection }) => readPointsBelow(connection, position, limit));
  }

  recordEpoch(epoch: Epoch): Promise<{ readonly fencedNow: boolean }> {
    return this.#write((tx) => ({ fencedNow: recordEpoch(tx, epoch) }));
  }

  operator(tokenId: string): Promise<OperatorToken | undefined> {
    return this.#read(({ connection }) => readOperator(connection, tokenId));
  }

  addOperator(token: OperatorToken): Promise<void> {
    return this.#write((tx) => insertOperator(tx.connection, token));
  }

  operators(): Promise<readonly OperatorToken[]> {
    return this.#read(({ connection }) => readOperators(connection));
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
    return this.#read(({ connection }) =>
      this.#shownRow(this.#knowledge.cache.row(key, () => readRow(connection, key))),
    );
  }

  access(accessId: AccessId): Promise<StoredRow | undefined> {
    return this.#read(({ connection }) =>
      this.#shownRow(this.#knowledge.cache.access(accessId, () => readAccess(connection, accessId))),
    );
  }

  vaults(): Promise<readonly { readonly row: StoredRow; readonly entries: number }[]> {
    return this.#read(({ connection }) =>
      readVaults(connection).map(({ row, entries }) => ({ row: this.#shown(row), entries })),
    );
  }

  entries(vaultId: VaultId, before: EntryId | undefined, limit: number): Promise<readonly StoredRow[]> {
    return this.#readRows(({ connection }) => readEntries(connection, vaultId, before, limit));
  }

  versions(
    vaultId: VaultId,
    entryId: EntryId,
    before: number | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return this.#readRows(({ connection }) => readVersions(connection, { vaultId, entryId }, before, limit));
  }

  newestVersion(vaultId: VaultId, entryId: EntryId): Promise<number> {
    return this.#read(({ connection }) => readNewestVersion(connection, vaultId, entryId));
  }

  vaultRows(
    vaultId: VaultId,
    kind: "entry" | "version",
    after: EntryId | VersionId | undefined,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    return this.#readRows(({ connection }) => readVaultRows(connection, { vaultId, kind }, after, limit));
  }

  accesses(vaultId: VaultId, after: AccessId | undefined, limit: number): Promise<readonly StoredRow[]> {
    return this.#readRows(({ connection }) => readAccesses(connection, vaultId, after, limit));
  }

  accessesById(accessId: AccessId): Promise<readonly StoredRow[]> {
    return this.#readRows(({ connection }) => readAccessesById(connection, accessId));
  }

  blockAccess(accessId: AccessId): Promise<void> {
    return this.#write((tx) => blockAccess(tx, accessId, this.#options.clock.now()));
  }

  unblockAccess(accessId: AccessId): Promise<void> {
    return this.#write((tx) => unblockAccess(tx, accessId));
  }

  isBlocked(accessId: AccessId): Promise<boolean> {
    return this.#read(({ state }) => state.blocked.has(accessId));
  }

  blockedAccesses(): Promise<readonly BlockedAccess[]> {
    return this.#read(({ state }) =>
      [...state.blocked]
        .map(([accessId, at]) => ({ accessId, at }))
        .toSorted((a, b) => (a.accessId < b.accessId ? -1 : 1)),
    );
  }

  noteUse(vaultId: VaultId, accessId: AccessId, at: number): void {
    this.#lastUses.note({ vaultId, accessId, at });
  }

  lastUses(vaultId: VaultId): Promise<ReadonlyMap<AccessId, number>> {
    return this.#read(({ connection }) => this.#lastUses.merge(vaultId, readUses(connection, vaultId)));
  }

  hasRemains(): Promise<boolean> {
    return this.#read(({ state }) => state.remains > 0);
  }

  eraseRemains(): Promise<void> {
    return this.#open(() => this.#erasure.erase());
  }

  orphans(limit: number): Promise<readonly RowKey[]> {
    return this.#read(({ connection }) => readOrphans(connection, limit));
  }

  configurePeers(sites: readonly SiteName[]): Promise<void> {
    return this.#open(() =>
      this.#queue.enqueue((tx) => configurePeers(tx, sites, this.#options.clock.now())),
    );
  }

  peers(): Promise<readonly Peer[]> {
    return this.#read(({ state }) => state.peers.map(({ isNew: _, ...peer }) => peer));
  }

  backlogOfAll(): Promise<Backlog> {
    return this.#read((view) => readBacklog(view, null));
  }

  backlog(peer: SiteName): Promise<Backlog> {
    return this.#read((view) => readBacklog(view, peer));
  }

  markDirtyAbove(after: Position | null, limit: number): Promise<Marked> {
    return this.#write((tx) => markAbove(tx, after, limit, this.#options.clock.now()));
  }

  listAbove(after: Position, limit: BatchLimit, peer?: SiteName): Promise<Listing> {
    const { hash } = this.#options;
    return this.#read((view) => readListing(view, hash, { after, limit, peer }));
  }

  listQuarantined(peer: SiteName, after: Position, limit: number): Promise<readonly StoredRow[]> {
    return this.#readRows(({ connection }) => readQuarantined(connection, peer, after, limit));
  }

  async acknowledge(peer: SiteName, ack: Acknowledgement): Promise<"known" | "unknown"> {
    const now = this.#options.clock.now();
    const knowledge = this.#knowledge;
    const plain = await this.#read((view) => {
      const isHead = samePoint(view.state.site.head, ack.through);
      if (!isHead && !knowsPoint(view.connection, ack.through)) return "unknown";
      const taken = this.#queue.isOpen
        ? undefined
        : takePlainAck(view, { peer, ack, now }, knowledge.unsavedAcks);
      if (taken) knowledge.acknowledged(taken);
      return taken ? "known" : "not plain";
    });
    return plain === "not plain" ? this.#commitAck(peer, ack, now) : plain;
  }

  #commitAck(peer: SiteName, ack: Acknowledgement, now: number): Promise<"known" | "unknown"> {
    const audit = this.#audit;
    return this.#open(() =>
      this.#queue.enqueue(function* (tx) {
        const known = yield* acknowledge(tx, peer, ack, now);
        if (known === "known") audit.acknowledged(tx, peer, ack);
        return known;
      }, "committed"),
    );
  }

  settleAcknowledgements(): Promise<void> {
    return this.#open(() => this.#storeAcks());
  }

  async #storeAcks(): Promise<void> {
    if (this.#knowledge.unsavedAcks)
      await this.#queue.enqueue(
        inOneStep(() => undefined),
        "committed",
      );
  }

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
    return this.#write((tx) => tx.changePeer(peer, { repairs: (tx.peer(peer)?.repairs ?? 0) + 1 }));
  }

  demandRepair(peer: SiteName): Promise<void> {
    return this.#write((tx) => tx.changePeer(peer, { diverged: true, repairs: 0 }));
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
    let from = after;
    for (;;) {
      const query = { bucket, after: from, limit: limit - rows.length };
      const page = await this.#read(({ connection }) => readBucketPage(connection, hash, query));
      rows.push(...page.rows);
      if (page.next === null || rows.length === limit) return rows;
      from = page.next;
      await clock.turn();
    }
  }

  rowsOf(keys: readonly RowKey[]): Promise<readonly Row[]> {
    return this.#read(({ connection }) => readRows(connection, keys));
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
    const { clock, hash, file } = this.#options;
    return this.#open(async () => {
      if (file === undefined) {
        return this.#queue.enqueue((tx) => rejoin(tx, winner, { hash, now: clock.now() }));
      }
      const request = { path: file.path, winner, now: clock.now() };
      await this.#storeAcks();
      return this.#queue.hold(() => this.#rejoinBeside(request));
    });
  }

  async #rejoinBeside(request: RejoinRequest): Promise<{ readonly putAside: number }> {
    try {
      return await rejoinBeside(request, this.#abandoned.signal);
    } finally {
      // The thread has written, and this process does not know what.
      this.#knowledge.reload();
    }
  }

  aside(limit: number): Promise<{ readonly rows: readonly AsideRow[]; readonly waiting: number }> {
    return this.#read(({ connection }) => readAside(connection, limit));
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
    return this.#read(({ connection }) => readStranded(connection, after, limit));
  }

  strandedById(id: StrandedId): Promise<StoredRow | undefined> {
    return this.#read(({ connection }) => readStrandedById(connection, id));
  }

  recordAudit(event: AuditEvent): Promise<void> {
    return this.#open(() =>
      this.#audit.record(event, (work) => this.#queue.enqueue(inOneStep(work), "committed")),
    );
  }

  auditFor(peer: SiteName): Promise<AuditPart> {
    return this.#read((view) => this.#audit.partFor(view, peer));
  }

  auditTroubles(): Promise<readonly AuditTrouble[]> {
    return this.#read(({ state }) => troublesOf(state));
  }

  settleAudit(): Promise<void> {
    return this.#write((tx) => settleChains(tx, () => true));
  }

  auditChains(): Promise<readonly AuditChain[]> {
    return this.#read(({ state }) => state.chains);
  }

  auditRecords(chain: ChainId, after: number, limit: number): Promise<readonly AuditRecord[]> {
    return this.#read((view) => readRecordsOf(view, chain, after, limit));
  }

  auditPage(query: AuditQuery): Promise<AuditPage> {
    return this.#read((view) => readAuditPage(view, query));
  }

  auditShown(): ReturnType<AuditStore["auditShown"]> {
    return this.#read(({ state }) =>
      [...state.shown]
        .map(([peer, heads]) => ({ peer, heads }))
        .toSorted((a, b) => (a.peer < b.peer ? -1 : 1)),
    );
  }

  rejections(): Promise<readonly Rejection[]> {
    return this.#read(({ connection }) => readRejections(connection));
  }

  addAlert(
    event: AlertEvent,
    subject: string,
    message: string,
    details: AlertDetails,
  ): Promise<Alert | undefined> {
    const { clock, random } = this.#options;
    return this.#write((tx) => addAlert(tx, { event, subject, message, details, at: clock.now() }, random));
  }

  alerts(limit: number): Promise<readonly Alert[]> {
    return this.#read(({ connection }) => readAlerts(connection, limit));
  }

  openIncidents(): Promise<readonly Alert[]> {
    return this.#read(({ state }) => state.openIncidents);
  }

  undelivered(channel: string, since: number): Promise<readonly Alert[]> {
    return this.#read(({ connection }) => readUndelivered(connection, channel, since));
  }

  markDelivered(channel: string, alertId: number): Promise<void> {
    return this.#write((tx) => markDelivered(tx.connection, channel, alertId));
  }

  close(): Promise<void> {
    this.#closing ??= this.#recounts
      .stop()
      .then(() => this.#erasure.stop())
      .then(() => this.#storeAcks().catch(() => undefined))
      .then(() => this.#queue.idle())
      .then(() => this.#closeConnections());
    return this.#closing;
  }

  /** A memory store's database as the bytes of a file, as they stand after the last commit. */
  serialize(): Buffer {
    return this.#options.connections.writer.database.serialize();
  }

  /** Ends at once, as a crash does: what is queued and not committed is lost. The database stays as `serialize` saw it. */
  abandon(): void {
    this.#closing ??= this.#recounts.stop();
    void this.#erasure.stop();
    this.#abandoned.abort(new Refusal("shutting_down"));
    this.#queue.abandon();
    void this.#closeConnections();
  }

  /** The statements prepared so far, for the test that reads their plans. */
  statements(): readonly string[] {
    const { reader, writer } = this.#options.connections;
    return [...new Set([...reader.statements(), ...writer.statements()])];
  }

  async #closeConnections(): Promise<void> {
    const { connections, file } = this.#options;
    const { reader, writer } = connections;
    // SQLite deletes the log with the last connection to it, and a flush under way needs it.
    if (file) await this.#flushes.idle();
    await file?.log.idle();
    reader.close();
    if (writer !== reader) writer.close();
    await file?.log.close();
  }

  async #open<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new Refusal("shutting_down");
    return work();
  }

  #write<T>(work: (tx: Transaction) => T): Promise<T> {
    return this.#open(() => this.#queue.enqueue(inOneStep(work)));
  }

  /**
   * All statements of a read run in one turn, and commits are turns of their own: a read sees one state of the data. It resolves
   * when everything that it may have seen is on the disk.
   */
  async #read<T>(read: (view: View) => T): Promise<T> {
    if (this.#closing) throw new Refusal("shutting_down");
    if (this.#lost) throw this.#lost;
    try {
      const found = read({ connection: this.#options.connections.reader, state: this.#knowledge.state });
      await this.#flushes.settled();
      return found;
    } catch (error) {
      throw refusalOf(error);
    }
  }

  #readRows(read: (view: View) => readonly StoredRow[]): Promise<readonly StoredRow[]> {
    return this.#read((view) => read(view).map((row) => this.#shown(row)));
  }

  #shown(row: StoredRow): StoredRow {
    return asAcknowledged(row, this.#knowledge.state, this.#knowledge.unsavedAcks);
  }

  #shownRow(row: StoredRow | undefined): StoredRow | undefined {
    return row && this.#shown(row);
  }
}
