import type { AuditHead, AuditPart } from "../../core/audit.ts";
import type { ShownHead } from "../../core/store/audit.ts";
import type { Acknowledgement } from "../../core/store/replication.ts";
import { bytesEqual } from "../../core/bytes.ts";
import type { SiteName } from "../../core/ids.ts";
import { comparePositions, origin, type Point, type Position } from "../../core/position.ts";
import type { StoredRow } from "../../core/row.ts";
import { chainNamed, hashAt, troublesOf } from "./audit-chains.ts";
import { lowestAcked, type StoredPeer } from "./peers.ts";
import { acknowledgedPeer } from "./primary.ts";
import type { State, View } from "./state.ts";

/**
 * What ACKs have changed of the state and no transaction has stored yet. An ACK costs no commit of its own: it goes with the next
 * transaction, whatever that is for. Losing it costs a repeated push.
 */
export type UnsavedAcks = {
  /** What they have made of the peers. */
  readonly peers: ReadonlyMap<SiteName, StoredPeer>;
  /** What peers have shown of their audit with them. */
  readonly shown: State["shown"];
  /** Where they stand: points of the history that are never forgotten. */
  readonly points: readonly Point[];
  /** What every peer held before: above it, marks are still to be cleared. */
  readonly clearFrom: Position;
  /** When the last one came. */
  readonly at: number;
};

/** More rows are cleared of their marks in a transaction that lets others work in between. */
const rowsMax = 200;

/** An ACK as it is kept in memory: the state it makes, and what is to be stored of it. */
export type PlainAck = { readonly state: State; readonly unsaved: UnsavedAcks };

/**
 * Takes an ACK into the state. Undefined for one that is not plain, and needs a transaction: of many rows, where rows are refused,
 * or where what it tells of an audit is new.
 * @param unsaved what earlier ACKs have left to be stored
 */
export function takePlainAck(
  view: View,
  { peer: site, ack, now }: { readonly peer: SiteName; readonly ack: Acknowledgement; readonly now: number },
  unsaved: UnsavedAcks | null,
): PlainAck | undefined {
  const { state } = view;
  const peer = state.peers.find((known) => known.site === site);
  const isRefusing = state.hasQuarantined || ack.rejected.length > 0;
  if (!peer || isRefusing || ack.rows.length > rowsMax) return undefined;
  const heads = shownHeads(view, ack.audit);
  if (heads === "new") return undefined;
  const acknowledged = { ...peer, ...acknowledgedPeer(peer, ack, now) };
  const peers = state.peers.map((known) => (known === peer ? acknowledged : known));
  const shown = heads ? new Map([...state.shown, [site, heads]]) : state.shown;
  return {
    state: { ...state, peers, shown },
    unsaved: {
      peers: new Map([...(unsaved?.peers ?? []), [site, acknowledged]]),
      shown: new Map([...(unsaved?.shown ?? []), ...(heads ? [[site, heads] as const] : [])]),
      points: [...(unsaved?.points ?? []), ack.through],
      clearFrom: unsaved?.clearFrom ?? lowestAcked(state.peers) ?? origin.position,
      at: now,
    },
  };
}

/**
 * A state that was read from the disk, as ACKs have made it that are not stored there: what a backup has acknowledged stays true where a
 * COMMIT fails, and a worker that sleeps would not push it again.
 */
export function withUnsavedAcks(state: State, unsaved: UnsavedAcks | null): State {
  if (!unsaved) return state;
  const peers = state.peers.map((peer) => unsaved.peers.get(peer.site) ?? peer);
  return { ...state, peers, shown: new Map([...state.shown, ...unsaved.shown]) };
}

/** The heads that an ACK shows, where they are of known chains and tell nothing that has to be looked into. */
function shownHeads(view: View, audit: AuditPart | undefined): readonly ShownHead[] | undefined | "new" {
  if (!audit) return undefined;
  if (audit.records.length > 0 || troublesOf(view.state).length > 0) return "new";
  const heads: ShownHead[] = [];
  for (const shown of audit.heads) {
    const held = heldOf(view, shown);
    if (held === undefined) return "new";
    heads.push({ chain: shown.chain, head: shown.head, held });
  }
  return heads;
}

/** Up to where a chain is held here that a peer shows as this site has it; undefined where it does not. */
function heldOf({ connection, state }: View, { chain, site, head }: AuditHead): number | undefined {
  const known = chainNamed(state, chain);
  if (!known || known.site !== site || head.seq > known.head.seq) return undefined;
  const here = hashAt(connection, known, head.seq);
  return here && bytesEqual(here, head.hash) ? known.head.seq : undefined;
}

/** A row as it will be when ACKs are stored: without its mark, where every peer holds it. */
export function asAcknowledged(row: StoredRow, state: State, unsaved: UnsavedAcks | null): StoredRow {
  if (!row.dirty || unsaved === null || state.hasQuarantined) return row;
  const lowest = lowestAcked(state.peers);
  if (!lowest || comparePositions(row.position, lowest) > 0) return row;
  return { ...row, dirty: false, dirtySince: null, replicatedAt: unsaved.at };
}
