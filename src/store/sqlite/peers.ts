import type { SiteName } from "../../core/ids.ts";
import { comparePositions, origin, type Position } from "../../core/position.ts";
import type { Peer } from "../../core/store/replication.ts";
import { bytesOf, type Connection } from "./connection.ts";
import { type VerifiedColumns, verifiedOf } from "./site-record.ts";

/** `isNew`: since it was configured it has acknowledged nothing, so that it lacks every row. */
export type StoredPeer = Peer & { readonly isNew: boolean };

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

function peerOf(columns: PeerColumns): StoredPeer {
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
    isNew: columns.is_new === 1,
  };
}

export function newPeer(site: SiteName): StoredPeer {
  return { site, acked: null, lastAckAt: null, verified: null, diverged: false, repairs: 0, isNew: true };
}

export function readPeers(connection: Connection): StoredPeer[] {
  return connection.all<PeerColumns>("SELECT * FROM peers ORDER BY site").map(peerOf);
}

/** Only for Transaction.savePeer, which keeps what is known of the peers in step. */
export function storePeer(connection: Connection, peer: StoredPeer): void {
  const { acked, verified } = peer;
  connection.run(
    `INSERT OR REPLACE INTO peers (site, acked_epoch, acked_seq, acked_chain, last_ack_at, is_new, verified_epoch, verified_seq,
       verified_at, diverged, repairs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    peer.site,
    acked?.position.epoch ?? null,
    acked?.position.seq ?? null,
    acked?.chain ?? null,
    peer.lastAckAt,
    peer.isNew ? 1 : 0,
    verified?.position.epoch ?? null,
    verified?.position.seq ?? null,
    verified?.at ?? null,
    peer.diverged ? 1 : 0,
    peer.repairs,
  );
}

/** Only for Transaction.removePeer. */
export function deletePeer(connection: Connection, site: SiteName): void {
  connection.run("DELETE FROM peers WHERE site = ?", site);
}

/** Up to where every peer is known to hold everything: the origin while one of them is unknown; undefined without peers. */
export function lowestAcked(peers: readonly Peer[]): Position | undefined {
  return peers.map((peer) => (peer.acked ?? origin).position).toSorted(comparePositions)[0];
}

/**
 * Above which rows some peer is known to lack: a new one lacks all of them, but one that is only unknown since a promotion may
 * hold everything, and will say so. Undefined where nobody is known to lack any.
 */
export function lowestLacking(peers: readonly StoredPeer[]): Position | undefined {
  return lowestAcked(peers.filter(({ acked, isNew }) => acked !== null || isNew));
}
