import { compareEpochs } from "../../core/epoch.ts";
import type { SiteName } from "../../core/ids.ts";
import type { PushAnswer, Transport } from "../../core/ports.ts";
import { comparePositions, origin, type Point, type Position } from "../../core/position.ts";
import { type Identity, type Push, protocolVersion, type Rejection, samePoint } from "../../core/push.ts";
import type { StoredRow } from "../../core/row.ts";
import type {
  Acknowledgement,
  BatchLimit,
  Listing,
  PrimaryStore,
  RefusedRow,
  SiteStore,
} from "../../core/store.ts";
import { decodeKey } from "../../protocol/wire-rows.ts";

/** Why an attempt came to nothing. `error` is for people and holds no address and no secret. */
export type Failure = {
  readonly kind: "unreachable" | "unauthorized" | "refused" | "local";
  readonly error: string;
};

export type DrainOutcome =
  /** Everything above acked, when it was last looked at, is acknowledged. */
  | { readonly kind: "drained" }
  /** `progressed`: something was acknowledged before. */
  | { readonly kind: "failed"; readonly failure: Failure; readonly progressed: boolean }
  /** This site may not ship any more; the fence is committed. */
  | { readonly kind: "fenced" };

export type DrainPorts = {
  readonly peer: SiteName;
  readonly publicUrl: string;
  readonly store: PrimaryStore & SiteStore;
  readonly transport: Transport;
  readonly limit: BatchLimit;
  /** Ends the request in flight. */
  readonly abort: AbortSignal;
  /** Ends the drain after the push in flight. */
  readonly stop: AbortSignal;
  /** The hello that still waits for a contact: a push is owed even with nothing dirty. Undefined where none does. */
  readonly owedContact: () => number | undefined;
  /** Whether rows in quarantine are to be tried again, once; asking takes the wish back. */
  readonly retriesQuarantined: () => boolean;
  /** Called before each look at the store: what was signalled before it is in what it sees. */
  readonly onLook: () => void;
  readonly onPushed: (rows: number, bytes: number) => void;
  /** Called for every answer in which the peer named itself, with the hello that was owed when the push left. */
  readonly onContact: (owed: number | undefined) => void;
  /** Called with what the store has just learnt of what the backup holds and lacks: by an ACK, a `resume` or a 413. */
  readonly onAcknowledged: (ack: Acknowledgement) => Promise<void>;
};

type Step = "continue" | "drained" | "fenced" | Failure;

/** Rows marked in one transaction when a backup has lost them or never had them. */
const markedRowsMax = 500;

/**
 * One drain of one backup: pushes until nothing is above acked. Reads acked from the store before every push and keeps no copy,
 * so that a disk put back under the running process is noticed like any other.
 */
export class Drain {
  readonly #ports: DrainPorts;
  #rowsMax: number;
  #progressed = false;
  /** The point of the last `resume` since an acknowledgement: named twice, going on would go round in circles. */
  #resumedAt: Point | null = null;

  constructor(ports: DrainPorts) {
    this.#ports = ports;
    this.#rowsMax = ports.limit.rows;
  }

  async run(): Promise<DrainOutcome> {
    try {
      for (;;) {
        const step = await this.#step();
        const end =
          step === "drained" && this.#ports.retriesQuarantined() ? await this.#retryQuarantined() : step;
        if (end === "drained" || end === "fenced") return { kind: end };
        if (end !== "continue") return { kind: "failed", failure: end, progressed: this.#progressed };
      }
    } catch (error) {
      const failure: Failure = { kind: "local", error: error instanceof Error ? error.message : "unknown" };
      return { kind: "failed", failure, progressed: this.#progressed };
    }
  }

  async #step(): Promise<Step> {
    const { transport, abort, stop, onLook, onPushed, owedContact } = this.#ports;
    if (stop.aborted) return { kind: "local", error: "stopping" };
    onLook();
    const owed = owedContact();
    const acked = await this.#acked();
    const listing = await this.#list(acked);
    const isDone = acked !== null && listing.rows.length === 0 && samePoint(acked, listing.through);
    if (isDone && owed === undefined) return "drained";
    const push = this.#frame(listing, acked ? listing.rows : [], acked ? listing.after : listing.through);
    const { answer, bytes } = await transport.push(push, abort);
    onPushed(push.rows.length, bytes);
    return this.#read(answer, push, listing, owed);
  }

  async #acked(): Promise<Point | null> {
    const { store, peer } = this.#ports;
    const found = (await store.peers()).find((candidate) => candidate.site === peer);
    if (!found) throw new Error(`${peer} is no peer of this site`);
    return found.acked;
  }

