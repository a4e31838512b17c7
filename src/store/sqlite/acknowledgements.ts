import type { SiteName } from "../../core/ids.ts";
import { comparePositions } from "../../core/position.ts";
import type { StoredRow } from "../../core/row.ts";
import type { Acknowledgement } from "../../core/store.ts";
import { lowestAcked, type StoredPeer } from "./peers.ts";
import { acknowledgedPeer } from "./primary.ts";
import type { State } from "./state.ts";

type Pending = { readonly peer: StoredPeer; readonly hasRejected: boolean };

/**
 * What ACKs have changed and no transaction has stored yet: an ACK costs no commit of its own, it goes with the next one. Losing
 * it costs a repeated push. Until it is stored, whoever reads is shown what the ACK has changed.
 */
export class Acknowledgements {
  readonly #pending = new Map<SiteName, Pending>();

  /** @param peer as it is known, earlier ACKs included */
  add(peer: StoredPeer, ack: Acknowledgement, now: number): void {
    const acknowledged = { ...peer, ...acknowledgedPeer(peer, ack, now) };
    const hasRejected = ack.rejected.length > 0 || this.#pending.get(peer.site)?.hasRejected === true;
    this.#pending.set(peer.site, { peer: acknowledged, hasRejected });
  }

  /** To be called when they are stored, or when that has failed. */
  clear(): void {
    this.#pending.clear();
  }

  /** A state as it will be when they are stored. */
  over(state: State): State {
    if (this.#pending.size === 0) return state;
    return { ...state, peers: state.peers.map((peer) => this.#pending.get(peer.site)?.peer ?? peer) };
  }

  /** A row as it will be: without its mark, where every peer holds it. */
  shown(row: StoredRow, state: State): StoredRow {
    if (!row.dirty || this.#pending.size === 0 || this.#isRefusing(state)) return row;
    const { peers } = this.over(state);
    const lowest = lowestAcked(peers);
    if (!lowest || comparePositions(row.position, lowest) > 0) return row;
    const replicatedAt = Math.max(...peers.map(({ lastAckAt }) => lastAckAt ?? 0));
    return { ...row, dirty: false, dirtySince: null, replicatedAt };
  }

  /** Whether a mark may have to stay because a peer refuses its row: then the transaction decides. */
  #isRefusing(state: State): boolean {
    return state.hasQuarantined || [...this.#pending.values()].some(({ hasRejected }) => hasRejected);
  }
}
