import type { Alert, AlertDetails, AlertEvent } from "./alert-events.ts";
import type { SiteName } from "./ids.ts";
import type { WaitReplicated } from "./ports.ts";

/**
 * The only seam between the community and the commercial program. The community edition does nothing but log alerts; the
 * commercial one contributes replication. Everything else is the same code for both.
 */
export interface Edition {
  readonly name: "community" | "commercial";
  /** Wakes the replication workers. Never blocks, never throws, coalesces. The customer's SignalReplication. */
  signalReplication(): void;
  /** Tells the operator, once for each incident. Never throws and never waits for a channel. The customer's AlertOperator. */
  alertOperator(event: AlertEvent, message: string, details: AlertDetails): void;
  readonly routes: readonly EditionRoute[];
  /** What the machine's owner may have this edition do, through the admin socket. */
  readonly adminCommands: readonly AdminCommand[];
  /** The peer whose credential a bearer token is; undefined where it is no peer's. */
  peerOf(token: string): SiteName | undefined;
  /** Why a client's write may not happen here; undefined where it may. Asked before anything of the request is parsed. */
  writeGuard(): Promise<WriteRefusal | undefined>;
  /** Which backups hold a position, waiting for them at most so long; empty without backups. */
  readonly waitReplicated: WaitReplicated;
  /** Starts workers and says hello. Resolves without waiting for any peer. */
  start(): Promise<void>;
  /** Ends what start began; what is in flight is finished or given up within a second. May be repeated. */
  stop(): Promise<void>;
}

export type WriteRefusal = {
  readonly code: "read_only_backup" | "site_fenced";
  /** Where writes go instead, for X-Primary-Location; null where that is not known. */
  readonly primaryUrl: string | null;
};

/** A route that an edition adds. `peer` routes are called by other sites and take bodies compressed with zstd. */
export type EditionRoute = {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly caller: "operator" | "peer" | "anyone";
  readonly bodyBytesMax: number;
  /** @param body the parsed JSON body, unchecked; undefined for GET. Throws a Refusal for bad input. */
  readonly handle: (request: {
    readonly peer: SiteName | null;
    readonly body: unknown;
    /** The IP address that the request came from; a proxy's, where one stands in front. */
    readonly address?: string;
  }) => Promise<EditionReply>;
};

/** A status of 400 or more goes out as problem+json with the body's fields. */
export type EditionReply = { readonly status: number; readonly body: object };

/**
 * What the owner of the machine may have a site do: `POST /admin/<name>` on the socket in the data folder, and
 * `POST /api/admin/<name>` for an operator where the configuration allows it.
 */
export type AdminCommand = {
  /** The last part of its path: lower-case letters and hyphens. */
  readonly name: string;
  readonly handle: (request: AdminRequest) => Promise<object>;
};

export type AdminRequest = {
  /** The parsed JSON body, unchecked. A Refusal `invalid_request` names what is wrong with it. */
  readonly body: unknown;
  /** Tells the caller how far it is, in a line of its own. Never throws, and never waits for the caller to read it. */
  readonly progress: (event: object) => void;
  /** Aborts when the caller goes away and when the site stops; what was committed by then stays. */
  readonly signal: AbortSignal;
};

/** The port through which the parts of a site tell the operator. */
export interface Alerts {
  /** Stores the alert (once for each incident), logs it, and wakes the channels. Resolves when it is stored. */
  raise(event: AlertEvent, subject: string, message: string, details: AlertDetails): Promise<void>;
  /** Every incident that has been told and not ended, also one that a full disk kept out of the store. */
  openIncidents(): Promise<readonly Alert[]>;
}
