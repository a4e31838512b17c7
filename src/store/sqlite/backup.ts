import { bytesEqual } from "../../core/bytes.ts";
import { compareEpochs } from "../../core/epoch.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions } from "../../core/position.ts";
import {
  judgePush,
  type Push,
  type PushedRow,
  type PushRefusal,
  type Receiver,
  refusalsOfStrangers,
  type Rejection,
  replaces,
  wireKeyOf,
} from "../../core/push.ts";
import { isIntact, type Row, rowBodyBytesMaxOf } from "../../core/row.ts";
import type { ApplyOutcome } from "../../core/store/replication.ts";
import type { Verified } from "../../core/store/site.ts";
import { type AsideContext, countWaiting, forgetTaken, putAside, waitAgain } from "./aside-rows.ts";
import { recordPoint } from "./history.ts";
import { pruneInSlices, pruneLeft } from "./history-pruning.ts";
import { addRejection, dropRejection, readRejections, wireKeyName } from "./rejections.ts";
import { readOutline, readRow, type RowOutline } from "./row-table.ts";
import { sameTimeline } from "./site-record.ts";
import { digestWithout } from "./stored-buckets.ts";
import { recordEpoch, type Steps, type Transaction } from "./transaction.ts";
import { yieldToPromoted } from "./used-grant.ts";

/** Rows applied in one step. */
const sliceRows = 200;

/** Points recorded in one step. */
const slicePoints = 1_000;

/** Points of the history looked at with each push, besides as many as it brings. */
const prunedPerPush = 200;

type Tally = { accepted: number; ignored: number; readonly refused: Rejection[] };

/** See ReplicationWriter.applyPush. */
export function* applyPush(tx: Transaction, push: Push, hash: Hash, now: number): Steps<ApplyOutcome> {
  const { connection } = tx;
  const hasYielded = yield* yieldToPromoted(tx, push, now);
  const code = judge(tx, push);
  // The epochs of another realm are no measure for this one's, and an empty backup has taken over none yet.
  const isMeasure = tx.site().realm !== null && !refusalsOfStrangers.has(code);
  if (code === undefined || isMeasure) recordEpoch(tx, push.epoch);
  if (code !== undefined) {
    const rejected = tx.state.hasRejections ? readRejections(connection) : [];
    return { kind: "refused", code, receiver: receiverOf(tx), rejected, hasYielded };
  }
  const tally: Tally = { accepted: 0, ignored: 0, refused: [] };
  const context = { hash, now, fork: tx.site().head.position };
  for (const [index, pushed] of push.rows.entries()) {
    if (index > 0 && index % sliceRows === 0) yield;
    applyRow(tx, pushed, context, tally);
  }
  yield* recordPoints(tx, push);
  const verified = proveEqual(tx, push, hash, tally.refused);
  moveWatermark(tx, push, verified === true ? { position: push.through.position, at: now } : null, now);
  yield* pruneInSlices(tx, prunedPerPush + push.points.length);
  const { accepted, ignored, refused } = tally;
  const rejected = tx.state.hasRejections ? readRejections(connection, refused) : [];
  const aside = tx.state.hasAside ? countWaiting(connection) : 0;
  return {
    kind: "applied",
    receiver: receiverOf(tx),
    accepted,
    ignored,
    rejected,
    verified,
    aside,
    hasYielded,
  };
}

/** What this site answers: its epoch is the highest it has seen, so that a primary that is none any more learns of it. */
export function receiverOf(tx: Transaction): Receiver {
  const { site, realm, role, epochSeen, head } = tx.site();
  return { site, realm, role, epoch: epochSeen, applied: head, timeline: tx.state.timeline };
}

/** The core's checks, and that the push goes upwards: the watermark moves back only with its disk (I6). */
function judge(tx: Transaction, push: Push): PushRefusal | undefined {
  const code = judgePush(receiverOf(tx), push);
  if (code !== undefined) return code;
  return comparePositions(push.through.position, push.after.position) < 0 ? "resume" : undefined;
}

