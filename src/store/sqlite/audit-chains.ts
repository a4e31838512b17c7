import type { AuditMark, AuditRecord } from "../../core/audit.ts";
import type { AuditChain, AuditTrouble, ShownHead } from "../../core/audit-store.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { ChainId, SiteName } from "../../core/ids.ts";
import { bytesOf, type Connection } from "./connection.ts";

/** A chain and the number by which its records name it. */
export type StoredChain = AuditChain & { readonly id: number };

type ChainColumns = {
  id: number;
  chain: ChainId;
  site: SiteName;
  own: number;
  forked: number;
  settled: number;
  anchor_seq: number;
  anchor_hash: Uint8Array;
  head_seq: number;
  head_hash: Uint8Array;
};

function chainOf(columns: ChainColumns): StoredChain {
  return {
    id: columns.id,
    chain: columns.chain,
    site: columns.site,
    isOwn: columns.own === 1,
    isForked: columns.forked === 1,
    isSettled: columns.settled === 1,
    anchor: { seq: columns.anchor_seq, hash: bytesOf(columns.anchor_hash) },
    head: { seq: columns.head_seq, hash: bytesOf(columns.head_hash) },
  };
}

/** In the order in which this site has met them. */
export function readChains(connection: Connection): StoredChain[] {
  return connection.all<ChainColumns>("SELECT * FROM audit_chains ORDER BY id").map(chainOf);
}

export function readChain(connection: Connection, chain: ChainId): StoredChain | undefined {
  const columns = connection.get<ChainColumns>("SELECT * FROM audit_chains WHERE chain = ?", chain);
  return columns && chainOf(columns);
}

/** The chain that this site appends to. */
export function readOwnChain(connection: Connection): StoredChain | undefined {
  const columns = connection.get<ChainColumns>("SELECT * FROM audit_chains WHERE own = 1");
  return columns && chainOf(columns);
}

export function insertChain(
  connection: Connection,
  { chain, site, isOwn, anchor }: Pick<AuditChain, "chain" | "site" | "isOwn" | "anchor">,
): StoredChain {
  if (isOwn) connection.run("UPDATE audit_chains SET own = 0 WHERE own = 1");
  connection.run(
    `INSERT INTO audit_chains (chain, site, own, anchor_seq, anchor_hash, head_seq, head_hash)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    chain,
    site,
    isOwn ? 1 : 0,
    anchor.seq,
    anchor.hash,
    anchor.seq,
    anchor.hash,
  );
  const inserted = readChain(connection, chain);
  if (!inserted) throw new Error("a chain that was stored is not there");
  return inserted;
}

/** Begins a copy of which nothing is left anew, further up. */
export function moveAnchor(connection: Connection, id: number, anchor: AuditMark): void {
  connection.run(
    "UPDATE audit_chains SET anchor_seq = ?, anchor_hash = ?, head_seq = ?, head_hash = ? WHERE id = ?",
    anchor.seq,
    anchor.hash,
    anchor.seq,
    anchor.hash,
    id,
  );
}

export type Parting = {
  readonly seq: number;
  /** Of the record that is another there; null where it is one that lacks here. */
  readonly hash: Uint8Array | null;
  readonly peer: SiteName;
  readonly isForked: boolean;
};

/** Notes what an operator is to be told of a chain. The first parting that was found stays. */
export function markTrouble(connection: Connection, id: number, parting: Parting): void {
  const { seq, hash, peer, isForked } = parting;
  connection.run(
    `UPDATE audit_chains SET forked = max(forked, ?), trouble_seq = coalesce(trouble_seq, ?),
       trouble_hash = CASE WHEN trouble_peer IS NULL THEN ? ELSE trouble_hash END,
       trouble_peer = coalesce(trouble_peer, ?) WHERE id = ?`,
    isForked ? 1 : 0,
    seq,
    hash,
    peer,
    id,
  );
}

/** The marks at which copies of a site's chains are known to be others than those here, and which it has not put on record. */
export function readPartings(
  connection: Connection,
  site: SiteName,
): readonly { readonly chain: ChainId; readonly mark: AuditMark }[] {
  return connection
    .all<{ chain: ChainId; seq: number; hash: Uint8Array }>(
      `SELECT chain, trouble_seq AS seq, trouble_hash AS hash FROM audit_chains
       WHERE site = ? AND own = 0 AND settled = 0 AND trouble_hash IS NOT NULL ORDER BY id`,
      site,
    )
    .map(({ chain, seq, hash }) => ({ chain, mark: { seq, hash: bytesOf(hash) } }));
}

export function settleChain(connection: Connection, id: number): void {
  connection.run("UPDATE audit_chains SET settled = 1 WHERE id = ?", id);
}

/** What became of a site's chains is on record, and others hold the record. */
export function settleChainsOf(connection: Connection, site: SiteName): void {
  connection.run(
    "UPDATE audit_chains SET settled = 1 WHERE site = ? AND trouble_peer IS NOT NULL AND settled = 0",
    site,
  );
}

/** See AuditStore.settleAudit. */
export function settleAllChains(connection: Connection): void {
  connection.run("UPDATE audit_chains SET settled = 1 WHERE trouble_peer IS NOT NULL AND settled = 0");
}

/** See AuditStore.auditTroubles. */
export function readTroubles(connection: Connection): AuditTrouble[] {
  return connection.all<AuditTrouble>(
    `SELECT site, chain, trouble_seq AS seq, trouble_peer AS peer FROM audit_chains
     WHERE trouble_peer IS NOT NULL AND settled = 0 ORDER BY id`,
  );
}

type RecordColumns = {
  seq: number;
  at: number;
  actor_kind: AuditRecord["actor"]["kind"];
  actor_id: string | null;
  action: string;
  vault_id: string | null;
  item_id: string | null;
  address: string | null;
  result: string;
  details: Uint8Array | null;
  hash: Uint8Array;
};

export function recordOf(chain: ChainId, columns: RecordColumns): AuditRecord {
  const { seq, at, action, address, result, details } = columns;
  return {
    chain,
    seq,
    at,
    actor: { kind: columns.actor_kind, id: columns.actor_id },
    action,
    vaultId: columns.vault_id,
    itemId: columns.item_id,
    address,
    result,
    details: details && bytesOf(details),
    hash: bytesOf(columns.hash),
  };
}

/** Puts records, which the caller knows to follow each other, at the end of a chain. */
export function insertRecords(connection: Connection, id: number, records: readonly AuditRecord[]): void {
  for (const record of records) insertRecord(connection, id, record);
  const last = records.at(-1);
  if (!last) return;
  const sql = "UPDATE audit_chains SET head_seq = ?, head_hash = ? WHERE id = ?";
  connection.run(sql, last.seq, last.hash, id);
}

function insertRecord(connection: Connection, id: number, record: AuditRecord): void {
  connection.run(
    `INSERT INTO audit_records (chain, seq, at, actor_kind, actor_id, action, vault_id, item_id, address, result, details, hash)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    id,
    record.seq,
    record.at,
    record.actor.kind,
    record.actor.id,
    record.action,
    record.vaultId,
    record.itemId,
    record.address,
    record.result,
    record.details,
    record.hash,
  );
}