  /** With acked unknown nothing is pushed: the first push only asks where the backup stands, unless it stands at the head. */
  async #list(acked: Point | null): Promise<Listing> {
    const { store, limit } = this.#ports;
    if (acked) return store.listAbove(acked.position, { rows: this.#rowsMax, bytes: limit.bytes });
    const { head } = await store.site();
    return store.listAbove(head.position, limit);
  }

  #frame(listing: Listing, rows: readonly StoredRow[], after: Point): Push {
    const { site, realm, epoch, timeline, through } = listing;
    return {
      protocol: protocolVersion,
      realm,
      site,
      publicUrl: this.#ports.publicUrl,
      epoch,
      timeline,
      after,
      through,
      digest: null,
      rows: rows.map((row) => ({ kind: "row", row })),
    };
  }

  async #read(answer: PushAnswer, push: Push, listing: Listing, owed: number | undefined): Promise<Step> {
    if (answer.kind === "failed") return { kind: "unreachable", error: answer.error };
    if (answer.kind === "unauthorized")
      return { kind: "unauthorized", error: "the credential was not taken" };
    if (answer.kind === "too_large") return this.#shrink(push, listing);
    const { site, realm } = answer.identity;
    if (site !== this.#ports.peer) return { kind: "refused", error: `${site} answered in its place` };
    // Epochs of another realm are no measure for this one's: a stranger must not fence anybody.
    if (realm !== null && realm !== push.realm) return { kind: "refused", error: "other_realm" };
    this.#ports.onContact(owed);
    if (compareEpochs(answer.identity.epoch, push.epoch) > 0) return this.#meetHigherEpoch(answer.identity);
    if (answer.kind === "applied") return this.#acknowledge(answer, push, listing);
    if (answer.code === "resume") return this.#resume(answer.identity.applied, answer.rejected);
    return { kind: "refused", error: answer.code };
  }