/** What is here already needs no look at what was sent of it: only a row that would be stored can be refused. */
function applyRow(tx: Transaction, pushed: PushedRow, context: AsideContext, tally: Tally): void {
  if (pushed.kind === "unreadable") return refuseRow(tx, pushed, tally);
  const { row } = pushed;
  const stored = readOutline(tx.connection, row.key);
  const isNew = replaces(row, stored);
  const code = isNew ? faultOf(row, context.hash) : undefined;
  if (code) return refuseRow(tx, { key: wireKeyOf(row.key), position: row.position, code }, tally);
  if (isNew) takeRow(tx, stored, row, context);
  if (isNew) tally.accepted += 1;
  else tally.ignored += 1;
  dropRejection(tx, wireKeyOf(row.key), row.position);
}

/**
 * What stands above this site's own watermark, here `fork`, was carried there with a batch that ended below it. It may be of a
 * history that was undone since, with the primary's disk or with the primary, so that it is kept until the primary has looked.
 */
function takeRow(tx: Transaction, stored: RowOutline | undefined, row: Row, context: AsideContext): void {
  if (stored && comparePositions(stored.position, context.fork) > 0) {
    const carried = readRow(tx.connection, row.key);
    if (carried) putAside(tx, carried, context);
  }
  tx.replaceRow(stored, { ...row, dirty: false, dirtySince: null, replicatedAt: null });
  if (stored) pruneLeft(tx, stored.position);
  forgetTaken(tx, row);
}

function refuseRow(tx: Transaction, rejection: Rejection, tally: Tally): void {
  addRejection(tx, rejection);
  tally.refused.push(rejection);
}

export function faultOf(row: Row, hash: Hash): "row_too_large" | "row_hash_wrong" | undefined {
  if (row.body !== null && row.body.length > rowBodyBytesMaxOf(row.key.kind)) return "row_too_large";
  return isIntact(hash, row) ? undefined : "row_hash_wrong";
}

/** With them this history is as dense as the primary's, and whoever stood at one of them is known here too. */
function* recordPoints({ connection }: Transaction, { after, through, points }: Push): Steps<void> {
  for (const [index, point] of points.entries()) {
    if (index > 0 && index % slicePoints === 0) yield;
    const isBetween =
      comparePositions(point.position, after.position) > 0 &&
      comparePositions(point.position, through.position) < 0;
    if (isBetween) recordPoint(connection, point, false);
  }
}

/**
 * Whether this site's rows are the sender's, but for those that it has refused; null where there is nothing to compare: a row
 * that is refused only now is still in the sender's digest, and the next one will leave it out.
 */
function proveEqual(
  tx: Transaction,
  { digest, except }: Push,
  hash: Hash,
  refused: readonly Rejection[],
): boolean | null {
  if (digest === null) return null;
  const named = new Set(except.map((key) => wireKeyName(wireKeyOf(key))));
  if (refused.some(({ key }) => !named.has(wireKeyName(key)))) return null;
  const held = except.map((key) => readOutline(tx.connection, key)).filter((row) => row !== undefined);
  return bytesEqual(digestWithout(tx.buckets(), held, hash), digest);
}

/** Every applied point is one that the primary may hear named again, so none is ever pruned. */
function moveWatermark(tx: Transaction, push: Push, verified: Verified | null, now: number): void {
  const site = tx.site();
  if (compareEpochs(push.epoch, site.epoch) > 0) waitAgain(tx);
  tx.saveSite({
    ...site,
    realm: push.realm,
    epoch: compareEpochs(push.epoch, site.epoch) > 0 ? push.epoch : site.epoch,
    head: push.through,
    primary: { site: push.site, url: push.publicUrl, lastPushAt: now },
    verified: verified ?? site.verified,
    isComplete: site.isComplete || verified !== null,
  });
  recordPoint(tx.connection, push.through, true);
  if (!sameTimeline(tx.state.timeline, push.timeline)) tx.saveTimeline(push.timeline);
}
