import type { SiteName } from "../../core/ids.ts";
import { comparePositions, origin, type Point, type Position } from "../../core/position.ts";
import type { Peer, Verified } from "../../core/store.ts";
import { bytesOf, type Connection } from "./connection.ts";
import { type VerifiedColumns, verifiedOf } from "./site-record.ts";

type PeerColumns = {
  site: SiteName;
  acked_epoch: number | null;
  acked_seq: number | null;
  acked_chain: Uint8Array | null;
  last_ack_at: number | null;
  is_new: number;
  diverged: number;
  repairs: number;
} & VerifiedColumns;

function peerOf(columns: PeerColumns): Peer {
  const { acked_epoch: epoch, acked_seq: seq, acked_chain: chain } = columns;
  const acked =
    epoch === null || seq === null || chain === null
      ? null
      : { position: { epoch, seq }, chain: bytesOf(chain) };
  return {
    site: columns.site,
    acked,
    lastAckAt: columns.last_ack_at,
    verified: verifiedOf(columns),
    diverged: columns.diverged === 1,
    repairs: columns.repairs,
  };
}

export function readPeers(connection: Connection): Peer[] {
  return connection.all<PeerColumns>("SELECT * FROM peers ORDER BY site").map(peerOf);
}

export function readPeer(connection: Connection, site: SiteName): Peer | undefined {
  const columns = connection.get<PeerColumns>("SELECT * FROM peers WHERE site = ?", site);
  return columns && peerOf(columns);
}

export function saveAcked(connection: Connection, site: SiteName, acked: Point): void {
  connection.run(
    "UPDATE peers SET acked_epoch = ?, acked_seq = ?, acked_chain = ?, is_new = 0 WHERE site = ?",
    acked.position.epoch,
    acked.position.seq,
    acked.chain,
    site,
  );
}

/** Keeps what a comparison of digests has shown. */
export function saveProof(
  connection: Connection,
  site: SiteName,
  isEqual: boolean,
  { position, at }: Verified,
): void {
  if (isEqual) {
    connection.run(
      "UPDATE peers SET verified_epoch = ?, verified_seq = ?, verified_at = ?, diverged = 0, repairs = 0 WHERE site = ?",
      position.epoch,
      position.seq,
      at,
      site,
    );
  } else connection.run("UPDATE peers SET diverged = 1 WHERE site = ?", site);
}

/** See PrimaryStore.beginRepair. */
export function countRepair(connection: Connection, site: SiteName): void {
  connection.run("UPDATE peers SET repairs = repairs + 1 WHERE site = ?", site);
}

/** See PrimaryStore.demandRepair. */
export function demandRepair(connection: Connection, site: SiteName): void {
  connection.run("UPDATE peers SET diverged = 1, repairs = 0 WHERE site = ?", site);
}

/** Up to where every peer is known to hold everything: the origin while one of them is unknown; undefined without peers. */
export function lowestAcked(connection: Connection): Position | undefined {
  return lowest(readPeers(connection));
}

/**
 * Above which rows some peer is known to lack: a new one lacks all of them, but one that is only unknown since a promotion may
 * hold everything, and will say so. Undefined where nobody is known to lack any.
 */
export function lowestLacking(connection: Connection): Position | undefined {
  const sql = "SELECT * FROM peers WHERE acked_epoch IS NOT NULL OR is_new = 1";
  return lowest(connection.all<PeerColumns>(sql).map(peerOf));
}

function lowest(peers: readonly Peer[]): Position | undefined {
  return peers.map((peer) => (peer.acked ?? origin).position).toSorted(comparePositions)[0];
}
