import type { SiteName } from "../../core/ids.ts";
import { comparePositions, type Point } from "../../core/position.ts";
import type { Acknowledgement, RefusedRow } from "../../core/store.ts";
import { changesKept, pruneHistory } from "./history-pruning.ts";
import { flagAcknowledged, knowsPoint } from "./history.ts";
import { clearMarks } from "./marks.ts";
import { readPeer, readPeers, saveAcked, saveProof } from "./peers.ts";
import { leaveAbove, leaveUnnamed, quarantineRows, settleQuarantine } from "./quarantine.ts";
import type { Steps, Transaction } from "./transaction.ts";

/** Points of the history looked at with each acknowledgement: more than a batch has, so that pruning keeps up. */
const prunedPerAck = 200;

/** See PrimaryStore.configurePeers. */
export function* configurePeers(tx: Transaction, sites: readonly SiteName[], now: number): Steps<void> {
  const stored = readPeers(tx.connection).map((peer) => peer.site);
  const gone = stored.filter((site) => !sites.includes(site));
  for (const site of gone) {
    tx.connection.run("DELETE FROM peers WHERE site = ?", site);
    tx.connection.run("DELETE FROM quarantine WHERE peer = ?", site);
  }
  for (const site of sites)
    tx.connection.run("INSERT INTO peers (site) VALUES (?) ON CONFLICT DO NOTHING", site);
  tx.forgetPeers();
  if (gone.length > 0) yield* clearMarks(tx, now);
}

/**
 * See PrimaryStore.acknowledge. A point that this history never went through changes nothing: the push was made before the
 * database was put back to an older copy, and the next one will show that.
 */
export function* acknowledge(
  tx: Transaction,
  site: SiteName,
  ack: Acknowledgement,
  now: number,
): Steps<"known" | "unknown"> {
  const peer = readPeer(tx.connection, site);
  if (!peer || !knowsPoint(tx.connection, ack.through)) return "unknown";
  const { position } = ack.through;
  const order = peer.acked === null ? 1 : comparePositions(position, peer.acked.position);
  if (order > 0) {
    saveAcked(tx.connection, site, ack.through);
    flagAcknowledged(tx.connection, position);
  }
  // A late answer about an older state says nothing of what was proved since.
  if (order >= 0 && ack.verified !== null) {
    saveProof(tx.connection, site, ack.verified, { position, at: now });
  }
  tx.connection.run("UPDATE peers SET last_ack_at = ?, is_new = 0 WHERE site = ?", now, site);
  settleQuarantine(tx.connection, site, ack);
  yield* clearMarks(tx, now);
  pruneHistory(tx, { pointsMax: prunedPerAck, changesKept });
  return "known";
}

/** See PrimaryStore.resumeFrom. Upwards it stands for the ACK that was lost, so marks are cleared as by that. */
export function* resumeFrom(
  tx: Transaction,
  site: SiteName,
  { applied, rejected }: { readonly applied: Point; readonly rejected: readonly RefusedRow[] },
  now: number,
): Steps<"known" | "unknown" | "foreign"> {
  if (!knowsPoint(tx.connection, applied)) {
    if (applied.position.epoch < tx.site().epoch.number) return "foreign";
    fenceBehind(tx);
    return "unknown";
  }
  saveAcked(tx.connection, site, applied);
  flagAcknowledged(tx.connection, applied.position);
  leaveAbove(tx.connection, site, applied.position);
  leaveUnnamed(tx.connection, site, applied.position, rejected);
  quarantineRows(tx.connection, site, rejected);
  yield* clearMarks(tx, now);
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
