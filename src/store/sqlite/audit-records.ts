import {
  type AuditEvent,
  type AuditRecord,
  auditChainsMax,
  beginAction,
  boundedEvent,
  chainStart,
  encodeBeginning,
  type KnownHead,
  nextRecord,
} from "../../core/audit.ts";
import type { AuditPage, AuditPlace, AuditQuery } from "../../core/store/audit.ts";
import { type ChainId, newUuidV4, type SiteName } from "../../core/ids.ts";
import type { Hash, Random } from "../../core/ports.ts";
import type { StoredRow } from "../../core/row.ts";
import {
  chainNamed,
  insertChain,
  insertRecords,
  moveAnchor,
  ownChain,
  recordOf,
  type StoredChain,
} from "./audit-chains.ts";
import { bytesOf } from "./connection.ts";
import type { View } from "./state.ts";
import type { Transaction } from "./transaction.ts";

/** What the audit needs of its store. */
export type AuditPorts = {
  readonly hash: Hash;
  readonly random: Random;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
  /** How long records are kept. */
  readonly keepMs: number;
};

/** With every so many records of its own, a site looks for those that are older than is kept. */
const pruneEvery = 16;
/** So many are then taken from each chain: more than are added meanwhile. */
const prunedPerLook = 64;

/** Appends to this site's own chain; begins one where there is none. */
export function appendAudit(tx: Transaction, events: readonly AuditEvent[], ports: AuditPorts): void {
  const { id, chain, head } = ownChain(tx.state) ?? beginChain(tx, [], ports);
  const records: AuditRecord[] = [];
  for (const event of events) {
    const record = { ...boundedEvent(event), at: ports.now, details: null };
    records.push(nextRecord(ports.hash, records.at(-1) ?? { chain, ...head }, record));
  }
  insertRecords(tx, id, records);
  const looks = Math.floor((head.seq + records.length) / pruneEvery) - Math.floor(head.seq / pruneEvery);
  if (looks > 0) pruneAudit(tx, ports.now - ports.keepMs);
}

/** Of a write that tells no more than what it is, the rows tell the rest: which vault, and which entry or access where it is one. */
export function aboutRows(event: AuditEvent, changed: readonly StoredRow[]): AuditEvent {
  const entries = new Set<string>();
  const accesses = new Set<string>();
  for (const { key } of changed) {
    if (key.kind === "entry") entries.add(key.entryId);
    if (key.kind === "access") accesses.add(key.accessId);
    if (entries.size > 1) break;
  }
  // With an entry may go the caller's own access, whose slot is made anew.
  const items = entries.size > 0 ? entries : accesses;
  const [only = null] = items.size === 1 ? items : [];
  return {
    ...event,
    vaultId: event.vaultId ?? changed[0]?.key.vaultId ?? null,
    itemId: event.itemId ?? only,
  };
}

/**
 * Begins this site's next chain. Its first record names every chain that is known here, and where it stands, here and, in `shown`,
 * elsewhere.
 */
export function beginChain(tx: Transaction, shown: readonly KnownHead[], ports: AuditPorts): StoredChain {
  const { site } = tx.site();
  const held = tx.state.chains.map(({ chain, site: owner, head }) => ({ chain, site: owner, head }));
  // The newest chains, where there are more than a record has room for.
  const known = [...held, ...shown].slice(-auditChainsMax);
  const chain = newUuidV4(ports.random) as ChainId;
  const begun = insertChain(tx, { chain, site, isOwn: true, anchor: chainStart });
  const details = encodeBeginning({ site, known });
  const first = nextRecord(ports.hash, { chain, ...chainStart }, begin(site, details, ports));
  insertRecords(tx, begun.id, [first]);
  const stored = chainNamed(tx.state, chain);
  if (!stored) throw new Error("a chain that was begun is not there");
  return stored;
}

function begin(site: SiteName, details: Uint8Array, { now }: AuditPorts) {
  const actor = { kind: "machine", id: site } as const;
  const nothing = { vaultId: null, itemId: null, address: null } as const;
  return { actor, action: beginAction, ...nothing, result: "ok", at: now, details };
}

/** Forgets records from before a time, from the beginning of each chain and without gaps; what is left still proves itself. */
function pruneAudit(tx: Transaction, before: number): void {
  const { connection } = tx;
  for (const chain of tx.state.chains) {
    const { id, anchor } = chain;
    const oldest = connection.all<{ seq: number; at: number; hash: Uint8Array }>(
      "SELECT seq, at, hash FROM audit_records WHERE chain IN (?) AND seq > ? ORDER BY seq LIMIT ? + 0",
      id,
      anchor.seq,
      prunedPerLook,
    );
    const kept = oldest.findIndex(({ at }) => at >= before);
    const last = (kept === -1 ? oldest : oldest.slice(0, kept)).at(-1);
    if (!last) continue;
    connection.run("DELETE FROM audit_records WHERE chain = ? AND seq <= ?", id, last.seq);
    moveAnchor(tx, chain, { seq: last.seq, hash: bytesOf(last.hash) });
  }
}

/** Records looked at for one page of a single vault. */
const lookedAtMax = 1_000;

type ListedColumns = Parameters<typeof recordOf>[1] & { chain_name: ChainId; site: SiteName };

/** See AuditReader.page. */
export function readAuditPage(view: View, { limit, before, vaultId }: AuditQuery): AuditPage {
  const lookedAt = vaultId === null ? limit : Math.max(limit, lookedAtMax);
  const found = listBelow(view, before, lookedAt);
  const wanted = vaultId === null ? found : found.filter((columns) => columns.vault_id === vaultId);
  const page = wanted.slice(0, limit);
  const isCut = wanted.length > limit;
  const last = isCut ? page.at(-1) : found.at(-1);
  const isLast = !isCut && found.length < lookedAt;
  return {
    records: page.map((columns) => ({ ...recordOf(columns.chain_name, columns), site: columns.site })),
    next: isLast || !last ? undefined : { at: last.at, chain: last.chain_name, seq: last.seq },
  };
}

function listBelow(
  { connection, state }: View,
  before: AuditPlace | undefined,
  limit: number,
): ListedColumns[] {
  const select = `SELECT r.*, c.chain AS chain_name, c.site FROM audit_records r INDEXED BY audit_records_at
     CROSS JOIN audit_chains c ON c.id = r.chain`;
  const order = "ORDER BY r.at DESC, r.chain DESC, r.seq DESC LIMIT ? + 0";
  if (!before) return connection.all<ListedColumns>(`${select} ${order}`, limit);
  const chain = chainNamed(state, before.chain)?.id ?? 0;
  const below = "WHERE (r.at, r.chain, r.seq) < (?, ?, ?)";
  return connection.all<ListedColumns>(`${select} ${below} ${order}`, before.at, chain, before.seq, limit);
}
