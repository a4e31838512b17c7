import {
  type AuditHead,
  type AuditMark,
  type AuditPart,
  auditChainsMax,
  auditPartMax,
  type AuditRecord,
  decodeBeginning,
  follows,
} from "../../core/audit.ts";
import type { ShownHead } from "../../core/store/audit.ts";
import { bytesEqual } from "../../core/bytes.ts";
import type { ChainId, SiteName } from "../../core/ids.ts";
import {
  chainNamed,
  hashAt,
  insertChain,
  insertRecords,
  markTrouble,
  moveAnchor,
  type Parting,
  partingsOf,
  readRecords,
  saveShown,
  settleChains,
  type StoredChain,
  troublesOf,
} from "./audit-chains.ts";
import { type AuditPorts, beginChain } from "./audit-records.ts";
import type { Connection } from "./connection.ts";
import type { State, View } from "./state.ts";
import type { Transaction } from "./transaction.ts";

/** What the other site has shown, in a push or in an ACK. */
export type Shown = { readonly from: SiteName; readonly part: AuditPart };

/**
 * Takes over what another site shows of its audit, in the transaction of the push or the ACK that brought it. A failure is undone
 * and sealed off here: nothing of replication depends on the audit. Returns the failure.
 */
export function takeAudit(tx: Transaction, shown: Shown, ports: AuditPorts): unknown {
  const before = tx.savepoint();
  try {
    takeShown(tx, shown, ports);
    tx.release();
    return undefined;
  } catch (error) {
    // Where SQLite itself has undone the whole transaction there is nothing left to be sealed off from.
    if (!tx.connection.database.inTransaction) throw error;
    tx.rollback(before);
    return error;
  }
}

function takeShown(tx: Transaction, shown: Shown, ports: AuditPorts): void {
  const { site } = tx.site();
  const lost = shown.part.heads.filter((head) => isLost(tx, head, shown.from, site));
  // Limits how many chains this site begins, so that a peer that invents chains cannot make it begin more for ever.
  if (lost.length > 0 && hasRoom(tx.state)) beginChain(tx, lost, ports);
  else if (shown.part.heads.some(({ chain, head }) => head.seq > 0 && chainNamed(tx.state, chain)?.isOwn)) {
    settleChains(tx, (chain) => chain.site === site);
  }
  takeRecords(tx, shown, ports);
  const held = new Map(tx.state.chains.map(({ chain, head }) => [chain, head.seq]));
  const heads = shown.part.heads.map(({ chain, head }) => ({ chain, head, held: held.get(chain) ?? 0 }));
  saveShown(tx, shown.from, heads);
}

/** One more is left for the first chain of this site itself. */
function hasRoom({ chains }: Pick<State, "chains">): boolean {
  return chains.length < auditChainsMax - 1;
}

/**
 * Compares one head with the copy here, and begins a copy of a chain that is new. Whether it shows that this site's own audit was
 * more, or another, than its disk holds: the disk was put back, or was changed.
 */
function isLost(tx: Transaction, shown: AuditHead, peer: SiteName, site: SiteName): boolean {
  const known = chainNamed(tx.state, shown.chain);
  if (!known) return meetChain(tx, shown, peer, site);
  if (known.site !== shown.site) return false;
  const { seq, hash } = shown.head;
  const here = hashAt(tx.connection, known, seq);
  const isForked = here !== undefined && !bytesEqual(here, hash);
  if (isForked) part(tx, known, { seq, hash, peer, isForked });
  else if (known.isOwn && seq > known.head.seq) {
    markTrouble(tx, known, { seq: known.head.seq + 1, hash: null, peer, isForked });
  } else if (!known.isOwn && known.head.seq === known.anchor.seq && shown.anchor.seq > known.anchor.seq) {
    // Nothing is left of it here, and nobody has any more what would follow.
    moveAnchor(tx, known, shown.anchor);
  }
  return known.isOwn && (isForked || seq > known.head.seq);
}

function meetChain(tx: Transaction, shown: AuditHead, peer: SiteName, site: SiteName): boolean {
  const isOwnSite = shown.site === site;
  if (!hasRoom(tx.state)) return false;
  const { chain, anchor } = shown;
  const met = insertChain(tx, { chain, site: shown.site, isOwn: false, anchor });
  if (isOwnSite) markTrouble(tx, met, { seq: anchor.seq + 1, hash: null, peer, isForked: false });
  return isOwnSite;
}

/** Two copies of a chain go different ways. Where a later chain of its site names it, that has been told already. */
function part(tx: Transaction, chain: StoredChain, parting: Parting): void {
  if (chain.isForked) return;
  markTrouble(tx, chain, parting);
  if (!chain.isOwn && isNamed(tx, chain)) settleChains(tx, ({ id }) => id === chain.id);
}

function isNamed({ connection, state }: View, { chain, site }: StoredChain): boolean {
  return state.chains.some((other) => {
    if (other.site !== site || other.chain === chain) return false;
    const [first] = readRecords(connection, other, 0, 1);
    const names = first?.details ? decodeBeginning(first.details) : undefined;
    return names?.site === site && names.known.some((named) => named.chain === chain);
  });
}

function takeRecords(tx: Transaction, { from, part: { records } }: Shown, ports: AuditPorts): void {
  const copies = new Map<ChainId, StoredChain | null>();
  for (const record of records) {
    const copy = copies.has(record.chain)
      ? copies.get(record.chain)
      : (chainNamed(tx.state, record.chain) ?? null);
    copies.set(record.chain, copy ? takeRecord(tx, copy, record, { from, ports }) : null);
  }
}

