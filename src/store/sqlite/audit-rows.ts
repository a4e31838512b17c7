import type { AuditEvent, AuditPart } from "../../core/audit.ts";
import type { ChainId, SiteName } from "../../core/ids.ts";
import type { Clock, Hash, Random } from "../../core/ports.ts";
import type { Push } from "../../core/push.ts";
import type { StoredRow } from "../../core/row.ts";
import type { Acknowledgement, ApplyOutcome } from "../../core/store/replication.ts";
import { auditPartFor, takeAudit } from "./audit-exchange.ts";
import { aboutRows, appendAudit, type AuditPorts } from "./audit-records.ts";
import type { StoredChain } from "./audit-chains.ts";
import type { View } from "./state.ts";
import type { Transaction } from "./transaction.ts";

export type AuditSettings = {
  /** How long records are kept; for ever where left away. */
  readonly keepMs?: number;
  /** Told what kept the audit's part of a push or an ACK from being taken over; the rest of it is there all the same. */
  readonly onFault?: (error: unknown) => void;
};

export type AuditOptions = AuditSettings & {
  readonly clock: Clock;
  readonly hash: Hash;
  readonly random: Random;
};

type Batch = { readonly events: AuditEvent[]; readonly recorded: Promise<void> };

/** More records would be a step that others have to wait for. */
const batchMax = 200;

/**
 * The audit's part in the transactions of a store. It remembers how far this site's own chain is on the disk: no peer is shown
 * records that a loss of power may still undo.
 */
export class AuditRows {
  readonly #options: AuditOptions;
  /** The own chain that has records which are not flushed, and up to where it is; null where all of it is. */
  #flushed: { readonly chain: ChainId; readonly seq: number } | null = null;
  /** Events that wait for their turn. */
  #batch: Batch | undefined;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  /**
   * Records an event. Those that come in one turn are one member of the queue, and need no savepoint each.
   * @param enqueue puts work into the store's queue
   */
  record(event: AuditEvent, enqueue: (work: (tx: Transaction) => void) => Promise<void>): Promise<void> {
    if (this.#batch && this.#batch.events.length < batchMax) this.#batch.events.push(event);
    else this.#batch = this.#begin(event, enqueue);
    return this.#batch.recorded;
  }

  #begin(event: AuditEvent, enqueue: (work: (tx: Transaction) => void) => Promise<void>): Batch {
    const events = [event];
    // What comes once it has run, or failed before it could, is too late for it.
    const close = (): void => {
      if (this.#batch?.events === events) this.#batch = undefined;
    };
    const recorded = enqueue((tx) => {
      close();
      this.append(tx, events);
    });
    recorded.then(close, close);
    return { events, recorded };
  }

  append(tx: Transaction, events: readonly AuditEvent[]): void {
    appendAudit(tx, events, this.#ports());
  }

  /** Records a client's write beside the rows it changed. */
  recordWrite(tx: Transaction, event: AuditEvent | undefined, changed: readonly StoredRow[]): void {
    if (event) appendAudit(tx, [aboutRows(event, changed)], this.#ports());
  }

  partFor(view: View, peer: SiteName): AuditPart {
    const flushed = this.#flushed;
    return auditPartFor(view, { peer, durable: new Map(flushed ? [[flushed.chain, flushed.seq]] : []) });
  }

  /** Takes over what an applied push told, and adds to the outcome what is answered; that is on disk when the push is. */
  answer(
    tx: Transaction,
    { site, audit }: Pick<Push, "site" | "audit">,
    outcome: ApplyOutcome,
  ): ApplyOutcome {
    if (outcome.kind !== "applied" || !audit) return outcome;
    if (!this.#take(tx, site, audit)) return outcome;
    return { ...outcome, audit: auditPartFor(tx, { peer: site, durable: new Map() }) };
  }

  /** Takes over what an ACK told. */
  acknowledged(tx: Transaction, peer: SiteName, { audit }: Acknowledgement): void {
    if (audit) this.#take(tx, peer, audit);
  }

  /** To be called when a commit has made records of the own chain that are not on the disk. */
  appended(before: StoredChain | undefined, after: StoredChain | undefined): void {
    if (!after || after.head === before?.head) return;
    if (this.#flushed?.chain === after.chain) return;
    this.#flushed = { chain: after.chain, seq: before?.chain === after.chain ? before.head.seq : 0 };
  }

  /** To be called when a flush begins, with the own chain as it stands; what it returns, when that has ended. */
  flushing(own: StoredChain | undefined): () => void {
    return () => {
      if (this.#flushed && own?.chain === this.#flushed.chain)
        this.#flushed = { chain: own.chain, seq: own.head.seq };
    };
  }

  #take(tx: Transaction, from: SiteName, part: AuditPart): boolean {
    const fault = takeAudit(tx, { from, part }, this.#ports());
    if (fault !== undefined) this.#options.onFault?.(fault);
    return fault === undefined;
  }

  #ports(): AuditPorts {
    const { clock, hash, random, keepMs = Number.POSITIVE_INFINITY } = this.#options;
    return { hash, random, now: Math.max(0, Math.floor(clock.now())), keepMs };
  }
}