/** Records of a chain above `after`, in order. */
export function readRecords(
  connection: Connection,
  { id, chain }: Pick<StoredChain, "id" | "chain">,
  after: number,
  limit: number,
): AuditRecord[] {
  const sql = "SELECT * FROM audit_records WHERE chain IN (?) AND seq > ? ORDER BY seq LIMIT ? + 0";
  return connection.all<RecordColumns>(sql, id, after, limit).map((columns) => recordOf(chain, columns));
}

/** See AuditStore.auditRecords. */
export function readRecordsOf(
  connection: Connection,
  chain: ChainId,
  after: number,
  limit: number,
): AuditRecord[] {
  const stored = readChain(connection, chain);
  return stored ? readRecords(connection, stored, after, limit) : [];
}

/** The hash that the copy of a chain has at a number; undefined above its head and below its anchor. */
export function hashAt(connection: Connection, chain: StoredChain, seq: number): Uint8Array | undefined {
  if (seq === chain.head.seq) return chain.head.hash;
  if (seq === chain.anchor.seq) return chain.anchor.hash;
  if (seq > chain.head.seq || seq < chain.anchor.seq) return undefined;
  const sql = "SELECT hash FROM audit_records WHERE chain = ? AND seq = ?";
  const found = connection.get<{ hash: Uint8Array }>(sql, chain.id, seq);
  return found && bytesOf(found.hash);
}

/** What a peer has last shown of all chains; undefined of one that has shown nothing yet. */
export function readShown(connection: Connection, peer: SiteName): readonly ShownHead[] | undefined {
  const found = connection.get<{ heads: string }>("SELECT heads FROM audit_shown WHERE peer = ?", peer);
  return found && decodeShown(found.heads);
}

/** See AuditStore.auditShown. */
export function readAllShown(connection: Connection): { peer: SiteName; heads: readonly ShownHead[] }[] {
  return connection
    .all<{ peer: SiteName; heads: string }>("SELECT peer, heads FROM audit_shown ORDER BY peer")
    .map(({ peer, heads }) => ({ peer, heads: decodeShown(heads) }));
}

export function saveShown(connection: Connection, peer: SiteName, heads: readonly ShownHead[]): void {
  const text = JSON.stringify(
    heads.map(({ chain, head, held }) => [chain, head.seq, toHex(head.hash), held]),
  );
  connection.run(
    `INSERT INTO audit_shown (peer, heads) VALUES (?, ?)
     ON CONFLICT (peer) DO UPDATE SET heads = excluded.heads WHERE heads <> excluded.heads`,
    peer,
    text,
  );
}

function decodeShown(text: string): readonly ShownHead[] {
  const heads = JSON.parse(text) as readonly (readonly [ChainId, number, string, number])[];
  return heads.map(([chain, seq, hash, held]) => ({ chain, head: { seq, hash: fromHex(hash) }, held }));
}
