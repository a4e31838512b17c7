import type { SiteName } from "../../core/ids.ts";
import { comparePositions, origin, type Point, type Position } from "../../core/position.ts";
import type { Peer } from "../../core/store.ts";
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
    "UPDATE peers SET acked_epoch = ?, acked_seq = ?, acked_chain = ? WHERE site = ?",
    acked.position.epoch,
    acked.position.seq,
    acked.chain,
    site,
  );
}

/** Up to where every peer is known to hold everything: the origin while one of them is unknown; undefined without peers. */
export function lowestAcked(connection: Connection): Position | undefined {
  const positions = readPeers(connection).map((peer) => (peer.acked ?? origin).position);
  return positions.toSorted(comparePositions)[0];
}
