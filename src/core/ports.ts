import type { AsideRow } from "./aside.ts";
import type { AuditPart } from "./audit.ts";
import type { Promotion } from "./epoch.ts";
import type { ErrorCode } from "./errors.ts";
import type { SiteName, StrandedId } from "./ids.ts";
import type { Point, Position } from "./position.ts";
import type { Identity, Push, PushRefusal, Rejection } from "./push.ts";
import type { RowSummary } from "./repair.ts";
import type { Row, RowKey } from "./row.ts";
import type { Grant, GrantAnswer } from "./store/roles.ts";

/** What the core and the replication need of the world. In production it is the machine; in the simulator it is one seed. */

export interface Clock {
  /** Wall clock, milliseconds since 1970: for what people read. May jump. */
  now(): number;
  /** Milliseconds that never go back: for measuring waits. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. The only source of timers in replication. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Resolves in the next turn of the event loop, after what is ready now has run. */
  turn(): Promise<void>;
}

export interface Random {
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1). */
  fraction(): number;
}

export interface Hash {
  /** SHA-256 over the parts, one after the other. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
}

/** What came of a push. `identity` is what the backup said of itself, wherever its answer could be read. */
export type PushAnswer =
  | {
      readonly kind: "applied";
      readonly identity: Identity;
      readonly accepted: number;
      readonly ignored: number;
      /** Everything that the backup lacks below its watermark. */
      readonly rejected: readonly Rejection[];
      /** Whether the backup's digest equals the one sent; null where none was sent or compared. */
      readonly verified: boolean | null;
      /** How many rows the backup has put aside that this primary has not decided on. */
      readonly aside: number;
      /** What the backup told of its audit. */
      readonly audit?: AuditPart | undefined;
    }
  | {
      readonly kind: "refused";
      readonly code: PushRefusal;
      readonly identity: Identity;
      readonly rejected: readonly Rejection[];
    }
  /** The credential was not taken. */
  | { readonly kind: "unauthorized" }
  /** 413: the batch is more than the backup, or something before it, takes. */
  | { readonly kind: "too_large" }
  /** Anything else: no answer, an answer that makes no sense, a cut, a time-out. May have been applied. */
  | { readonly kind: "failed"; readonly error: string };

/** An answer in which the peer named itself, or why there is none. */
export type PeerAnswer<T> =
  | ({ readonly kind: "answered"; readonly identity: Identity } & T)
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly identity: Identity | null;
      readonly detail: string;
    }
  | { readonly kind: "unauthorized" }
  | { readonly kind: "failed"; readonly error: string };

export type HelloAnswer = PeerAnswer<{
  readonly timeline: readonly Promotion[];
  readonly verifiedAt: number | null;
}>;

/** Which of these points, in descending order, the peer's history went through first. */
export type LocateAnswer = PeerAnswer<{
  readonly timeline: readonly Promotion[];
  readonly common: Point | null;
}>;

/** What two sites say to each other about a planned promotion: the design, section 8. */
export type GrantMessage =
  /** Backup to primary: hand over to me. */
  | { readonly action: "request" }
  /** Backup to primary: the grant was given back, for good. */
  | { readonly action: "declined"; readonly grantId: string }
  /** Primary to backup: decide now; undecided, the answer is declined. */
  | { readonly action: "revoke"; readonly grantId: string }
  /** A primary that went back, to the backup that is further: be primary from where you stand. */
  | { readonly action: "take"; readonly grant: Grant };

export type GrantReply = PeerAnswer<{ readonly grant: Grant | null; readonly answer: GrantAnswer | null }>;

/** One step of a repair. The backup refuses it unless it stands at `at`, in the sender's epoch. */
export type RepairStep =
  /** Count the rows anew: the buckets, and which of them hold a damaged row. */
  | { readonly step: "recount" }
  /** Rows of these buckets without their bodies, in order of bucket and key, behind `after`. */
  | { readonly step: "list"; readonly buckets: readonly number[]; readonly after: RepairCursor | null }
  | { readonly step: "fetch"; readonly keys: readonly RowKey[] }
  | { readonly step: "apply"; readonly rows: readonly Row[]; readonly remove: readonly RowKey[] };

export type RepairCursor = { readonly bucket: number; readonly key: RowKey };

export type RepairReply =
  /** `rows`: how many there are in all. */
  | {
      readonly step: "recount";
      readonly buckets: Uint8Array;
      readonly damaged: readonly number[];
      readonly rows: number;
    }
  | { readonly step: "list"; readonly rows: readonly RowSummary[]; readonly next: RepairCursor | null }
  | { readonly step: "fetch"; readonly rows: readonly Row[] }
  | { readonly step: "apply"; readonly replaced: number; readonly removed: number; readonly refused: number };

export type RepairRequest = RepairStep & { readonly from: Identity; readonly at: Point };

export type AsideStep =
  | { readonly step: "list"; readonly limit: number }
  /** What the primary has decided: forget the struck; keep the taken until their stranded rows arrive. */
  | {
      readonly step: "settle";
      readonly struck: readonly StrandedId[];
      readonly taken: readonly StrandedId[];
    };

export type AsideReply = { readonly rows: readonly AsideRow[]; readonly waiting: number };

/** The way to one peer. Every method may be repeated; none rejects. Each answers within the configured time. */
export interface Transport {
  /**
   * Posts a push and waits for its answer. `bytes` is the size of what was sent.
   * @param onLeaving called when the push is encoded and is handed to the connection; from then on this site waits for the peer
   */
  push(
    push: Push,
    signal: AbortSignal,
    onLeaving?: () => void,
  ): Promise<{ readonly answer: PushAnswer; readonly bytes: number }>;
  /**
   * Encodes rows before their push is complete, in steps between which others may run. A later push with this very list of rows uses the
   * text. It is kept for as long as the list is.
   */
  prepare(rows: Push["rows"]): Iterable<void>;
  /** Tells the peer that this site is here, and up to where it stands. */
  hello(identity: Identity, publicUrl: string, signal: AbortSignal): Promise<HelloAnswer>;
  /** Finds out up to where the peer's history is this site's: the first of the points that it knows. */
  locate(identity: Identity, points: readonly Point[], signal: AbortSignal): Promise<LocateAnswer>;
  grant(identity: Identity, message: GrantMessage, signal: AbortSignal): Promise<GrantReply>;
  repair(
    request: RepairRequest,
    signal: AbortSignal,
  ): Promise<{ readonly answer: PeerAnswer<{ readonly reply: RepairReply }>; readonly bytes: number }>;
  aside(identity: Identity, step: AsideStep, signal: AbortSignal): Promise<PeerAnswer<AsideReply>>;
}

/** Which backups hold a position: what `Prefer: wait` tells a client. */
export type BackupsHolding = Readonly<Record<SiteName, boolean>>;

/** Waits until every backup has acknowledged `position`, at most `ms`, and says which have. */
export type WaitReplicated = (position: Position, ms: number) => Promise<BackupsHolding>;
