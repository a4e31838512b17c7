import type { SiteName } from "./ids.ts";
import type { Position } from "./position.ts";
import type { Identity, Push, PushRefusal, Rejection } from "./push.ts";

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

export type HelloAnswer =
  | { readonly kind: "answered"; readonly identity: Identity }
  | { readonly kind: "unauthorized" }
  | { readonly kind: "failed"; readonly error: string };

/** The way to one peer. Every method may be repeated; none rejects. */
export interface Transport {
  /** Posts a push and waits for its answer, at most the configured time. `bytes` is the size of what was sent. */
  push(push: Push, signal: AbortSignal): Promise<{ readonly answer: PushAnswer; readonly bytes: number }>;
  /** Tells the peer that this site is here, and up to where it stands. */
  hello(identity: Identity, publicUrl: string, signal: AbortSignal): Promise<HelloAnswer>;
}

/** Which backups hold a position: what `Prefer: wait` tells a client. */
export type BackupsHolding = Readonly<Record<SiteName, boolean>>;

/** Waits until every backup has acknowledged `position`, at most `ms`, and says which have. */
export type WaitReplicated = (position: Position, ms: number) => Promise<BackupsHolding>;
