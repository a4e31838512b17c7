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
import type { ShownHead } from "../../core/audit-store.ts";
import { bytesEqual } from "../../core/bytes.ts";
import type { ChainId, SiteName } from "../../core/ids.ts";
import {
  hashAt,
  insertChain,
  insertRecords,
  markTrouble,
  moveAnchor,
  type Parting,
  readChain,
  readChains,
  readPartings,
  readRecords,
  readShown,
  readTroubles,
  saveShown,
  settleChain,
  settleChainsOf,
  type StoredChain,
} from "./audit-chains.ts";
import { type AuditPorts, beginChain } from "./audit-records.ts";
import type { Connection } from "./connection.ts";
import type { Transaction } from "./transaction.ts";

/** What the other site has shown, in a push or in an ACK. */
export type Shown = { readonly from: SiteName; readonly part: AuditPart };

/**
 * Takes over what another site shows of its audit, in the transaction of the push or the ACK that brought it. A failure is undone
 * and sealed off here: nothing of replication depends on the audit. Returns the failure.
 */
export function takeAudit(tx: Transaction, shown: Shown, ports: AuditPorts): unknown {
  const { connection } = tx;
  connection.run("SAVEPOINT audit");
  try {
    takeShown(tx, shown, ports);
    connection.run("RELEASE audit");
    return undefined;
  } catch (error) {
    // Where SQLite itself has undone the whole transaction there is nothing left to be sealed off from.
    if (!connection.database.inTransaction) throw error;
    connection.run("ROLLBACK TO audit");
    connection.run("RELEASE audit");
    return error;
  }
}

function takeShown(tx: Transaction, shown: Shown, ports: AuditPorts): void {
  const { connection } = tx;
  const { site } = tx.site();
  const lost = shown.part.heads.filter((head) => isLost(connection, head, shown.from, site));
  // Whoever makes up chains of this site has it begin so many and no more.
  if (lost.length > 0 && hasRoom(connection)) beginChain(tx, lost, ports);
  else if (shown.part.heads.some(({ chain, head }) => head.seq > 0 && isOwn(connection, chain))) {
    settleChainsOf(connection, site);
  }
  takeRecords(tx, shown, ports);
  const held = new Map(readChains(connection).map(({ chain, head }) => [chain, head.seq]));
  const heads = shown.part.heads.map(({ chain, head }) => ({ chain, head, held: held.get(chain) ?? 0 }));
  saveShown(connection, shown.from, heads);
}

/** One more is left for the first chain of this site itself. */
function hasRoom(connection: Connection): boolean {
  return readChains(connection).length < auditChainsMax - 1;
}

function isOwn(connection: Connection, chain: ChainId): boolean {
  return readChain(connection, chain)?.isOwn === true;
}

/**
 * Compares one head with the copy here, and begins a copy of a chain that is new. Whether it shows that this site's own audit was
 * more, or another, than its disk holds: the disk was put back, or was changed.
 */
function isLost(connection: Connection, shown: AuditHead, peer: SiteName, site: SiteName): boolean {
  const known = readChain(connection, shown.chain);
  if (!known) return meetChain(connection, shown, peer, site);
  if (known.site !== shown.site) return false;
  const { seq, hash } = shown.head;
  const here = hashAt(connection, known, seq);
  const isForked = here !== undefined && !bytesEqual(here, hash);
  if (isForked) part(connection, known, { seq, hash, peer, isForked });
  else if (known.isOwn && seq > known.head.seq) {
    markTrouble(connection, known.id, { seq: known.head.seq + 1, hash: null, peer, isForked });
  } else if (!known.isOwn && known.head.seq === known.anchor.seq && shown.anchor.seq > known.anchor.seq) {
    // Nothing is left of it here, and nobody has any more what would follow.
    moveAnchor(connection, known.id, shown.anchor);
  }
  return known.isOwn && (isForked || seq > known.head.seq);
}

function meetChain(connection: Connection, shown: AuditHead, peer: SiteName, site: SiteName): boolean {
  const isOwnSite = shown.site === site;
  if (!hasRoom(connection)) return false;
  const { chain, anchor } = shown;
  const met = insertChain(connection, { chain, site: shown.site, isOwn: false, anchor });
  if (isOwnSite) markTrouble(connection, met.id, { seq: anchor.seq + 1, hash: null, peer, isForked: false });
  return isOwnSite;
}

