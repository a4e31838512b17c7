import { comparePositions, type Point } from "../../core/position.ts";
import { samePoint } from "../../core/push.ts";
import type { Peer } from "../../core/store/replication.ts";

/** Repairs tried without an equal proof before the incident is the operator's. */
const repairsMax = 2;

/**
 * What a worker remembers of proofs. It is a shortcut, not a state: a start asks the backup anew, so nothing is lost with it.
 */
export type ProofMemory = {
  /** The head at which the last question whether both sites are equal was answered, whatever the answer. */
  answeredAt: Point | null;
  /** Whether the question is to be asked even where an earlier answer stands: something was moved since. */
  isOwed: boolean;
  /** Whether a repair that was begun and counted was cut short: it is begun anew, and not counted again. */
  isRepairOpen: boolean;
};

/**
 * Whether a repair comes before the next proof: one that was never tried, since an operator may have asked for it with equal
 * digests, and one that was cut short.
 */
export function isRepairDue({ isRepairOpen }: ProofMemory, { diverged, repairs }: Peer): boolean {
  return diverged && (repairs === 0 || isRepairOpen);
}

/** Whether the backup differs and a repair may still be tried: no more than two without an equal proof, over restarts too. */
export function isRepairLeft(memory: ProofMemory, peer: Peer): boolean {
  return isRepairDue(memory, peer) || (peer.diverged && peer.repairs < repairsMax);
}

/** Whether a push is to ask for a proof at this head. */
export function isProofWanted(memory: ProofMemory, peer: Peer, head: Point): boolean {
  if (isRepairDue(memory, peer)) return false;
  const { answeredAt, isOwed } = memory;
  if (answeredAt && samePoint(answeredAt, head)) return false;
  if (isOwed || peer.diverged || peer.verified === null) return true;
  return comparePositions(peer.verified.position, head.position) !== 0;
}
