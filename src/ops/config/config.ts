import type { BackoffPolicy } from "../../core/backoff.ts";
import type { SiteName } from "../../core/ids.ts";
import type { PeerTls } from "../../core/peer-tls.ts";

/**
 * What the configuration file says, checked and complete: paths are absolute, defaults are filled in, secrets are read. Code
 * that replicates takes a `CommercialConfig`, so a site without peers cannot reach it.
 */
export type Config = CommunityConfig | CommercialConfig;

export type CommunityConfig = SiteConfig & { readonly edition: "community" };
export type CommercialConfig = SiteConfig & {
  readonly edition: "commercial";
  readonly replication: ReplicationConfig;
};

export type SiteConfig = {
  /** The file that this came from. */
  readonly configPath: string;
  readonly site: SiteName;
  readonly dataFolder: string;
  readonly listen: ListenConfig;
  /** Scheme, host and port under which clients and other sites reach this one; no trailing slash. */
  readonly publicUrl: string;
  readonly alerts: AlertsConfig;
  /** How many earlier versions of each entry are kept. */
  readonly keepVersions: number;
  /** How many days audit records are kept. */
  readonly auditKeepDays: number;
  /** Below this many free bytes on the data folder's disk the site is not ready. */
  readonly diskFreeMinBytes: number;
  /** Whether an operator's token allows over HTTP what else only the owner of the machine may have this site do. */
  readonly adminOverHttp: boolean;
};

export type ListenConfig = {
  readonly host: string;
  readonly port: number;
  readonly tls: ListenTls | null;
  /** Networks of the proxies in front that add TLS; empty without one. */
  readonly behindProxy: readonly string[];
};

/** PEM files; the key was found private, and fits the certificate. Read again at each reload. */
export type ListenTls = {
  readonly certFile: string;
  readonly keyFile: string;
  /** Where it is given, the callers of replication routes must show a certificate of this authority. */
  readonly clientCaFile: string | null;
};

export type AlertsConfig = {
  /** How old the oldest unreplicated change gets before the operator is told. */
  readonly lagAfterMs: number;
  /** A secret: never logged with its path. */
  readonly webhookUrl: string | null;
};

export type ReplicationConfig = {
  /** Empty before the site is paired with another. */
  readonly peers: readonly PeerConfig[];
  readonly batchRows: number;
  readonly requestTimeoutMs: number;
  readonly backoff: BackoffPolicy;
};

export type PeerConfig = {
  readonly site: SiteName;
  /** Scheme, host and port; no trailing slash. */
  readonly url: string;
  readonly tokenFile: string;
  /** The pair's secret, a `dms_` token as text; two while it is being changed, the one that this site sends with first. */
  readonly tokens: readonly string[];
  /** What its certificate must be, with the contents of the files. */
  readonly tls: PeerTls;
};