/** Two copies of a chain go different ways. Where a later chain of its site names it, that has been told already. */
function part(connection: Connection, chain: StoredChain, parting: Parting): void {
  if (chain.isForked) return;
  markTrouble(connection, chain.id, parting);
  if (!chain.isOwn && isNamed(connection, chain)) settleChain(connection, chain.id);
}

function isNamed(connection: Connection, { chain, site }: StoredChain): boolean {
  return readChains(connection).some((other) => {
    if (other.site !== site || other.chain === chain) return false;
    const [first] = readRecords(connection, other, 0, 1);
    const names = first?.details ? decodeBeginning(first.details) : undefined;
    return names?.site === site && names.known.some((named) => named.chain === chain);
  });
}

function takeRecords(tx: Transaction, { from, part: { records } }: Shown, ports: AuditPorts): void {
  const { connection } = tx;
  const copies = new Map<ChainId, StoredChain | null>();
  for (const record of records) {
    const copy = copies.has(record.chain)
      ? copies.get(record.chain)
      : (readChain(connection, record.chain) ?? null);
    copies.set(record.chain, copy ? takeRecord(tx, copy, record, { from, ports }) : null);
  }
}

/** The copy as it is then; null where nothing more of its chain can be taken. */
function takeRecord(
  { connection }: Transaction,
  copy: StoredChain,
  record: AuditRecord,
  { from, ports }: { readonly from: SiteName; readonly ports: AuditPorts },
): StoredChain | null {
  if (copy.isOwn || record.seq > copy.head.seq + 1) return null;
  if (record.seq <= copy.head.seq) {
    const here = hashAt(connection, copy, record.seq);
    if (here === undefined || bytesEqual(here, record.hash)) return copy;
  } else if (follows(ports.hash, copy.head, record)) {
    insertRecords(connection, copy.id, [record]);
    if (record.seq === 1) settleNamed(connection, copy.site, record);
    return { ...copy, head: { seq: record.seq, hash: record.hash } };
  }
  part(connection, copy, { seq: record.seq, hash: record.hash, peer: from, isForked: true });
  return null;
}

/** A site has begun a chain that names those which copies of part: what happened to them is on record now. */
function settleNamed(connection: Connection, site: SiteName, { details }: AuditRecord): void {
  const beginning = details ? decodeBeginning(details) : undefined;
  if (beginning?.site !== site) return;
  const named = new Set(beginning.known.map(({ chain }) => chain));
  for (const { chain, site: owner } of readTroubles(connection)) {
    const stored = owner === site && named.has(chain) ? readChain(connection, chain) : undefined;
    if (stored) settleChain(connection, stored.id);
  }
}

/**
 * What a push to a peer, or an ACK, tells of this site's audit.
 * @param durable of chains whose end may still be lost with the power, up to where it may not
 */
export function auditPartFor(
  connection: Connection,
  {
    peer,
    site,
    durable,
  }: { readonly peer: SiteName; readonly site: SiteName; readonly durable: ReadonlyMap<ChainId, number> },
): AuditPart {
  const chains = readChains(connection).flatMap((chain) => durableOf(connection, chain, durable));
  const own = chains.map(({ chain, site: owner, anchor, head }) => ({ chain, site: owner, anchor, head }));
  const heads = [...partedHeads(connection, peer, own), ...own];
  const shown = readShown(connection, peer);
  if (!shown) return { heads, records: [], more: chains.length > 0 };
  const { records, isCut } = lacking(connection, chains, shown);
  const waits = readTroubles(connection).some((trouble) => trouble.site === site);
  return { heads, records, more: isCut || waits };
}

/**
 * To the site whose chain it is, what another copy of it is known to hold otherwise: of three sites, the two that hold it differently
 * may find out without it, and it alone can put that on record. In front of the heads that are held here, which are what counts.
 */
function partedHeads(
  connection: Connection,
  peer: SiteName,
  heads: readonly AuditHead[],
): readonly AuditHead[] {
  return readPartings(connection, peer).flatMap(({ chain, mark }) => {
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
