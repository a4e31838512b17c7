import type { Acknowledgement, Listing, Peer } from "../../core/store/replication.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import type { SiteName } from "../../core/ids.ts";
import type { PushAnswer, Transport } from "../../core/ports.ts";
import { origin, type Point, type Position } from "../../core/position.ts";
import { type Push, protocolVersion, type Rejection, samePoint } from "../../core/push.ts";
import type { StoredRow } from "../../core/row.ts";
import { isAckFor, isWithin, refusedRows, refusesAny } from "./acks.ts";
import { AuditShipment } from "./audit-shipment.ts";
import { BurstWait, type BurstWaitPorts } from "./burst-wait.ts";
import { type Failure, localFailure, meetEpoch, strangerIn } from "./failure.ts";
import type { Pace } from "./pace.ts";
import { isProofWanted, isRepairDue, isRepairLeft, type ProofMemory } from "./proof.ts";

export type DrainOutcome =
  /**
   * Everything above acked, when it was last looked at, is acknowledged, and the question whether both sites are equal there is
   * answered. `aside`: how many rows the backup has put aside, where one of its answers told.
   */
  | { readonly kind: "drained"; readonly aside: number }
  /** As before, but the backup differs, and a repair is left to be tried. */
  | { readonly kind: "diverged" }
  /** `progressed`: something was acknowledged before. */
  | { readonly kind: "failed"; readonly failure: Failure; readonly progressed: boolean }
  /** This site may not ship any more; what forbids it is committed. */
  | { readonly kind: "fenced" };

/** `stop` ends the drain after the push in flight. */
export type DrainPorts = BurstWaitPorts & {
  readonly peer: SiteName;
  readonly publicUrl: string;
  readonly store: Transacts<"replication" | "site", "audit"> & Pick<Store, "acknowledgements">;
  readonly transport: Transport;
  /** Ends the request in flight. */
  readonly abort: AbortSignal;
  /** How large its batches are, from one drain to the next. */
  readonly pace: Pace;
  /** What the worker remembers of proofs from one drain to the next. */
  readonly proof: ProofMemory;
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
  /** A fault of this site that does not end the drain: for the log. */
  readonly onFault: (error: unknown) => void;
};

/** Rows that are listed and made into a push in one turn of the event loop. */
const rowsPerTurn = 250;

type Step = "continue" | "drained" | "diverged" | "fenced" | Failure;

/** A push that left, and the listing it was made of. */
type Sent = {
  readonly push: Push;
  readonly listing: Listing;
  readonly owed: number | undefined;
  /** Whether its answer answers the question of equality. */
  readonly asksProof: boolean;
  /** Whether nothing but the audit is still to be told. */
  readonly isForAudit: boolean;
};

/** What was listed, and its rows as a push carries them. */
type Batch = { readonly listing: Listing; readonly rows: Push["rows"] };

/** Rows marked in one transaction when a backup has lost them or never had them. */
const markedRowsMax = 500;

/**
 * One drain of one backup: pushes until nothing is above acked and the last push has told whether both sites are equal. Reads
 * acked from the store before every push and keeps no copy.
 */
export class Drain {
  readonly #ports: DrainPorts;
  readonly #audit: AuditShipment;
  readonly #burst: BurstWait;
  /** Whether more than one batch was waiting at the last look: there is no burst to wait for then. */
  #isBehind = false;
  #progressed = false;
  #aside = 0;
  /** The batch after the one in flight, listed and encoded meanwhile. */
  #ahead: Promise<Batch | null> = Promise.resolve(null);
  /** The point of the last `resume` since an acknowledgement: named twice, going on would go round in circles. */
  #resumedAt: Point | null = null;

  constructor(ports: DrainPorts) {
    this.#ports = ports;
    this.#audit = new AuditShipment(ports);
    this.#burst = new BurstWait(ports);
  }

