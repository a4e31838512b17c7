import { compareEpochs } from "../../core/epoch.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions } from "../../core/position.ts";
import {
  judgePush,
  type Push,
  type PushedRow,
  type PushRefusal,
  type Receiver,
  type Rejection,
  replaces,
  wireKeyOf,
} from "../../core/push.ts";
import { isIntact, type Row, rowBodyBytesMax } from "../../core/row.ts";
import type { ApplyOutcome } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { recordPoint } from "./history.ts";
import { addRejection, dropRejection, hasRejections, readRejections } from "./rejections.ts";
import { readOutline } from "./replicated-tables.ts";
import { readTimeline, sameTimeline, writeTimeline } from "./site-record.ts";
import { recordEpoch, type Steps, type Transaction } from "./transaction.ts";

/** Rows applied in one step. */
const sliceRows = 200;

type Tally = { accepted: number; ignored: number; hasRejections: boolean; readonly refused: Rejection[] };

/** See BackupStore.applyPush. */
export function* applyPush(tx: Transaction, push: Push, hash: Hash, now: number): Steps<ApplyOutcome> {
  const { connection } = tx;
  const code = judge(tx, push);
  // The epochs of another realm are no measure for this one's, and an empty backup has taken over none yet.
  if (code === undefined || (code !== "other_realm" && tx.site().realm !== null)) recordEpoch(tx, push.epoch);
  if (code !== undefined) {
    return { kind: "refused", code, receiver: receiverOf(tx), rejected: readRejections(connection) };
  }
  const tally: Tally = { accepted: 0, ignored: 0, hasRejections: hasRejections(connection), refused: [] };
  for (const [index, pushed] of push.rows.entries()) {
    if (index > 0 && index % sliceRows === 0) yield;
    applyRow(tx, pushed, hash, tally);
  }
  moveWatermark(tx, push, now);
  const { accepted, ignored, refused } = tally;
  const rejected = tally.hasRejections ? readRejections(connection, refused) : [];
  return { kind: "applied", receiver: receiverOf(tx), accepted, ignored, rejected };
}

/** What this site answers: its epoch is the highest it has seen, so that a primary that is none any more learns of it. */
function receiverOf(tx: Transaction): Receiver {
  const { site, realm, role, epochSeen, head } = tx.site();
  return { site, realm, role, epoch: epochSeen, applied: head, timeline: readTimeline(tx.connection) };
}

/** The core's checks, and that the push goes upwards: the watermark moves back only with its disk (I6). */
function judge(tx: Transaction, push: Push): PushRefusal | undefined {
  const code = judgePush(receiverOf(tx), push);
  if (code !== undefined) return code;
  return comparePositions(push.through.position, push.after.position) < 0 ? "resume" : undefined;
}

/** What is here already needs no look at what was sent of it: only a row that would be stored can be refused. */
function applyRow(tx: Transaction, pushed: PushedRow, hash: Hash, tally: Tally): void {
  const { connection } = tx;
  if (pushed.kind === "unreadable") return refuseRow(connection, pushed, tally);
  const { row } = pushed;
  const stored = readOutline(connection, row.key);
  const isNew = replaces(row, stored);
  const code = isNew ? faultOf(row, hash) : undefined;
  if (code) return refuseRow(connection, { key: wireKeyOf(row.key), position: row.position, code }, tally);
  if (isNew) tx.replaceRow(stored, { ...row, dirty: false, dirtySince: null, replicatedAt: null });
  if (isNew) tally.accepted += 1;
  else tally.ignored += 1;
  if (tally.hasRejections) dropRejection(connection, wireKeyOf(row.key), row.position);
}

function refuseRow(connection: Connection, rejection: Rejection, tally: Tally): void {
  addRejection(connection, rejection);
  tally.hasRejections = true;
  tally.refused.push(rejection);
}

function faultOf(row: Row, hash: Hash): "row_too_large" | "row_hash_wrong" | undefined {
  if (row.body !== null && row.body.length > rowBodyBytesMax) return "row_too_large";
  return isIntact(hash, row) ? undefined : "row_hash_wrong";
}

/** Every applied point is one that the primary may hear named again, so none is ever pruned. */
function moveWatermark(tx: Transaction, push: Push, now: number): void {
  const site = tx.site();
  tx.saveSite({
    ...site,
    realm: push.realm,
    epoch: compareEpochs(push.epoch, site.epoch) > 0 ? push.epoch : site.epoch,
    head: push.through,
    primary: { site: push.site, url: push.publicUrl, lastPushAt: now },
  });
  recordPoint(tx.connection, push.through, true);
  if (!sameTimeline(readTimeline(tx.connection), push.timeline)) writeTimeline(tx.connection, push.timeline);
}
