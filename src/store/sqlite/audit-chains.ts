import type { AuditMark, AuditRecord } from "../../core/audit.ts";
import type { AuditChain, AuditTrouble, ShownHead } from "../../core/store/audit.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { ChainId, SiteName } from "../../core/ids.ts";
import { bytesOf, type Connection } from "./connection.ts";
import type { State, View } from "./state.ts";
import type { Transaction } from "./transaction.ts";

/** A chain, the number by which its records name it, and where another copy of it is known to differ. */
export type StoredChain = AuditChain & { readonly id: number; readonly trouble: ChainTrouble | null };

/** The first parting of two copies that was found. */
export type ChainTrouble = {
  readonly seq: number;
  /** Of the record that is another there; null where it is one that lacks here. */
  readonly hash: Uint8Array | null;
  readonly peer: SiteName;
};

type ChainColumns = {
  id: number;
  chain: ChainId;
  site: SiteName;
  own: number;
  forked: number;
  settled: number;
  trouble_seq: number | null;
  trouble_hash: Uint8Array | null;
  trouble_peer: SiteName | null;
  anchor_seq: number;
  anchor_hash: Uint8Array;
};

/** Reads every chain, in the order in which this site has met them. A chain ends where its last record stands. */
export function readChains(connection: Connection): StoredChain[] {
  return connection
    .all<ChainColumns>("SELECT * FROM audit_chains ORDER BY id")
    .map((columns) => chainOf(columns, lastRecord(connection, columns.id)));
}

function lastRecord(connection: Connection, id: number): AuditMark | undefined {
  const sql = "SELECT seq, hash FROM audit_records WHERE chain IN (?) ORDER BY seq DESC LIMIT 1";
  const last = connection.get<{ seq: number; hash: Uint8Array }>(sql, id);
  return last && { seq: last.seq, hash: bytesOf(last.hash) };
}

function chainOf(columns: ChainColumns, last: AuditMark | undefined): StoredChain {
  const anchor = { seq: columns.anchor_seq, hash: bytesOf(columns.anchor_hash) };
  return {
    id: columns.id,
    chain: columns.chain,
    site: columns.site,
    isOwn: columns.own === 1,
    isForked: columns.forked === 1,
    isSettled: columns.settled === 1,
    trouble: troubleOf(columns),
    anchor,
    head: last ?? anchor,
  };
}

function troubleOf({
  trouble_seq: seq,
  trouble_hash: hash,
  trouble_peer: peer,
}: ChainColumns): ChainTrouble | null {
  return seq === null || peer === null ? null : { seq, hash: hash && bytesOf(hash), peer };
}

export function chainNamed({ chains }: Pick<State, "chains">, chain: ChainId): StoredChain | undefined {
  return chains.find((known) => known.chain === chain);
}

/** The chain that this site appends to. */
export function ownChain({ chains }: Pick<State, "chains">): StoredChain | undefined {
  return chains.find(({ isOwn }) => isOwn);
}

/** Notes what was made of one chain. */
function changeChain(tx: Transaction, id: number, change: Partial<StoredChain>): void {
  tx.know({ chains: tx.state.chains.map((chain) => (chain.id === id ? { ...chain, ...change } : chain)) });
}

export function insertChain(
  tx: Transaction,
  { chain, site, isOwn, anchor }: Pick<AuditChain, "chain" | "site" | "isOwn" | "anchor">,
): StoredChain {
  if (isOwn) tx.connection.run("UPDATE audit_chains SET own = 0 WHERE own = 1");
  tx.connection.run(
    "INSERT INTO audit_chains (chain, site, own, anchor_seq, anchor_hash) VALUES (?, ?, ?, ?, ?)",
    chain,
    site,
    isOwn ? 1 : 0,
    anchor.seq,
    anchor.hash,
  );
  tx.know({ chains: readChains(tx.connection) });
  const inserted = chainNamed(tx.state, chain);
  if (!inserted) throw new Error("a chain that was stored is not there");
  return inserted;
}

/** Moves the anchor of a chain up; where nothing is left above it, the chain ends there. */
export function moveAnchor(tx: Transaction, { id, head }: StoredChain, anchor: AuditMark): void {
  const sql = "UPDATE audit_chains SET anchor_seq = ?, anchor_hash = ? WHERE id = ?";
  tx.connection.run(sql, anchor.seq, anchor.hash, id);
  changeChain(tx, id, { anchor, ...(head.seq < anchor.seq && { head: anchor }) });
}