/** The copy as it is then; null where nothing more of its chain can be taken. */
function takeRecord(
  tx: Transaction,
  copy: StoredChain,
  record: AuditRecord,
  { from, ports }: { readonly from: SiteName; readonly ports: AuditPorts },
): StoredChain | null {
  if (copy.isOwn || record.seq > copy.head.seq + 1) return null;
  if (record.seq <= copy.head.seq) {
    const here = hashAt(tx.connection, copy, record.seq);
    if (here === undefined || bytesEqual(here, record.hash)) return copy;
  } else if (follows(ports.hash, copy.head, record)) {
    insertRecords(tx, copy.id, [record]);
    if (record.seq === 1) settleNamed(tx, copy.site, record);
    return { ...copy, head: { seq: record.seq, hash: record.hash } };
  }
  part(tx, copy, { seq: record.seq, hash: record.hash, peer: from, isForked: true });
  return null;
}

/** A site has begun a chain that names those which copies of part: what happened to them is on record now. */
function settleNamed(tx: Transaction, site: SiteName, { details }: AuditRecord): void {
  const beginning = details ? decodeBeginning(details) : undefined;
  if (beginning?.site !== site) return;
  const named = new Set(beginning.known.map(({ chain }) => chain));
  settleChains(tx, (chain) => chain.site === site && named.has(chain.chain));
}

/**
 * What a push to a peer, or an ACK, tells of this site's audit.
 * @param durable of chains whose end may still be lost with the power, up to where it may not
 */
export function auditPartFor(
  { connection, state }: View,
  { peer, durable }: { readonly peer: SiteName; readonly durable: ReadonlyMap<ChainId, number> },
): AuditPart {
  const chains = state.chains.flatMap((chain) => durableOf(connection, chain, durable));
  const own = chains.map(({ chain, site: owner, anchor, head }) => ({ chain, site: owner, anchor, head }));
  const heads = [...partedHeads(state, peer, own), ...own];
  const shown = state.shown.get(peer);
  if (!shown) return { heads, records: [], more: chains.length > 0 };
  const { records, isCut } = lacking(connection, chains, shown);
  const waits = troublesOf(state).some((trouble) => trouble.site === state.site.site);
  return { heads, records, more: isCut || waits };
}

/**
 * To the site whose chain it is, what another copy of it is known to hold otherwise: of three sites, the two that hold it differently
 * may find out without it, and it alone can put that on record. In front of the heads that are held here, which are what counts.
 */
function partedHeads(state: State, peer: SiteName, heads: readonly AuditHead[]): readonly AuditHead[] {
  return partingsOf(state, peer).flatMap(({ chain, mark }) => {
    const held = heads.find((head) => head.chain === chain);
    return held ? [{ ...held, head: mark }] : [];
  });
}

/** A chain as far as it is on disk for good. */
function durableOf(
  connection: Connection,
  chain: StoredChain,
  durable: ReadonlyMap<ChainId, number>,
): readonly StoredChain[] {
  const seq = durable.get(chain.chain);
  if (seq === undefined || seq >= chain.head.seq) return [chain];
  const hash = seq === 0 ? undefined : hashAt(connection, chain, seq);
  return hash === undefined ? [] : [{ ...chain, head: { seq, hash } }];
}

type Lack = { readonly chain: StoredChain; readonly first: AuditRecord };

/** Records that the peer lacks, of the chain first whose next one is the oldest. */
function lacking(
  connection: Connection,
  chains: readonly StoredChain[],
  shown: readonly ShownHead[],
): { readonly records: readonly AuditRecord[]; readonly isCut: boolean } {
  const marks = new Map(shown.map(({ chain, head }) => [chain, head]));
  const lacks = chains.flatMap((chain): readonly Lack[] => {
    const after = startFor(connection, chain, marks.get(chain.chain));
    const [first] = after === undefined ? [] : readRecords(connection, chain, after, 1);
    return first && first.seq <= chain.head.seq ? [{ chain, first }] : [];
  });
  const records: AuditRecord[] = [];
  let bytes = 0;
  for (const { chain, first } of lacks.toSorted((a, b) => a.first.at - b.first.at)) {
    for (const record of readRecords(
      connection,
      chain,
      first.seq - 1,
      auditPartMax.records - records.length,
    )) {
      if (record.seq > chain.head.seq) break;
      bytes += sizeOf(record);
      if (records.length > 0 && bytes > auditPartMax.bytes) return { records, isCut: true };
      records.push(record);
    }
    const last = records.at(-1);
    const isWhole = last?.chain === chain.chain && last.seq === chain.head.seq;
    if (!isWhole) return { records, isCut: true };
  }
  return { records, isCut: false };
}

/** Behind which record the peer goes on; undefined where it lacks nothing, or its copy is another than this one. */
function startFor(
  connection: Connection,
  chain: StoredChain,
  shown: AuditMark | undefined,
): number | undefined {
  if (!shown || shown.seq < chain.anchor.seq) return chain.anchor.seq;
  if (shown.seq >= chain.head.seq) return undefined;
  const here = hashAt(connection, chain, shown.seq);
  return here && bytesEqual(here, shown.hash) ? shown.seq : undefined;
}

/** About as many bytes as it takes in JSON. */
function sizeOf({ actor, action, vaultId, itemId, address, details }: AuditRecord): number {
  const texts = [actor.id, action, vaultId, itemId, address];
  const length = texts.reduce((sum, text) => sum + (text?.length ?? 4), 0);
  return 280 + length + Math.ceil((details?.length ?? 0) * 1.4);
}
