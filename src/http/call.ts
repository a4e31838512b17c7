import type { Logger } from "pino";
import type { Scope } from "../core/access.ts";
import type { AdminCommand, Edition } from "../core/edition.ts";
import type { AccessId, SiteName, VaultId } from "../core/ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { RowMatch } from "../core/row-match.ts";
import type { StoredRow } from "../core/row.ts";
import type { Store } from "../core/store.ts";
import type { AlertTestAnswer } from "../protocol/answers.ts";
import type { RouteName, SpecOf } from "./route-table.ts";

/** What handlers are given of the site. */
export type HttpContext = {
  readonly store: Store;
  readonly edition: Edition;
  readonly clock: Clock;
  readonly random: Random;
  readonly site: SiteName;
  readonly version: string;
  /** Why the site cannot do its role's work; empty where it can. */
  readonly readiness: () => Promise<readonly string[]>;
  /** Raises a test alert and tries every channel once. */
  readonly testAlerts: () => Promise<AlertTestAnswer["deliveries"]>;
  /** Whether a peer must show a certificate beside its token. */
  readonly demandsCertificates: boolean;
  /** What an operator's token allows beside the calls of the table; empty unless the configuration has it so. */
  readonly adminCommands: readonly AdminCommand[];
  readonly logger: Logger;
  /** Aborts when the server begins to close. */
  readonly closing: AbortSignal;
};

/** Who asks, once its token was verified. */
export type Principal =
  | { readonly kind: "anyone" }
  | { readonly kind: "operator" }
  | AccessPrincipal
  | { readonly kind: "peer"; readonly site: SiteName };

export type AccessPrincipal = {
  readonly kind: "access";
  readonly vaultId: VaultId;
  readonly accessId: AccessId;
  readonly scope: Scope;
};

/** A request as a handler sees it: allowed already, its body parsed but not checked. */
export type Call<P extends Principal = Principal> = {
  readonly principal: P;
  readonly params: Readonly<Record<string, string>>;
  readonly query: unknown;
  /** Parsed JSON; undefined where there is none; for an import its bytes. */
  readonly body: unknown;
  readonly match: RowMatch | undefined;
  /** The IP address that the request came from. */
  readonly address: string;
};

export type Answer = {
  readonly status: number;
  readonly body: object;
  /** The row whose position is the ETag. */
  readonly tagged?: StoredRow;
};

/** The answer to a client's write, once it is on disk. Its body gets the member `replication`. */
export type WriteAnswer = Answer & {
  /** The row of the highest position that the answer vouches for: what `Prefer: wait` waits for. */
  readonly row: StoredRow;
  /** Whether anything was committed; what was kept as it is wakes nobody. */
  readonly isChanged: boolean;
  readonly location?: string;
};

type CallOf<Name extends RouteName> = SpecOf<Name>["caller"] extends "read" | "write" | "owner"
  ? Call<AccessPrincipal>
  : Call;

export type Handler<Name extends RouteName> = (
  call: CallOf<Name>,
) => Promise<SpecOf<Name>["isClientWrite"] extends true ? WriteAnswer : Answer>;

/** A handler for every route of the table; one that is missing does not compile. */
export type Handlers = { readonly [Name in RouteName]: Handler<Name> };