  /** I8: whoever sees a higher epoch records it, and a primary is fenced, before anything else. */
  async #meetHigherEpoch(identity: Identity): Promise<Step> {
    await this.#ports.store.recordEpoch(identity.epoch);
    const site = await this.#ports.store.site();
    return site.fenced === null ? { kind: "refused", error: "stale_epoch" } : "fenced";
  }

  async #acknowledge(answer: PushAnswer & { kind: "applied" }, push: Push, listing: Listing): Promise<Step> {
    if (!isAckFor(answer.identity, push))
      return { kind: "unreachable", error: "the answer is no ACK of this push" };
    const ack = { through: push.through, rows: listing.rows, rejected: refusedRows(answer.rejected) };
    return this.#commitAck(ack, listing.isLast);
  }

  async #commitAck(ack: Acknowledgement, isLast: boolean): Promise<Step> {
    // Unknown: this disk was put back while the push was under way, and the next one shows where the backup stands.
    if ((await this.#ports.store.acknowledge(this.#ports.peer, ack)) === "unknown") return "continue";
    this.#progressed = true;
    this.#resumedAt = null;
    await this.#ports.onAcknowledged(ack);
    return isLast ? "drained" : "continue";
  }

  async #resume(applied: Point, rejected: readonly Rejection[]): Promise<Step> {
    const { store, peer, onAcknowledged } = this.#ports;
    if (this.#resumedAt && samePoint(this.#resumedAt, applied)) {
      return { kind: "unreachable", error: "the backup asked twice to resume from the same position" };
    }
    this.#resumedAt = applied;
    const lacking = refusedRows(rejected);
    if ((await store.resumeFrom(peer, applied, lacking)) === "unknown") return "fenced";
    await onAcknowledged({ through: applied, rows: [], rejected: lacking });
    await markAllAbove(store);
    return "continue";
  }

  /** Pushes each row of the quarantine alone, once, without moving the watermark: one that is still refused stops no other. */
  async #retryQuarantined(): Promise<Step> {
    const { store, peer, limit } = this.#ports;
    const acked = await this.#acked();
    if (!acked) return "drained";
    let after = origin.position;
    for (;;) {
      const rows = await store.listQuarantined(peer, after, limit.rows);
      for (const row of rows) {
        const step = await this.#retry(row, acked);
        if (step !== "drained") return step;
        after = row.position;
      }
      if (rows.length === 0) return "drained";
    }
  }

  async #retry(row: StoredRow, acked: Point): Promise<Step> {
    const { transport, abort, onPushed } = this.#ports;
    const listing = await this.#list(acked);
    const push = this.#frame({ ...listing, through: acked }, [row], acked);
    const { answer, bytes } = await transport.push(push, abort);
    onPushed(1, bytes);
    if (answer.kind === "too_large") return "drained";
    return this.#read(answer, push, { ...listing, rows: [row], isLast: true }, undefined);
  }

  /** 413: half the rows; a row that is too large alone goes to quarantine, so that it stops nobody. */
  async #shrink(push: Push, listing: Listing): Promise<Step> {
    const own = listing.rows.filter((row) => isWithin(row.position, push));
    const only = own[0];
    if (!only) return { kind: "unreachable", error: "the backup finds an empty push too large" };
    if (own.length > 1) {
      this.#rowsMax = Math.floor(own.length / 2);
      return "continue";
    }
    const rejected = [{ key: only.key, position: only.position, code: "too_large" as const }];
    return this.#skip(push, rejected, listing);
  }

  /**
   * The backup has not taken a push, so acked may not pass it: one without the row moves both watermarks over the gap. The row
   * is in quarantine before that, or a lost ACK of it would make the row look as if it were there.
   */
  async #skip(push: Push, rejected: Acknowledgement["rejected"], listing: Listing): Promise<Step> {
    const { store, peer, transport, abort, onPushed, onAcknowledged } = this.#ports;
    const skipped = { through: push.after, rows: [], rejected };
    await store.acknowledge(peer, skipped);
    await onAcknowledged(skipped);
    const { answer, bytes } = await transport.push({ ...push, rows: [] }, abort);
    onPushed(0, bytes);
    return this.#read(answer, { ...push, rows: [] }, { ...listing, rows: [] }, undefined);
  }
}

/** Marks what no mark covers above the lowest acked: a new backup's rows, and those that one has lost. */
export async function markAllAbove(store: PrimaryStore): Promise<void> {
  while ((await store.markDirtyAbove(markedRowsMax)) === markedRowsMax);
}

/** An ACK counts only from the expected epoch and with everything covered; at the same position, only of the same history. */
function isAckFor(identity: Identity, push: Push): boolean {
  if (identity.role !== "backup" || identity.realm !== push.realm) return false;
  if (compareEpochs(identity.epoch, push.epoch) !== 0) return false;
  const order = comparePositions(identity.applied.position, push.through.position);
  return order > 0 || samePoint(identity.applied, push.through);
}

function isWithin(position: Position, push: Push): boolean {
  return (
    comparePositions(position, push.after.position) > 0 &&
    comparePositions(position, push.through.position) <= 0
  );
}

/** Rejections by this site's own keys. A key that it cannot read names no row of its own. */
function refusedRows(rejections: readonly Rejection[]): readonly RefusedRow[] {
  return rejections.flatMap(({ key: wireKey, position, code }) => {
    const key = decodeKey(wireKey);
    return key ? [{ key, position, code }] : [];
  });
}
