import { compareEpochs, type Epoch, isReignOfAnother } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import { formatPosition, origin, type Point } from "../../core/position.ts";
import { formatKey } from "../../core/row.ts";
import type { Grant, GrantAnswer, GrantOrigin } from "../../core/store/roles.ts";
import type { Site } from "../../core/store/site.ts";
import type { Connection } from "./connection.ts";
import { readQuarantined } from "./quarantine.ts";
import type { Transaction } from "./transaction.ts";

/**
 * A primary's promises to hand over, and the answers to promises of others. An answer, once given, stands for ever; a grant that
 * was given back is forgotten where it cannot be used any more, so that nobody fills a site with them.
 */

/** Rows in quarantine that a refusal names. */
const namedRowsMax = 100;

/** See RoleWriter.grant. A primary that went back stays fenced for that: its grant is a way out, not the reason. */
export function grantTo(tx: Transaction, to: SiteName, at: Point | undefined, id: string): Grant {
  const site = tx.site();
  if (site.role === "backup") throw new Refusal("read_only_backup");
  if (site.grant?.to === to) return site.grant;
  if (site.grant) throw new Refusal("grant_open", `this site has promised to hand over to ${site.grant.to}`);
  if (!tx.peer(to)) throw new Refusal("peer_unknown", `no peer is named ${to}`);
  refuseByFence(site, at);
  if (!at) refuseQuarantined(tx.connection, to);
  const grant: Grant = { id, to, epoch: site.epoch, head: at ?? site.head };
  tx.saveSite({ ...site, fenced: site.fenced ?? "promotion_granted", grant });
  return grant;
}

function refuseByFence({ fenced }: Site, at: Point | undefined): void {
  if (at && fenced !== "primary_behind") throw new Refusal("not_behind");
  if (!at && fenced !== null) throw new Refusal("site_fenced", `this site is fenced: ${fenced}`);
}

/** What the other site refuses it would lack for good as a primary. */
function refuseQuarantined(connection: Connection, to: SiteName): void {
  const rows = readQuarantined(connection, to, origin.position, namedRowsMax);
  if (rows.length === 0) return;
  const mistakes = rows.map(({ key, position }) => ({
    path: formatKey(key),
    message: `${to} refuses it as it stands at ${formatPosition(position)}`,
  }));
  throw new Refusal("rows_quarantined", `${to} refuses ${rows.length} rows`, mistakes);
}

/**
 * See RoleWriter.endGrant. That the other site was promoted is kept: a later word to the contrary, from a disk that was put
 * back, must not make two primaries. Given back, the grant is gone, and no word on it counts any more.
 */
export function endGrant(tx: Transaction, grantId: string, answer: GrantAnswer): void {
  const site = tx.site();
  if (site.grant?.id !== grantId) return;
  if (answer === "promoted") recordAnswer(tx.connection, grantId, answer);
  if (readAnswer(tx.connection, grantId)?.answer === "promoted") return;
  const isSuperseded = compareEpochs(site.epochSeen, site.epoch) > 0;
  const before = site.fenced === "promotion_granted" ? null : site.fenced;
  tx.saveSite({ ...site, fenced: isSuperseded ? "primary_superseded" : before, grant: null });
}

/** See RoleWriter.decline. */
export function declineGrant(tx: Transaction, grantId: string, of: GrantOrigin): GrantAnswer {
  const { connection } = tx;
  const known = readAnswer(connection, grantId);
  if (known) return known.answer;
  const { epochSeen } = tx.site();
  // A promotion takes only a grant of the highest epoch seen, which never falls: any other is declined by that alone.
  const isOver = compareEpochs(of.epoch, epochSeen) < 0;
  if (isOver || isReignOfAnother(tx.state.timeline, of.epoch, of.site)) return "declined";
  const sql = "DELETE FROM grant_answers WHERE answer = 'declined' AND epoch_number < ?";
  connection.run(sql, epochSeen.number);
  recordAnswer(connection, grantId, "declined", of.epoch);
  return "declined";
}

/**
 * Records an answer, unless there is one already.
 * @param epoch of the promotion; for a grant that was declined, its own or a later one
 */
export function recordAnswer(
  connection: Connection,
  grantId: string,
  answer: GrantAnswer,
  epoch: Epoch | null = null,
): void {
  if (readAnswer(connection, grantId)) return;
  connection.run(
    "INSERT INTO grant_answers (id, answer, epoch_number, epoch_id) VALUES (?, ?, ?, ?)",
    grantId,
    answer,
    epoch?.number ?? null,
    epoch?.id ?? null,
  );
}

export type RecordedAnswer = { readonly answer: GrantAnswer; readonly epoch: Epoch | null };

type AnswerColumns = { answer: GrantAnswer; epoch_number: number | null; epoch_id: string | null };

export function readAnswer(connection: Connection, grantId: string): RecordedAnswer | undefined {
  const columns = connection.get<AnswerColumns>(
    "SELECT answer, epoch_number, epoch_id FROM grant_answers WHERE id = ?",
    grantId,
  );
  if (!columns) return undefined;
  const { answer, epoch_number: number, epoch_id: id } = columns;
  return { answer, epoch: number === null || id === null ? null : { number, id } };
}
