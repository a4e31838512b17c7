import { type AuditMark, type ChainBeginning, decodeBeginning, walkChain } from "../core/audit.ts";
import type { AuditChain, AuditTrouble, ShownHead } from "../core/store/audit.ts";
import type { Transacts } from "../core/store/store.ts";
import { bytesEqual } from "../core/bytes.ts";
import type { ChainId, SiteName } from "../core/ids.ts";
import type { Clock, Hash } from "../core/ports.ts";
import type { AuditVerifyResult, VerifiedChain } from "../protocol/audit-requests.ts";

export type AuditCheckPorts = {
  readonly store: Transacts<"audit">;
  readonly hash: Hash;
  readonly clock: Pick<Clock, "turn">;
  /** Ends the check between two slices. */
  readonly signal: AbortSignal;
};

/** Records that are read and hashed in one go. */
const sliceRecords = 500;

type Fault = Pick<VerifiedChain, "fault" | "at" | "peer">;
type Shown = { readonly peer: SiteName; readonly heads: readonly ShownHead[] };
type Walked = {
  readonly chain: AuditChain;
  readonly fault: Fault;
  readonly beginning: ChainBeginning | undefined;
};

const noFault: Fault = { fault: null, at: null, peer: null };

/**
 * Reads every record of every chain on this site's disk, from its anchor, and compares where the chains end with what peers have last
 * shown of them. Costs what is stored; others have their turn in between.
 */
export async function verifyAudit(ports: AuditCheckPorts): Promise<AuditVerifyResult> {
  const { store } = ports;
  const [shown, troubles] = [
    await store.read((r) => r.audit.shown()),
    await store.read((r) => r.audit.troubles()),
  ];
  const walked: Walked[] = [];
  for (const { chain } of await store.read((r) => r.audit.chains())) {
    const found = await walk(ports, chain);
    if (found.fault.fault !== null) walked.push(found);
    else walked.push({ ...found, fault: await compare(store, found.chain, shown, troubles) });
  }
  const named = new Set(walked.flatMap(namedBy));
  const chains = walked.map(({ chain, fault }) => answerFor(chain, fault, named));
  return {
    whole: chains.every(({ fault, settled }) => fault === null || (settled && fault !== "broken")),
    records: chains.reduce((sum, { first, last }) => sum + last - first + 1, 0),
    chains,
  };
}

/** Old records may go while this is at work, and then it begins again with those that are left. */
async function walk(ports: AuditCheckPorts, id: ChainId): Promise<Walked> {
  for (;;) {
    const chain = await chainOf(ports.store, id);
    const walked = await walkFrom(ports, chain);
    if (walked.fault.fault === null) return walked;
    const { anchor } = await chainOf(ports.store, id);
    if (anchor.seq === chain.anchor.seq) return walked;
  }
}

async function chainOf(store: Transacts<"audit">, id: ChainId): Promise<AuditChain> {
  const found = (await store.read((r) => r.audit.chains())).find(({ chain }) => chain === id);
  if (!found) throw new Error("a chain of the audit is gone");
  return found;
}

async function walkFrom({ store, hash, clock, signal }: AuditCheckPorts, chain: AuditChain): Promise<Walked> {
  let end: AuditMark = chain.anchor;
  let beginning: ChainBeginning | undefined;
  const ended = (fault: Fault): Walked => ({ chain, fault, beginning });
  while (end.seq < chain.head.seq) {
    signal.throwIfAborted();
    const limit = Math.min(sliceRecords, chain.head.seq - end.seq);
    const records = await store.read((r) => r.audit.records(chain.chain, end.seq, limit));
    const [first] = records;
    if (first?.seq === 1 && first.details) beginning = decodeBeginning(first.details);
    const found = walkChain(hash, end, records);
    if (found.kind === "broken") return ended({ fault: "broken", at: found.seq, peer: null });
    if (records.length < limit) return ended({ fault: "truncated", at: found.end.seq + 1, peer: null });
    end = found.end;
    await clock.turn();
  }
  const isWhole = bytesEqual(end.hash, chain.head.hash);
  return ended(isWhole ? noFault : { fault: "broken", at: end.seq, peer: null });
}

/** What peers have shown of a chain that is whole in itself. */
async function compare(
  store: Transacts<"audit">,
  chain: AuditChain,
  shown: readonly Shown[],
  troubles: readonly AuditTrouble[],
): Promise<Fault> {
  for (const { peer, heads } of shown) {
    const theirs = heads.find((head) => head.chain === chain.chain);
    const fault = theirs && (await compareWith(store, chain, peer, theirs));
    if (fault) return { ...fault, peer };
  }
  const told = troubles.find((trouble) => trouble.chain === chain.chain && trouble.site === chain.site);
  return told && chain.isForked ? { fault: "forked", at: told.seq, peer: told.peer } : noFault;
}

async function compareWith(
  store: Transacts<"audit">,
  chain: AuditChain,
  peer: SiteName,
  { head: theirs, held }: ShownHead,
): Promise<Omit<Fault, "peer"> | undefined> {
  if (theirs.seq > chain.head.seq) {
    return chain.isOwn ? { fault: "truncated", at: chain.head.seq + 1 } : undefined;
  }
  if (theirs.seq > chain.anchor.seq) {
    const [here] = await store.read((r) => r.audit.records(chain.chain, theirs.seq - 1, 1));
    if (here?.seq === theirs.seq && !bytesEqual(here.hash, theirs.hash)) {
      return { fault: "forked", at: theirs.seq };
    }
  }
  // Whose chain it is has shown all of it that was held here then, or less of it is there now.
  const isShorter = chain.site === peer && theirs.seq < held;
  return isShorter ? { fault: "truncated", at: theirs.seq + 1 } : undefined;
}

/** Chains of the same site that a chain names in its first record. */
function namedBy({ chain, beginning }: Walked): readonly ChainId[] {
  if (beginning?.site !== chain.site) return [];
  return beginning.known.flatMap((known) => (known.site === chain.site ? [known.chain] : []));
}

function answerFor(chain: AuditChain, fault: Fault, named: ReadonlySet<ChainId>): VerifiedChain {
  return {
    site: chain.site,
    chain: chain.chain,
    own: chain.isOwn,
    first: chain.anchor.seq + 1,
    last: chain.head.seq,
    settled: named.has(chain.chain),
    ...fault,
  };
}
