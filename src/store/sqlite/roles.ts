import { compareEpochs, type Epoch, type Promotion } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { newUuidV4 } from "../../core/ids.ts";
import type { Hash, Random } from "../../core/ports.ts";
import { comparePositions, formatPosition } from "../../core/position.ts";
import { samePoint } from "../../core/push.ts";
import type { Grant } from "../../core/store/roles.ts";
import type { Site } from "../../core/store/site.ts";
import { waitAgain } from "./aside-rows.ts";
import { readAnswer, recordAnswer } from "./grants.ts";
import { recordPoint } from "./history.ts";
import { partWhereLacking } from "./lacking.ts";
import { dropRejectionsAbove, readRejections } from "./rejections.ts";
import { emptyQuarantine } from "./quarantine.ts";
import { type Steps, type Transaction, unknownPeer } from "./transaction.ts";

export type PromotionPorts = { readonly random: Random; readonly hash: Hash };

/** See RoleWriter.promoteBy. */
export function* promoteBy(
  tx: Transaction,
  grant: Grant,
  isProofNeeded: boolean,
  ports: PromotionPorts,
): Steps<Promotion> {
  const site = tx.site();
  const known = readAnswer(tx.connection, grant.id);
  if (known?.answer === "declined") throw new Refusal("grant_declined");
  if (known?.epoch) return promotionOf(tx, known.epoch, grant);
  refuseUnmet(site, grant);
  if (isProofNeeded) refuseUnproved(tx);
  const promotion = yield* becomePrimary(tx, site.epochSeen.number + 1, ports);
  recordAnswer(tx.connection, grant.id, "promoted", promotion.epoch);
  return promotion;
}

/** The promotion as it was, also where this site has come home since to a history that does not name it. */
function promotionOf(tx: Transaction, epoch: Epoch, grant: Grant): Promotion {
  const line = tx.state.timeline.find((one) => compareEpochs(one.epoch, epoch) === 0);
  return line ?? { epoch, site: tx.site().site, from: grant.head };
}

/** A grant is of one reign: who has heard of a later one must not rise against it by an old promise. */
function refuseUnmet(site: Site, grant: Grant): void {
  const isOfEpoch =
    compareEpochs(site.epoch, grant.epoch) === 0 && compareEpochs(site.epochSeen, grant.epoch) === 0;
  if (site.role === "backup" && grant.to === site.site && isOfEpoch && samePoint(site.head, grant.head))
    return;
  const [stands, needed] = [site.head.position, grant.head.position].map(formatPosition);
  throw new Refusal("grant_unmet", `${site.site} stands at ${stands}; the grant is to a backup at ${needed}`);
}

/** An equal digest leaves out what this site refuses, so that equal is not yet complete. */
function refuseUnproved(tx: Transaction): void {
  const { site, head, verified, isComplete } = tx.site();
  const mistakes = readRejections(tx.connection).map(({ key, position }) => ({
    path: [key.kind, ...Object.values(key.key)].join("/"),
    message: `${site} refuses it as it stands at ${formatPosition(position)}`,
  }));
  if (mistakes.length > 0) throw new Refusal("rows_quarantined", `${site} refuses rows`, mistakes);
  const isProved = verified !== null && comparePositions(verified.position, head.position) === 0;
  if (!isProved || !isComplete) throw new Refusal("not_proved");
}

/** See RoleWriter.promote. A grant may have been used already, by an epoch of the next number: a take-back goes above that. */
export function* promote(tx: Transaction, ports: PromotionPorts): Steps<Promotion> {
  const site = tx.site();
  if (site.role === "primary" && site.fenced === null) throw new Refusal("already_primary");
  if (site.realm === null)
    throw new Refusal("not_ready", `${site.site} was never filled, and belongs to no installation yet`);
  return yield* becomePrimary(tx, site.epochSeen.number + (site.grant ? 2 : 1), ports);
}

/** Everything that a change of reign is, in the one transaction that makes it. */
function* becomePrimary(tx: Transaction, number: number, { random, hash }: PromotionPorts): Steps<Promotion> {
  const { connection } = tx;
  const epoch: Epoch = { number, id: newUuidV4(random) };
  const from = yield* partWhereLacking(tx, epoch, hash);
  const site = tx.site();
  const promotion: Promotion = { epoch, site: site.site, from };
  tx.saveTimeline([...tx.state.timeline, promotion]);
  recordPoint(connection, site.head, true);
  forgetPeers(tx);
  dropRejectionsAbove(tx, { epoch: 0, seq: 0 });
  waitAgain(tx);
  tx.saveSite({
    ...site,
    role: "primary",
    fenced: null,
    epoch,
    epochSeen: epoch,
    primary: null,
    verified: null,
    isComplete: true,
    grant: null,
  });
  return promotion;
}

/** What was known of the peers was known to another reign, or at another state of this site. They are asked anew. */
export function forgetPeers(tx: Transaction): void {
  for (const { site } of tx.state.peers) tx.changePeer(site, unknownPeer);
  emptyQuarantine(tx, null);
}
