import type { Epoch, Promotion } from "../../../core/epoch.ts";
import type { Point, Position } from "../../../core/position.ts";
import type { Site, SiteReader, SiteWriter } from "../../../core/store/site.ts";
import { knowsPoint, readPointsBelow } from "../history.ts";
import { recordEpoch } from "../transaction.ts";
import type { ReadScope, TransactionScope } from "./scope.ts";

export class SiteReads implements SiteReader {
  readonly #scope: ReadScope;

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  async record(): Promise<Site> {
    return this.#scope.view.state.site;
  }

  async timeline(): Promise<readonly Promotion[]> {
    return this.#scope.view.state.timeline;
  }

  async digest(): Promise<{ readonly head: Point; readonly digest: Uint8Array }> {
    const { view, ports } = this.#scope;
    const { site, buckets } = view.state;
    return { head: site.head, digest: buckets.digest(ports.hash) };
  }

  async firstKnown(points: readonly Point[]): Promise<Point | undefined> {
    const { connection } = this.#scope.view;
    return points.find((point) => knowsPoint(connection, point));
  }

  async pointsBelow(position: Position, limit: number): Promise<readonly Point[]> {
    return readPointsBelow(this.#scope.view.connection, position, limit);
  }
}

export class SiteWrites extends SiteReads implements SiteWriter {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  recordEpoch(epoch: Epoch): Promise<{ readonly fencedNow: boolean }> {
    return this.#scope.do((tx) => ({ fencedNow: recordEpoch(tx, epoch) }));
  }
}
