import { Buckets, bucketCount } from "../../core/digest.ts";
import type { SiteName } from "../../core/ids.ts";
import type { RepairCursor, RepairReply, RepairStep, Transport } from "../../core/ports.ts";
import { comparePositions, origin, type Point } from "../../core/position.ts";
import type { Identity } from "../../core/push.ts";
import { isListedOn, planRepair, type RepairPlan, type RowSummary } from "../../core/repair.ts";
import { formatKey, type Row, type RowKey } from "../../core/row.ts";
import type { BatchLimit } from "../../core/store/replication.ts";
import type { Store, Transacts } from "../../core/store/store.ts";
import { identityOf } from "../identity.ts";
import { type Failure, failureOf, localFailure, meetEpoch, strangerIn } from "./failure.ts";

/** What a repair has moved. */
export type RepairCounts = {
  /** Rows that the backup has taken in place of what it had, or did not have. */
  readonly repaired: number;
  /** Rows that only the backup had. */
  readonly removed: number;
  /** Own rows that failed their hash and were put right by the backup's. */
  readonly healed: number;
  /** Own rows that fail their hash and that the backup has not intact either. */
  readonly hopeless: number;
};

export const nothingRepaired: RepairCounts = { repaired: 0, removed: 0, healed: 0, hopeless: 0 };

export function addCounts(a: RepairCounts, b: RepairCounts): RepairCounts {
  return {
    repaired: a.repaired + b.repaired,
    removed: a.removed + b.removed,
    healed: a.healed + b.healed,
    // What was hopeless before is counted anew by each repair.
    hopeless: b.hopeless,
  };
}

/** `counts`: what was moved, also where the repair was cut short. */
export type RepairOutcome = { readonly counts: RepairCounts } & (
  | { readonly kind: "repaired" }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "fenced" }
);

export type RepairPorts = {
  readonly peer: SiteName;
  readonly store: Transacts<"replication" | "site" | "repair"> & Pick<Store, "acknowledgements" | "survey">;
  readonly transport: Transport;
  readonly limit: BatchLimit;
  /** Ends the request in flight. */
  readonly abort: AbortSignal;
  /** Ends the repair after the step in flight. */
  readonly stop: AbortSignal;
  readonly onSent: (bytes: number) => void;
  readonly onContact: () => void;
};

/** Rows of both sides that are compared in one go; a bucket is never split, so one of a large site may have more. */
const comparedRowsMax = 2_000;
/** Own rows that are listed in one transaction. */
const listedRowsMax = 1_000;
/** Rows whose bodies are read before it is known what they weigh. */
const readRowsMax = 50;
/** Keys of removed rows in one request. */
const removedKeysMax = 2_000;

/** Ends a repair from wherever it stands. */
class Interruption extends Error {
  readonly end: Failure | "fenced";

  constructor(end: Failure | "fenced") {
    super("the repair was interrupted");
    this.end = end;
  }
}

type Answered<Step extends RepairReply["step"]> = RepairReply & { readonly step: Step };
type Counted = { -readonly [Name in keyof RepairCounts]: number };

/**
 * One repair of one backup, with no push in flight: both sides count their rows anew, and what differs below acked is shipped,
 * removed, or, where it is damaged here, fetched. Every step is refused by a backup that does not stand at acked any more, and
 * every step may be repeated, so a repair that was cut short is simply begun anew. Holds the rows of a few buckets at a time.
 */
export class Repair {
  readonly #ports: RepairPorts;
  readonly #counts: Counted = { ...nothingRepaired };
  #from: Identity | null = null;
  #at: Point = origin;

  constructor(ports: RepairPorts) {
    this.#ports = ports;
  }

  async run(): Promise<RepairOutcome> {
    const end = await this.#end();
    const counts = { ...this.#counts };
    if (end === "repaired" || end === "fenced") return { kind: end, counts };
    return { kind: "failed", failure: end, counts };
  }

  async #end(): Promise<"repaired" | "fenced" | Failure> {
    try {
      await this.#repair();
      return "repaired";
    } catch (error) {
      return error instanceof Interruption ? error.end : localFailure(error);
    }
  }