export type Parting = ChainTrouble & { readonly isForked: boolean };

/** Notes what an operator is to be told of a chain. The first parting that was found stays. */
export function markTrouble(tx: Transaction, chain: StoredChain, { isForked, ...found }: Parting): void {
  const trouble = chain.trouble ?? found;
  tx.connection.run(
    "UPDATE audit_chains SET forked = ?, trouble_seq = ?, trouble_hash = ?, trouble_peer = ? WHERE id = ?",
    isForked || chain.isForked ? 1 : 0,
    trouble.seq,
    trouble.hash,
    trouble.peer,
    chain.id,
  );
  changeChain(tx, chain.id, { isForked: isForked || chain.isForked, trouble });
}

/** The marks at which copies of a site's chains are known to be others than those here, and which it has not put on record. */
export function partingsOf(
  { chains }: Pick<State, "chains">,
  site: SiteName,
): readonly { readonly chain: ChainId; readonly mark: AuditMark }[] {
  return chains.flatMap(({ chain, site: owner, isOwn, isSettled, trouble }) => {
    if (owner !== site || isOwn || isSettled || !trouble?.hash) return [];
    return [{ chain, mark: { seq: trouble.seq, hash: trouble.hash } }];
  });
}

/** What became of these chains is on record, or an operator has looked at it. */
export function settleChains(tx: Transaction, settled: (chain: StoredChain) => boolean): void {
  for (const chain of tx.state.chains) {
    if (chain.isSettled || chain.trouble === null || !settled(chain)) continue;
    tx.connection.run("UPDATE audit_chains SET settled = 1 WHERE id = ?", chain.id);
    changeChain(tx, chain.id, { isSettled: true });
  }
}

/** See AuditReader.troubles. */
export function troublesOf({ chains }: Pick<State, "chains">): AuditTrouble[] {
  return chains.flatMap(({ chain, site, isSettled, trouble }) =>
    isSettled || !trouble ? [] : [{ site, chain, seq: trouble.seq, peer: trouble.peer }],
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
export function insertRecords(tx: Transaction, id: number, records: readonly AuditRecord[]): void {
  for (const record of records) insertRecord(tx.connection, id, record);
  const last = records.at(-1);
  if (last) changeChain(tx, id, { head: { seq: last.seq, hash: last.hash } });
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

/** See AuditReader.records. */
export function readRecordsOf(
  { connection, state }: View,
  chain: ChainId,
  after: number,
  limit: number,
): AuditRecord[] {
  const stored = chainNamed(state, chain);
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

/** See AuditReader.shown. */
export function readAllShown(connection: Connection): { peer: SiteName; heads: readonly ShownHead[] }[] {
  return connection
    .all<{ peer: SiteName; heads: string }>("SELECT peer, heads FROM audit_shown ORDER BY peer")
    .map(({ peer, heads }) => ({ peer, heads: decodeShown(heads) }));
}

export function saveShown(tx: Transaction, peer: SiteName, heads: readonly ShownHead[]): void {
  const text = encodeShown(heads);
  const before = tx.state.shown.get(peer);
  if (before && encodeShown(before) === text) return;
  storeShown(tx.connection, peer, heads);
  tx.know({ shown: new Map([...tx.state.shown, [peer, heads]]) });
}

/** Stores what is known already of what a peer has shown. */
export function storeShown(connection: Connection, peer: SiteName, heads: readonly ShownHead[]): void {
  const sql = "INSERT OR REPLACE INTO audit_shown (peer, heads) VALUES (?, ?)";
  connection.run(sql, peer, encodeShown(heads));
}

function encodeShown(heads: readonly ShownHead[]): string {
  return JSON.stringify(heads.map(({ chain, head, held }) => [chain, head.seq, toHex(head.hash), held]));
}

function decodeShown(text: string): readonly ShownHead[] {
  const heads = JSON.parse(text) as readonly (readonly [ChainId, number, string, number])[];
  return heads.map(([chain, seq, hash, held]) => ({ chain, head: { seq, hash: fromHex(hash) }, held }));
}
