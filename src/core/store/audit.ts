import type { AuditEvent, AuditHead, AuditMark, AuditPart, AuditRecord } from "../audit.ts";
import type { ChainId, SiteName } from "../ids.ts";

/** A chain as it is kept here. */
export type AuditChain = AuditHead & {
  /** Whether this site appends to it. */
  readonly isOwn: boolean;
  /** Whether another copy of it is known to go on otherwise than the one that is kept here. */
  readonly isForked: boolean;
  /** Whether a later chain of the same site names it: what happened to it is on record. */
  readonly isSettled: boolean;
};

/** Why an operator must hear of the audit. */
export type AuditTrouble = {
  /** Whose chain it is. */
  readonly site: SiteName;
  readonly chain: ChainId;
  /** Where the copies part, as far as known. */
  readonly seq: number;
  /** The site that showed it. */
  readonly peer: SiteName;
};

export type AuditQuery = {
  readonly limit: number;
  /** Below this one; the newest where undefined. */
  readonly before: AuditPlace | undefined;
  readonly vaultId: string | null;
};

/** Where a record stands among all, in the order of their times. */
export type AuditPlace = { readonly at: number; readonly chain: ChainId; readonly seq: number };

export type AuditPage = {
  readonly records: readonly (AuditRecord & { readonly site: SiteName })[];
  /** Where the next page begins; undefined on the last one. A page may be short, or empty, and not be the last. */
  readonly next: AuditPlace | undefined;
};

/** Where a peer said that it stands in a chain. `held`: up to where this site had that chain then. */
export type ShownHead = { readonly chain: ChainId; readonly head: AuditMark; readonly held: number };

/** The audit of this site, and what is known of that of others. */
export interface AuditReader {
  /** What a push to this peer is to tell. Of a peer that has shown nothing yet, it is shown where this site stands. */
  partFor(peer: SiteName): Promise<AuditPart>;
  /** What an operator is to be told of as long as it is so. */
  troubles(): Promise<readonly AuditTrouble[]>;
  chains(): Promise<readonly AuditChain[]>;
  /** Records of a chain above `after`, in order, at most `limit`. */
  records(chain: ChainId, after: number, limit: number): Promise<readonly AuditRecord[]>;
  /** Newest first. Costs what it returns, or, with a vault named, what it looks at, which is bounded. */
  page(query: AuditQuery): Promise<AuditPage>;
  /** What each peer has last shown. */
  shown(): Promise<readonly { readonly peer: SiteName; readonly heads: readonly ShownHead[] }[]>;
}

/** Records what is done, in the transaction that does it. */
export interface AuditWriter extends AuditReader {
  /** Appends to this site's own chain, and begins one where there is none. */
  record(event: AuditEvent): Promise<void>;
  /** An operator has looked at all of them: they are none any more. */
  settle(): Promise<void>;
}

/** Records what changed nothing else. Events that come together share one transaction. */
export interface AuditJournal {
  /**
   * Appends to this site's own chain, and begins one where there is none. On disk with the next commit that waits for the disk;
   * until then no peer is shown it, so that a loss of power is not taken for a disk that was put back.
   */
  record(event: AuditEvent): Promise<void>;
}
