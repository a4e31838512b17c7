import type { Logger } from "pino";
import type { Scope } from "../core/access.ts";
import type { Audit, AuditActor } from "../core/audit.ts";
import type { AdminCommand, Edition } from "../core/edition.ts";
import type { AccessId, SiteName, VaultId } from "../core/ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { RowMatch } from "../core/row-match.ts";
import type { StoredRow } from "../core/row.ts";
import type { Write } from "../core/store/rows.ts";
import type { Store } from "../core/store/store.ts";
import type { WritesInFlight } from "../core/writes-in-flight.ts";
import type { AlertTestAnswer } from "../protocol/answers.ts";
import type { AccessSecret } from "../crypto/access-secret.ts";
import type { WriteRecord } from "./audit-calls.ts";
import type { KeptVaults } from "./kept-vaults.ts";
import type { People } from "./people/people.ts";
import type { Resealing } from "./resealing.ts";
import type { RouteName, SpecOf } from "./route-table.ts";
import type { VaultSession } from "./vault-opening.ts";

/** What handlers are given of the site. */
export type HttpContext = {
  /** What handlers read. They write through `commit`, and so with a record of it. */
  readonly store: Omit<Store, "write">;
  /** Commits a client's write together with what the audit is to say of it. */
  readonly commit: (record: WriteRecord, write: Omit<Write, "audit">) => Promise<readonly StoredRow[]>;
  /** Finishes the deletion of vaults; returns the last row that it changed. */
  readonly finishDeletions: () => Promise<StoredRow | undefined>;
  readonly edition: Edition;
  /** Every client write, from before its body is read until it is committed or refused. */
  readonly writesInFlight: WritesInFlight;
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
  /** Where every call is recorded. */
  readonly audit: Audit;
  /** Who logs in, and who is logged in. */
  readonly people: People;
  /** Whether requests from an IP address come from others, whom it names in X-Forwarded-For. */
  readonly isProxy: (address: string) => boolean;
  /** What clients have opened before. */
  readonly keptVaults: KeptVaults;
  /** What finishes the changes of vaults' keys. */
  readonly resealing: Resealing;
  /** How many earlier versions of an entry are kept. */
  readonly keepVersions: number;
  /** What an operator's token allows beside the calls of the table; empty unless the configuration has it so. */
  readonly adminCommands: readonly AdminCommand[];
  readonly logger: Logger;
  /** Aborts when the server begins to close. */
  readonly closing: AbortSignal;
};

/** Who asks, once its token was verified. */
export type Principal =
  | { readonly kind: "anyone" }
  | { readonly kind: "operator"; readonly tokenId: string }
  | AccessPrincipal
  /** A person who has logged in, at a call that is about the session itself. */
  | { readonly kind: "session"; readonly session: PersonSession }
  | { readonly kind: "peer"; readonly site: SiteName };

export type AccessPrincipal = {
  readonly kind: "access";
  readonly vaultId: VaultId;
  readonly accessId: AccessId;
  readonly scope: Scope;
  /** Of the person whose session it is; null where it came with a token. */
  readonly login: string | null;
  readonly vault: VaultSession;
};

/** A person's session, opened with the secret that only the client holds. */
export type PersonSession = {
  readonly id: string;
  readonly login: string;
  /** The ids that accesses of this login may have; in each vault it has at most one that is live. */
  readonly accessIds: readonly AccessId[];
  /** What the passphrase gives for an access of that id. Whoever asks disposes it. */
  readonly secretOf: (accessId: AccessId) => AccessSecret;
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
  /** The header X-Forwarded-For, which anybody may write. */
  readonly forwardedFor: string | undefined;
  /** Aborts when the client goes away or the server begins to close. */
  readonly signal: AbortSignal;
};

export type Answer = {
  readonly status: number;
  readonly body: object;
  /** The row whose position is the ETag. */
  readonly tagged?: StoredRow;
  /** Who asked, where only the call itself has shown it. */
  readonly actor?: AuditActor;
};

/** The answer to a client's write, once it is on disk. Its body gets the member `replication`. */
export type WriteAnswer = Answer & {
  /** The row of the highest position that the answer vouches for: what `Prefer: wait` waits for. */
  readonly row: StoredRow;
  /** Whether anything was committed; what was kept as it is wakes nobody. */
  readonly isChanged: boolean;
  readonly location?: string;
  /** What is left to do before the answer, once the backups were woken. What it returns is added to the body. */
  readonly finish?: () => Promise<object | void>;
};

/** A client's write: nothing can be committed for it without its record. */
export type WriteCall<P extends Principal = Principal> = Call<P> & { readonly record: WriteRecord };

type PrincipalOf<Name extends RouteName> = SpecOf<Name>["caller"] extends Scope ? AccessPrincipal : Principal;

type CallOf<Name extends RouteName> = SpecOf<Name>["isClientWrite"] extends true
  ? WriteCall<PrincipalOf<Name>>
  : Call<PrincipalOf<Name>>;

export type Handler<Name extends RouteName> = (
  call: CallOf<Name>,
) => Promise<SpecOf<Name>["isClientWrite"] extends true ? WriteAnswer : Answer>;

/** A handler for every route of the table; one that is missing does not compile. */
export type Handlers = { readonly [Name in RouteName]: Handler<Name> };