  async #repair(): Promise<void> {
    const { store, peer } = this.#ports;
    const acked = (await store.read((r) => r.replication.peers())).find(({ site }) => site === peer)?.acked;
    if (!acked) throw new Error("a repair needs to know where the backup stands");
    this.#from = identityOf(await store.read((r) => r.site.record()));
    this.#at = acked;
    const [own, theirs] = await Promise.all([store.survey.recount(), this.#ask({ step: "recount" })]);
    const differing = own.buckets.differing(new Buckets(theirs.buckets));
    const buckets = [...new Set([...differing, ...own.damaged, ...theirs.damaged])].toSorted((a, b) => a - b);
    const quarantined = await this.#quarantined();
    for (const group of groupsOf(buckets, Math.max(own.rows, theirs.rows))) {
      const sides = { own: await this.#listOwn(group), theirs: await this.#listTheirs(group, theirs.rows) };
      await this.#carryOut(planRepair({ ...sides, acked: acked.position, quarantined }));
    }
  }

  /** Keys of the rows that the backup refuses; it would refuse them again. */
  async #quarantined(): Promise<ReadonlySet<string>> {
    const { store, peer, limit } = this.#ports;
    const keys = new Set<string>();
    let after = origin.position;
    for (;;) {
      const rows = await store.read((r) => r.replication.listQuarantined(peer, after, limit.rows));
      const last = rows.at(-1);
      if (!last) return keys;
      for (const row of rows) keys.add(formatKey(row.key));
      after = last.position;
    }
  }

  async #listOwn(buckets: readonly number[]): Promise<readonly RowSummary[]> {
    const rows: RowSummary[] = [];
    for (const bucket of buckets) {
      let after: RowKey | null = null;
      do {
        const page: readonly RowSummary[] = await this.#ports.store.survey.bucketRows(
          bucket,
          after,
          listedRowsMax,
        );
        rows.push(...page);
        after = page.length === listedRowsMax ? (page.at(-1)?.key ?? null) : null;
      } while (after !== null);
    }
    return rows;
  }

  async #listTheirs(buckets: readonly number[], rowsMax: number): Promise<readonly RowSummary[]> {
    const rows: RowSummary[] = [];
    let after: RepairCursor | null = null;
    do {
      const page: Answered<"list"> = await this.#ask({ step: "list", buckets, after });
      rows.push(...page.rows);
      if (rows.length > rowsMax || !isListedOn({ buckets, after }, page)) throw new Interruption(nonsense);
      after = page.next;
    } while (after !== null);
    return rows;
  }

  async #carryOut({ ship, remove, fetch, hopeless }: RepairPlan): Promise<void> {
    this.#counts.hopeless += hopeless.length;
    await this.#fetch(fetch);
    for (const keys of chunksOf(remove, removedKeysMax)) await this.#apply([], keys);
    await this.#ship(ship);
  }

  /** Batches of the byte limit, but at least one row; what has changed since it was listed is left to the drain. */
  async #ship(keys: readonly RowKey[]): Promise<void> {
    const { store, limit } = this.#ports;
    let batch: Row[] = [];
    let bytes = 0;
    for (const chunk of chunksOf(keys, readRowsMax)) {
      for (const row of await store.read((r) => r.repair.rowsOf(chunk))) {
        if (comparePositions(row.position, this.#at.position) > 0) continue;
        const size = row.body?.length ?? 0;
        if (batch.length > 0 && bytes + size > limit.bytes) {
          await this.#apply(batch, []);
          batch = [];
          bytes = 0;
        }
        batch.push(row);
        bytes += size;
      }
    }
    if (batch.length > 0) await this.#apply(batch, []);
  }

  /** 413 halves a batch. A single row that is too large is passed over: the proof will not be equal, and says so. */
  async #apply(rows: readonly Row[], remove: readonly RowKey[]): Promise<void> {
    const answer = await this.#try({ step: "apply", rows, remove });
    if (answer !== "too_large") {
      this.#counts.repaired += answer.replaced;
      this.#counts.removed += answer.removed;
      return;
    }
    if (rows.length + remove.length <= 1) return;
    for (const half of halvesOf(rows)) await this.#apply(half, []);
    for (const half of halvesOf(remove)) await this.#apply([], half);
  }

  /** The backup answers as many as it can at once, in the order they were asked for. */
  async #fetch(keys: readonly RowKey[]): Promise<void> {
    let rest = keys;
    while (rest.length > 0) {
      const asked = rest.slice(0, readRowsMax);
      const { rows } = await this.#ask({ step: "fetch", keys: asked });
      const last = rows.at(-1);
      const end = last ? asked.findIndex((key) => formatKey(key) === formatKey(last.key)) + 1 : asked.length;
      if (end === 0) throw new Interruption(nonsense);
      const healed = await this.#ports.store.transact((tx) => tx.repair.heal(rows));
      this.#counts.healed += healed;
      this.#counts.hopeless += end - healed;
      rest = rest.slice(end);
    }
  }

  async #ask<Step extends RepairStep>(step: Step): Promise<Answered<Step["step"]>> {
    const answer = await this.#try(step);
    if (answer === "too_large") throw new Interruption({ kind: "unreachable", error: "body_too_large" });
    return answer;
  }

  async #try<Step extends RepairStep>(step: Step): Promise<Answered<Step["step"]> | "too_large"> {
    const { store, peer, transport, abort, stop, onSent, onContact } = this.#ports;
    const from = this.#from;
    if (from === null) throw new Error("a repair asks nothing before it knows where it stands");
    if (stop.aborted) throw new Interruption({ kind: "local", error: "stopping" });
    const { answer, bytes } = await transport.repair({ ...step, from, at: this.#at }, abort);
    onSent(bytes);
    const identity = "identity" in answer ? answer.identity : null;
    if (identity) {
      const stranger = strangerIn(identity, peer, from);
      if (stranger) throw new Interruption(stranger);
      onContact();
      const superseded = await meetEpoch(store, identity, from);
      if (superseded) throw new Interruption(superseded);
    }
    if (answer.kind === "refused" && answer.code === "body_too_large") return "too_large";
    if (answer.kind !== "answered") throw new Interruption(failureOf(answer));
    if (answer.reply.step !== step.step) throw new Interruption(nonsense);
    return answer.reply as Answered<Step["step"]>;
  }
}

const nonsense: Failure = { kind: "unreachable", error: "the answer makes no sense" };

/** Buckets that are compared together: as many as have a manageable number of rows, if all are of one size. */
function groupsOf(buckets: readonly number[], rows: number): readonly (readonly number[])[] {
  const rowsOfOne = Math.max(1, rows / bucketCount);
  return chunksOf(buckets, Math.max(1, Math.floor(comparedRowsMax / rowsOfOne)));
}

function chunksOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size));
}

function halvesOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  return chunksOf(items, Math.max(1, Math.ceil(items.length / 2)));
}
