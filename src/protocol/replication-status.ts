import { z } from "zod";
import type { SiteName } from "../core/ids.ts";
import type { Role } from "../core/push.ts";
import type { Fence } from "../core/store/site.ts";
import type { WorkerState } from "../core/worker-state.ts";

/** `GET /api/replication` and `dormouse status --json`: section 11 of the design. Times are RFC 3339 in UTC. */
export type ReplicationStatus = {
  readonly site: SiteName;
  readonly realm: string | null;
  readonly role: Role;
  readonly edition: "commercial";
  /** The epoch's number. */
  readonly epoch: number;
  readonly head: string;
  /** Of all rows, at the head, in hex: equal digests, equal sites. */
  readonly digest: string;
  /** Rows that some backup has not acknowledged, quarantined ones apart. */
  readonly dirty: number;
  /** Age of the oldest of them; 0 when there is none. */
  readonly lag_ms: number;
  readonly fenced: Fence | null;
  /** A primary's open promise to hand over: to whom, and from which position on. */
  readonly grant: { readonly to: SiteName; readonly from: string } | null;
  /** On a primary. */
  readonly peers?: readonly PeerStatus[];
  /** On a backup: up to where everything is durably here. */
  readonly applied?: string;
  readonly primary?: { readonly site: SiteName; readonly url: string; readonly last_push_at: string } | null;
  /** The last push whose digest was equal. */
  readonly verified?: Verified | null;
  /** False from a rejoin until a digest was equal: rows may be missing. */
  readonly complete?: boolean;
};

export type Verified = { readonly position: string; readonly at: string };

export type PeerStatus = {
  readonly site: SiteName;
  readonly url: string;
  readonly state: WorkerState;
  /** null: not known yet. */
  readonly acked: string | null;
  readonly dirty: number;
  readonly lag_ms: number;
  readonly quarantined: number;
  readonly last_contact_at: string | null;
  readonly last_ack_at: string | null;
  readonly last_error: string | null;
  readonly attempt: number;
  readonly next_attempt_at: string | null;
  /** When both sites were last proved equal, and at which position. */
  readonly verified: Verified | null;
  /** Whether the last digest that was compared differed. */
  readonly diverged: boolean;
  readonly counters: {
    readonly signals: number;
    readonly wakeups: number;
    readonly pushes: number;
    readonly rows: number;
    readonly bytes: number;
    readonly failures: number;
  };
};

/** `POST /api/replication/signal`: push to every backup once, even with nothing dirty. */
export const signalRequest = z.strictObject({
  /** Whether rows that a backup refused are tried again. */
  retry_quarantined: z.boolean().default(false),
});
