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
  type WireKey,
} from "../../core/push.ts";
import { isIntact, type Row, type RowKey, rowBodyBytesMax } from "../../core/row.ts";
import type { ApplyOutcome } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { recordPoint } from "./history.ts";
import { readPosition, storeRow } from "./replicated-tables.ts";
import { readTimeline, sameTimeline, writeTimeline } from "./site-record.ts";
import { recordEpoch, type Steps, type Transaction } from "./transaction.ts";

/** Rows applied in one step. */
const sliceRows = 200;

type Tally = { accepted: number; ignored: number; readonly rejected: Rejection[] };

/** See BackupStore.applyPush. */
export function* applyPush(tx: Transaction, push: Push, hash: Hash, now: number): Steps<ApplyOutcome> {
  const code = judge(tx, push);
  // The epochs of another realm are no measure for this one's.
  if (code !== "other_realm") recordEpoch(tx, push.epoch);
  if (code !== undefined) return { kind: "refused", code, receiver: receiverOf(tx) };
  const tally: Tally = { accepted: 0, ignored: 0, rejected: [] };
  for (const [index, pushed] of push.rows.entries()) {
    if (index > 0 && index % sliceRows === 0) yield;
    applyRow(tx.connection, pushed, hash, tally);
  }
  moveWatermark(tx, push, now);
  return { kind: "applied", receiver: receiverOf(tx), ...tally };
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

function applyRow(connection: Connection, pushed: PushedRow, hash: Hash, tally: Tally): void {
  const code = pushed.kind === "unreadable" ? pushed.code : faultOf(pushed.row, hash);
  if (code !== undefined) {
    tally.rejected.push({ key: pushed.kind === "unreadable" ? pushed.key : wireKey(pushed.row.key), code });
    return;
  }
  if (pushed.kind === "unreadable") return;
  const position = readPosition(connection, pushed.row.key);
  if (!replaces(pushed.row, position && { position })) {
    tally.ignored += 1;
    return;
  }
  storeRow(connection, { ...pushed.row, dirty: false, dirtySince: null, replicatedAt: null });
  tally.accepted += 1;
}

function faultOf(row: Row, hash: Hash): "row_too_large" | "row_hash_wrong" | undefined {
  if (row.body !== null && row.body.length > rowBodyBytesMax) return "row_too_large";
  return isIntact(hash, row) ? undefined : "row_hash_wrong";
}

function wireKey(key: RowKey): WireKey {
  switch (key.kind) {
    case "vault":
      return { kind: key.kind, key: { vault_id: key.vaultId } };
    case "access":
      return { kind: key.kind, key: { vault_id: key.vaultId, access_id: key.accessId } };
    case "entry":
      return { kind: key.kind, key: { vault_id: key.vaultId, entry_id: key.entryId } };
  }
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