  async run(): Promise<DrainOutcome> {
    try {
      for (;;) {
        const step = await this.#step();
        const end =
          step === "drained" && this.#ports.retriesQuarantined() ? await this.#retryQuarantined() : step;
        if (end === "continue") continue;
        if (end === "drained") return { kind: end, aside: this.#aside };
        if (end === "diverged" || end === "fenced") return { kind: end };
        return { kind: "failed", failure: end, progressed: this.#progressed };
      }
    } catch (error) {
      return { kind: "failed", failure: localFailure(error), progressed: this.#progressed };
    }
  }

  async #step(): Promise<Step> {
    const { proof, stop, onLook, owedContact } = this.#ports;
    if (!this.#isBehind) await this.#burst.over();
    if (stop.aborted) return { kind: "local", error: "stopping" };
    onLook();
    const owed = owedContact();
    const peer = await this.#peer();
    const { listing, rows } = (await this.#takeAhead(peer.acked)) ?? batchOf(await this.#list(peer.acked));
    this.#isBehind = !listing.isLast;
    const isAtHead =
      peer.acked !== null && listing.rows.length === 0 && samePoint(peer.acked, listing.through);
    const isSettled = isAtHead && owed === undefined && !isProofWanted(proof, peer, listing.through);
    if (isSettled && isRepairLeft(proof, peer)) return "diverged";
    if (isSettled && !this.#audit.isOwed) return "drained";
    const asksProof = listing.isLast && !isRepairDue(proof, peer);
    const audit = await this.#audit.part();
    // Listing so many rows and encoding them each takes as long as clients should wait for.
    if (rows.length > rowsPerTurn) await this.#ports.clock.turn();
    const framed = peer.acked
      ? { ...this.#frame(listing, rows, listing.after), audit }
      : { ...this.#frame(listing, [], listing.through), audit };
    // A proof now would take a repair back that an operator has asked for.
    const push = asksProof ? framed : { ...framed, ...noProof };
    return this.#send({ push, listing, owed, asksProof, isForAudit: isSettled });
  }

  async #send(sent: Sent): Promise<Step> {
    const { transport, abort, onPushed } = this.#ports;
    const onLeaving = () => {
      if (!sent.listing.isLast) this.#lookAhead(sent);
    };
    const { answer, bytes } = await transport.push(sent.push, abort, onLeaving);
    onPushed(sent.push.rows.length, bytes);
    // Rows and proof are there: what is left of the audit goes with the next drain.
    if (sent.isForAudit && answer.kind === "failed") return "drained";
    return this.#read(answer, sent);
  }

  /**
   * In a backlog, lists and encodes the next batch while the backup applies this one. Not for the first batches, and not where the next
   * would be the last: a burst's writes are still being committed, and a later listing has more of them in one push.
   */
  #lookAhead({ push }: Sent): void {
    const { store, pace, peer, clock, transport } = this.#ports;
    const limit = pace.next;
    if (!pace.isGrown) return;
    // Two turns later: the connection writes the push in the first, and clients are served before the listing.
    const listed = clock
      .turn()
      .then(() => clock.turn())
      .then(() => store.read((r) => r.replication.listAbove(push.through.position, limit, peer)));
    const prepared = listed.then(async (listing) => {
      if (listing.isLast) return null;
      const batch = batchOf(listing);
      for (const _ of transport.prepare(batch.rows)) await clock.turn();
      return batch;
    });
    this.#ahead = prepared.catch(() => null);
  }

  /** What was listed ahead, if it continues from where the backup now is acknowledged to stand. */
  async #takeAhead(acked: Point | null): Promise<Batch | null> {
    const ahead = await this.#ahead;
    this.#ahead = Promise.resolve(null);
    return ahead && acked && samePoint(ahead.listing.after, acked) ? ahead : null;
  }

  async #peer(): Promise<Peer> {
    const { store, peer } = this.#ports;
    const found = (await store.read((r) => r.replication.peers())).find(
      (candidate) => candidate.site === peer,
    );
    if (!found) throw new Error(`${peer} is no peer of this site`);
    return found;
  }

  /** With acked unknown nothing is pushed: the first push only asks where the backup stands, unless it stands at the head. */
  async #list(acked: Point | null): Promise<Listing> {
    const { store, limit, peer, pace } = this.#ports;
    if (acked) return store.read((r) => r.replication.listAbove(acked.position, pace.limit, peer));
    const { head } = await store.read((r) => r.site.record());
    return store.read((r) => r.replication.listAbove(head.position, limit, peer));
  }

  #frame(listing: Listing, rows: Push["rows"], after: Point): Push {
    const { site, realm, epoch, timeline, through, points, digest, except } = listing;
    return {
      protocol: protocolVersion,
      realm,
      site,
      publicUrl: this.#ports.publicUrl,
      epoch,
      timeline,
      after,
      through,
      points: samePoint(after, listing.after) ? points : [],
      digest,
      except,
      rows,
    };
  }

  async #read(answer: PushAnswer, sent: Sent): Promise<Step> {
    if (answer.kind === "failed") return { kind: "unreachable", error: answer.error };
    if (answer.kind === "unauthorized")
      return { kind: "unauthorized", error: "the credential was not taken" };
    if (answer.kind === "too_large") return this.#shrink(sent);
    const { peer, store, onContact } = this.#ports;
    const stranger = strangerIn(answer.identity, peer, sent.push);
    if (stranger) return stranger;
    onContact(sent.owed);
    const superseded = await meetEpoch(store, answer.identity, sent.push);
    if (superseded) return superseded;
    if (answer.kind === "applied") return this.#acknowledge(answer, sent);
    if (answer.code === "resume") return this.#resume(answer.identity.applied, answer.rejected);
    return { kind: "refused", error: answer.code };
  }

