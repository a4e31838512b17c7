import { compareEpochs, isLeap } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { comparePositions, formatPosition, type Position } from "../../core/position.ts";
import type { Row } from "../../core/row.ts";
import type { Winner } from "../../core/store/roles.ts";
import type { Site } from "../../core/store/site.ts";
import { type AsideContext, putAside, waitAgain } from "./aside-rows.ts";
import type { Connection } from "./connection.ts";
import { knowsPoint } from "./history.ts";
import { clearAllMarks } from "./marks.ts";
import { dropRejectionsAbove } from "./rejections.ts";
import { type RowColumns, rowColumns, rowOf } from "./row-table.ts";
import { forgetPeers } from "./roles.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** What one step puts aside, at most: no more bodies than that are in memory at once. */
const sliceRows = 100;
const sliceBytes = 1024 * 1024;

/** Points forgotten in one step. */
const slicePoints = 2_000;

/**
 * See Homecoming.rejoin. The epoch stays the one of the last push that was applied here, until the winner pushes; what the
 * winner pushes is at or above the epoch seen from now on.
 */
export function* rejoin(
  tx: Transaction,
  winner: Winner,
  context: Omit<AsideContext, "fork">,
): Steps<{ readonly putAside: number }> {
  refuse(tx, winner);
  const common = winner.common.position;
  const putAsideRows = yield* putAsideAbove(tx, { ...context, fork: common });
  yield* dropHistoryAbove(tx, common);
  dropRejectionsAbove(tx, common);
  yield* clearAllMarks(tx);
  forgetPeers(tx);
  waitAgain(tx);
  tx.saveTimeline(winner.timeline);
  tx.saveSite(cameHome(tx.site(), winner));
  return { putAside: putAsideRows };
}

function cameHome(site: Site, { common, epoch }: Winner): Site {
  return {
    ...site,
    role: "backup",
    fenced: null,
    grant: null,
    head: common,
    epochSeen: epoch,
    primary: null,
    verified: null,
    isComplete: false,
  };
}

function refuse(tx: Transaction, { epoch, common }: Winner): void {
  const site = tx.site();
  if (site.role === "primary" && site.fenced === null) throw new Refusal("not_fenced");
  if (compareEpochs(epoch, site.epoch) <= 0 || compareEpochs(epoch, site.epochSeen) < 0)
    throw new Refusal("winner_unknown", `epoch ${epoch.number} is not above what this site has seen`);
  if (isLeap(epoch, site.epochSeen))
    throw new Refusal("winner_unknown", `no site can be at epoch ${epoch.number} yet`);
  if (!knowsPoint(tx.connection, common) || comparePositions(common.position, site.head.position) > 0)
    throw new Refusal("winner_unknown", `this site never stood at ${formatPosition(common.position)}`);
}

/** Returns how many were kept: a row that fails its own hash is removed alone. */
function* putAsideAbove(tx: Transaction, context: AsideContext): Steps<number> {
  let kept = 0;
  for (;;) {
    const rows = sliceAbove(tx.connection, context.fork);
    if (rows.length === 0) return kept;
    for (const row of rows) {
      if (putAside(tx, row, context)) kept += 1;
      tx.replaceRow(row, undefined);
    }
    yield;
  }
}

/** The next rows above a position, at most a slice of them but at least one where there is any. */
function sliceAbove(connection: Connection, { epoch, seq }: Position): readonly Row[] {
  const sql = `SELECT ${rowColumns} FROM rows WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ? + 0`;
  const rows: Row[] = [];
  let bytes = 0;
  for (const columns of connection.each<RowColumns>(sql, epoch, seq, sliceRows)) {
    bytes += columns.body?.length ?? 0;
    if (rows.length > 0 && bytes > sliceBytes) break;
    rows.push(rowOf(columns));
  }
  return rows;
}

/** What this site will know above the common point is the winner's history, from the winner. */
function* dropHistoryAbove(tx: Transaction, common: Position): Steps<void> {
  const { epoch, seq } = common;
  const sql = `DELETE FROM history WHERE (epoch, seq) IN
    (SELECT epoch, seq FROM history WHERE (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ? + 0)`;
  while (tx.connection.run(sql, epoch, seq, slicePoints) === slicePoints) yield;
  if (comparePositions(tx.state.pruned, common) > 0) tx.savePruned(common);
}
