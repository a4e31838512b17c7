import { comparePositions, origin, type Point } from "../../core/position.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Acknowledgement, RefusedRow } from "../../core/store/replication.ts";
import { changesKept, pruneHistory } from "./history-pruning.ts";
import { flagAcknowledged } from "./history.ts";
import { storeShown } from "./audit-chains.ts";
import { clearMarkOf, clearMarks, clearMarksNow } from "./marks.ts";
import { lowestAcked, type StoredPeer } from "./peers.ts";
import { emptyQuarantine, leaveAbove, leaveUnnamed, quarantineRows, settleQuarantine } from "./quarantine.ts";
import type { UnsavedAcks } from "./plain-ack.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Points of the history looked at with each acknowledgement: more than a batch has, so that pruning keeps up. */
const prunedPerAck = 200;

/** See ReplicationWriter.configurePeers. */
export function* configurePeers(tx: Transaction, sites: readonly SiteName[], now: number): Steps<void> {
  const stored = tx.state.peers.map((peer) => peer.site);
  const gone = stored.filter((site) => !sites.includes(site));
  for (const site of gone) {
    tx.removePeer(site);
    emptyQuarantine(tx, site);
  }
  for (const site of sites) if (!stored.includes(site)) tx.addPeer(site);
  // What waited for a peer that is gone may stand anywhere.
  if (gone.length > 0) yield* clearMarks(tx, origin.position, now);
}

/** What an ACK changes of what is kept of its peer. */
export function acknowledgedPeer(peer: StoredPeer, ack: Acknowledgement, now: number): Partial<StoredPeer> {
  const { position } = ack.through;
  const order = peer.acked === null ? 1 : comparePositions(position, peer.acked.position);
  // A late answer about an older state says nothing of what was proved since.
  const proved = order >= 0 && ack.verified !== null ? provedBy(ack.verified, position, now) : {};
  return { ...(order > 0 && { acked: ack.through }), ...proved, lastAckAt: now, isNew: false };
}

function provedBy(isEqual: boolean, position: Point["position"], now: number): Partial<StoredPeer> {
  return isEqual ? { verified: { position, at: now }, diverged: false, repairs: 0 } : { diverged: true };
}

/** See Acknowledgements.take. A point that this history never went through changes nothing: it is of another reign. */
export function* acknowledge(
  tx: Transaction,
  site: SiteName,
  ack: Acknowledgement,
  now: number,
): Steps<"known" | "unknown"> {
  const peer = tx.peer(site);
  if (!peer || !flagAcknowledged(tx.connection, ack.through)) return "unknown";
  const before = lowestAcked(tx.state.peers);
  tx.changePeer(site, acknowledgedPeer(peer, ack, now));
  const left = settleQuarantine(tx, site, ack);
  yield* clearMarks(tx, before, now);
  for (const key of left) clearMarkOf(tx, key, now);
  pruneHistory(tx, { pointsMax: prunedPerAck, changesKept });
  return "known";
}

/** Stores what plain ACKs have changed of the state already. */
export function storeAcks(tx: Transaction, { peers, shown, points, clearFrom, at }: UnsavedAcks): void {
  for (const site of peers.keys()) tx.changePeer(site, {});
  for (const site of shown.keys()) storeShown(tx.connection, site, tx.state.shown.get(site) ?? []);
  for (const point of points) flagAcknowledged(tx.connection, point);
  clearMarksNow(tx, clearFrom, at);
  pruneHistory(tx, { pointsMax: prunedPerAck, changesKept });
}

/** See ReplicationWriter.resumeFrom. Upwards it stands for the ACK that was lost, so marks are cleared as by that. */
export function* resumeFrom(
  tx: Transaction,
  site: SiteName,
  { applied, rejected }: { readonly applied: Point; readonly rejected: readonly RefusedRow[] },
  now: number,
): Steps<"known" | "unknown" | "foreign"> {
  if (!flagAcknowledged(tx.connection, applied)) {
    if (applied.position.epoch < tx.site().epoch.number) return "foreign";
    fenceBehind(tx);
    return "unknown";
  }
  const before = lowestAcked(tx.state.peers);
  tx.changePeer(site, { acked: applied, isNew: false });
  leaveAbove(tx, site, applied.position);
  const left = leaveUnnamed(tx, site, applied.position, rejected);
  quarantineRows(tx, site, rejected);
  yield* clearMarks(tx, before, now);
  for (const key of left) clearMarkOf(tx, key, now);
  return "known";
}

/**
 * A site that is superseded stays so: that it also went back in time is the lesser trouble. An open grant stays open, but is no
 * reason any more to go on shipping: what it promises is not what the backups hold.
 */
function fenceBehind(tx: Transaction): void {
  const site = tx.site();
  const isSuperseded = site.fenced === "primary_superseded";
  if (site.role === "primary" && !isSuperseded) tx.saveSite({ ...site, fenced: "primary_behind" });
}