  async #acknowledge(answer: PushAnswer & { kind: "applied" }, sent: Sent): Promise<Step> {
    const { push, listing } = sent;
    if (!isAckFor(answer.identity, push))
      return { kind: "unreachable", error: "the answer is no ACK of this push" };
    this.#aside = answer.aside;
    const rejected = refusedRows(answer.rejected);
    const verified = push.digest === null ? null : answer.verified;
    const ack = { through: push.through, rows: listing.rows, rejected, verified, audit: answer.audit };
    return this.#commitAck(ack, sent);
  }

  async #commitAck(ack: Acknowledgement, { push, listing, asksProof }: Sent): Promise<Step> {
    const { store, peer, proof, onAcknowledged } = this.#ports;
    // Unknown: this disk was put back while the push was under way, and the next one shows where the backup stands.
    if ((await store.acknowledgements.take(peer, ack)) === "unknown") return "continue";
    this.#progressed = true;
    this.#resumedAt = null;
    // A row that is refused only now was in the digest: the next one leaves it out.
    if (!refusesAny(ack, listing.rows)) {
      proof.answeredAt = asksProof ? push.through : null;
      proof.isOwed = !asksProof && (proof.isOwed || listing.rows.length > 0);
    }
    await onAcknowledged(ack);
    if (!listing.isLast) {
      this.#ports.pace.grow();
      return "continue";
    }
    await this.#audit.acknowledged(ack.audit);
    return this.#settle(push.through);
  }

  /** Everything is acknowledged: what remains to be done, as the store knows it now. */
  async #settle(head: Point): Promise<Step> {
    const { proof } = this.#ports;
    const peer = await this.#peer();
    if (isProofWanted(proof, peer, head)) return "continue";
    if (isRepairLeft(proof, peer)) return "diverged";
    return this.#audit.isOwed ? "continue" : "drained";
  }

  async #resume(applied: Point, rejected: readonly Rejection[]): Promise<Step> {
    const { store, peer, proof, onAcknowledged } = this.#ports;
    if (this.#resumedAt && samePoint(this.#resumedAt, applied)) {
      return { kind: "unreachable", error: "the backup asked twice to resume from the same position" };
    }
    this.#resumedAt = applied;
    proof.answeredAt = null;
    proof.isOwed = true;
    const lacking = refusedRows(rejected);
    const found = await store.transact((tx) => tx.replication.resumeFrom(peer, applied, lacking));
    if (found === "unknown") return "fenced";
    // That backup went another way than the site that was promoted: it has to rejoin, and nobody here is at fault.
    if (found === "foreign") return { kind: "refused", error: "forked" };
    await onAcknowledged({ through: applied, rows: [], rejected: lacking, verified: null });
    await markAllAbove(store);
    return "continue";
  }

  /** Pushes each row of the quarantine alone, once, without moving the watermark: one that is still refused stops no other. */
  async #retryQuarantined(): Promise<Step> {
    const { store, peer, limit, proof } = this.#ports;
    const { acked } = await this.#peer();
    if (!acked) return "drained";
    let after = origin.position;
    for (;;) {
      const rows = await store.read((r) => r.replication.listQuarantined(peer, after, limit.rows));
      for (const row of rows) {
        const step = await this.#retry(row, acked);
        if (step !== "drained" && step !== "continue") return step;
        after = row.position;
      }
      // What has left quarantine is to be proved with all others.
      if (rows.length === 0) return proof.isOwed ? "continue" : "drained";
    }
  }

  async #retry(row: StoredRow, acked: Point): Promise<Step> {
    const { transport, abort, onPushed } = this.#ports;
    const found = await this.#list(acked);
    const push = { ...this.#frame({ ...found, through: acked }, pushed([row]), acked), ...noProof };
    const { answer, bytes } = await transport.push(push, abort);
    onPushed(1, bytes);
    if (answer.kind === "too_large") return "drained";
    const listing = { ...found, rows: [row], isLast: true };
    return this.#read(answer, { push, listing, owed: undefined, asksProof: false, isForAudit: false });
  }

  /** 413: half the rows; a row that is too large alone goes to quarantine, so that it stops nobody. */
  async #shrink(sent: Sent): Promise<Step> {
    const { push, listing } = sent;
    if (this.#audit.leaveOut(push.audit)) return "continue";
    const own = listing.rows.filter((row) => isWithin(row.position, push));
    const only = own[0];
    if (!only) return { kind: "unreachable", error: "the backup finds an empty push too large" };
    const { pace } = this.#ports;
    pace.shrinkTo(own.length > 1 ? Math.floor(own.length / 2) : pace.limit.rows);
    this.#ahead = Promise.resolve(null);
    if (own.length > 1) return "continue";
    const rejected = [{ key: only.key, position: only.position, code: "too_large" as const }];
    return this.#skip(sent, rejected);
  }

  /**
   * The backup has not taken a push, so acked may not pass it: one without the row moves both watermarks over the gap. The row
   * is in quarantine before that, or a lost ACK of it would make the row look as if it were there.
   */
  async #skip({ push, listing }: Sent, rejected: Acknowledgement["rejected"]): Promise<Step> {
    const { store, peer, onAcknowledged } = this.#ports;
    const skipped = { through: push.after, rows: [], rejected, verified: null };
    await store.acknowledgements.take(peer, skipped);
    await onAcknowledged(skipped);
    const empty = { ...push, ...noProof, rows: [] };
    return this.#send({
      push: empty,
      listing: { ...listing, rows: [] },
      owed: undefined,
      asksProof: false,
      isForAudit: false,
    });
  }
}

function batchOf(listing: Listing): Batch {
  return { listing, rows: pushed(listing.rows) };
}

function pushed(rows: readonly StoredRow[]): Push["rows"] {
  return rows.map((row) => ({ kind: "row", row }));
}

/** For a push whose digest would be wrong, or is not wanted. */
const noProof = { digest: null, except: [] } as const;

/** Marks what no mark covers above the lowest acked: a new backup's rows, and those that one has lost. */
export async function markAllAbove(store: Transacts<"replication">): Promise<void> {
  let after: Position | null = null;
  do after = (await store.transact((tx) => tx.replication.markDirtyAbove(after, markedRowsMax))).next;
  while (after !== null);
}
