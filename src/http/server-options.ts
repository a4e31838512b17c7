import type { Logger } from "pino";
import type { Audit } from "../core/audit.ts";
import type { AdminCommand, Edition } from "../core/edition.ts";
import type { SiteName } from "../core/ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { Store } from "../core/store/store.ts";
import type { WritesInFlight } from "../core/writes-in-flight.ts";
import type { ConnectionCaps } from "./connection-caps.ts";
import type { AlertTestAnswer } from "../protocol/answers.ts";

export type ServerOptions = {
  readonly store: Store;
  readonly edition: Edition;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Runs what logs many lines, so that they are written at once; without it each is written by itself. */
  readonly logTogether?: (write: () => void) => void;
  readonly site: SiteName;
  /** Where client writes are counted, for whoever ships them; without it, nowhere. */
  readonly writesInFlight?: WritesInFlight;
  /** The program's version. */
  readonly version: string;
  /** Raises a test alert and tries every channel once; without it there is no channel. */
  readonly testAlerts?: () => Promise<AlertTestAnswer["deliveries"]>;
  /** Why the site cannot do its role's work; by default what the store alone tells. */
  readonly readiness?: () => Promise<readonly string[]>;
  /** Where every call is recorded; by default the store, and what it cannot take is lost. */
  readonly audit?: Audit;
  /** What an operator's token allows at `POST /api/admin/<command>`; without it there are no such calls. */
  readonly adminCommands?: readonly AdminCommand[];
  /** How many earlier versions of an entry are kept; 20 where nothing is said. */
  readonly keepVersions?: number;
  /** Without it the server speaks plain HTTP. */
  readonly tls?: ServerTls;
  /** How long a handshake of TLS may take. */
  readonly handshakeMs?: number;
  /** Whose connections are taken, by IP address; without it, everybody's. */
  readonly acceptsFrom?: (address: string) => boolean;
  /** Whether requests from an IP address come from others, whom it names in X-Forwarded-For; without it, none do. */
  readonly isProxy?: (address: string) => boolean;
  /** Called when the last connection has closed. */
  readonly onAlone?: () => void;
  /** How many connections are open at a time; by default what this process's open files allow. */
  readonly caps?: ConnectionCaps;
  /** How long the other end of a connection may take for the rest of its headers or of its body, or to read an answer. */
  readonly deadlineMs?: number;
  /** How long a connection may be idle. */
  readonly keepAliveMs?: number;
};

/** PEM. */
export type ServerTls = {
  readonly key: Buffer | string;
  readonly cert: Buffer | string;
  /** Where it is given, the callers of replication routes must show a certificate of this authority. */
  readonly clientCa?: Buffer | string;
};
