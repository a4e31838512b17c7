import type { SiteName } from "../../../core/ids.ts";
import type { Point, Position } from "../../../core/position.ts";
import type { Push, Rejection } from "../../../core/push.ts";
import type { StoredRow } from "../../../core/row.ts";
import type {
  ApplyOutcome,
  Backlog,
  BatchLimit,
  Listing,
  Marked,
  Peer,
  RefusedRow,
  ReplicationReader,
  ReplicationWriter,
} from "../../../core/store/replication.ts";
import { readBacklog } from "../backlog.ts";
import { applyPush } from "../backup.ts";
import { readListing } from "../listing.ts";
import { markAbove } from "../marks.ts";
import { configurePeers, resumeFrom } from "../primary.ts";
import { readQuarantined } from "../quarantine.ts";
import { readRejections } from "../rejections.ts";
import { type ReadScope, shown, type TransactionScope } from "./scope.ts";

export class ReplicationReads implements ReplicationReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async peers(): Promise<readonly Peer[]> {
    return this.#scope.view.state.peers.map(({ site, acked, lastAckAt, verified, diverged, repairs }) => ({
      site,
      acked,
      lastAckAt,
      verified,
      diverged,
      repairs,
    }));
  }

  async backlogOfAll(): Promise<Backlog> {
    return readBacklog(this.#scope.view, null);
  }

  async backlog(peer: SiteName): Promise<Backlog> {
    return readBacklog(this.#scope.view, peer);
  }

  async listAbove(after: Position, limit: BatchLimit, peer?: SiteName): Promise<Listing> {
    const { view, ports } = this.#scope;
    return readListing(view, ports.hash, { after, limit, peer });
  }

  async listQuarantined(peer: SiteName, after: Position, limit: number): Promise<readonly StoredRow[]> {
    const rows = readQuarantined(this.#scope.view.connection, peer, after, limit);
    return rows.map((row) => shown(this.#scope, row));
  }

  async rejections(): Promise<readonly Rejection[]> {
    return readRejections(this.#scope.view.connection);
  }
}

export class ReplicationWrites extends ReplicationReads implements ReplicationWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  configurePeers(sites: readonly SiteName[]): Promise<void> {
    const { clock } = this.#scope.ports;
    return this.#scope.run((tx) => configurePeers(tx, sites, clock.now()));
  }

  markDirtyAbove(after: Position | null, limit: number): Promise<Marked> {
    const { clock } = this.#scope.ports;
    return this.#scope.do((tx) => markAbove(tx, after, limit, clock.now()));
  }

  resumeFrom(
    peer: SiteName,
    applied: Point,
    rejected: readonly RefusedRow[],
  ): Promise<"known" | "unknown" | "foreign"> {
    const { clock } = this.#scope.ports;
    return this.#scope.run((tx) => resumeFrom(tx, peer, { applied, rejected }, clock.now()));
  }

  beginRepair(peer: SiteName): Promise<void> {
    return this.#scope.do((tx) => tx.changePeer(peer, { repairs: (tx.peer(peer)?.repairs ?? 0) + 1 }));
  }

  demandRepair(peer: SiteName): Promise<void> {
    return this.#scope.do((tx) => tx.changePeer(peer, { diverged: true, repairs: 0 }));
  }

  applyPush(push: Push): Promise<ApplyOutcome> {
    const { clock, hash, audit } = this.#scope.ports;
    return this.#scope.run(function* (tx) {
      return audit.answer(tx, push, yield* applyPush(tx, push, hash, clock.now()));
    });
  }
}
