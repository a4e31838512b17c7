import { dirname, resolve } from "node:path";
import { type BackoffPolicy, defaultBackoff } from "../../core/backoff.ts";
import { isSiteName, type SiteName } from "../../core/ids.ts";
import type { PeerTls } from "../../core/peer-tls.ts";
import type { Config, ListenConfig, ListenTls, ReplicationConfig, SiteConfig } from "./config.ts";
import type { FileValues } from "./file-schema.ts";
import { listenUrl, originOf } from "./network.ts";

/** What the files held that the configuration names: the webhook's URL, and each peer's tokens and PEM texts in their order. */
export type Secrets = {
  readonly webhookUrl: string | null;
  readonly tokens: readonly (readonly string[])[];
  readonly peerTls: readonly PeerTls[];
};

export const noPeerTls: PeerTls = { ca: null, fingerprint: null, cert: null, key: null };

export const defaultHost = "127.0.0.1";
const defaultPort = 8200;

/** A path of the file as a path of the machine: relative ones are relative to the file. */
export function pathBeside(configPath: string, path: string): string {
  return resolve(dirname(configPath), path);
}

/** The second step: checked values and secrets become the nested configuration, with defaults. */
export function completeConfig(configPath: string, values: FileValues, secrets: Secrets): Config {
  const listen = completeListen(configPath, values.listen ?? {});
  const shared: SiteConfig = {
    configPath,
    site: checkedSite(values.site),
    dataFolder: pathBeside(configPath, values.data),
    listen,
    publicUrl:
      values.public_url === undefined
        ? listenUrl(listen.tls === null ? "http" : "https", listen.host, listen.port)
        : originOf(values.public_url),
    alerts: { lagAfterMs: values.alerts?.lag_after_ms ?? 120_000, webhookUrl: secrets.webhookUrl },
    keepVersions: values.keep_versions ?? 20,
    auditKeepDays: values.audit?.keep_days ?? 400,
    diskFreeMinBytes: values.disk_free_min_bytes ?? 100_000_000,
    adminOverHttp: values.admin_over_http ?? false,
  };
  if (values.edition === "community") return { ...shared, edition: "community" };
  if (values.replication === undefined)
    throw new Error("a commercial file without replication passed the rules");
  return {
    ...shared,
    edition: "commercial",
    replication: completeReplication(configPath, values.replication, secrets),
  };
}

function completeListen(configPath: string, listen: NonNullable<FileValues["listen"]>): ListenConfig {
  return {
    host: listen.host ?? defaultHost,
    port: listen.port ?? defaultPort,
    tls: listen.tls ? completeListenTls(configPath, listen.tls) : null,
    behindProxy: listen.behind_proxy ?? [],
  };
}

function completeListenTls(
  configPath: string,
  { cert, key, client_ca: clientCa }: NonNullable<NonNullable<FileValues["listen"]>["tls"]>,
): ListenTls {
  return {
    certFile: pathBeside(configPath, cert),
    keyFile: pathBeside(configPath, key),
    clientCaFile: clientCa === undefined ? null : pathBeside(configPath, clientCa),
  };
}

function completeReplication(
  configPath: string,
  replication: NonNullable<FileValues["replication"]>,
  secrets: Secrets,
): ReplicationConfig {
  return {
    peers: replication.peers.map((peer, i) => ({
      site: checkedSite(peer.site),
      url: originOf(peer.url),
      tokenFile: pathBeside(configPath, peer.token_file),
      tokens: secrets.tokens[i] ?? [],
      tls: secrets.peerTls[i] ?? noPeerTls,
    })),
    batchRows: replication.batch_size ?? 100,
    requestTimeoutMs: replication.request_timeout_ms ?? 30_000,
    backoff: completeBackoff(replication),
  };
}

function completeBackoff({ backoff, max_retries }: NonNullable<FileValues["replication"]>): BackoffPolicy {
  return {
    baseMs: backoff?.base_ms ?? defaultBackoff.baseMs,
    factor: backoff?.factor ?? defaultBackoff.factor,
    capMs: backoff?.cap_ms ?? defaultBackoff.capMs,
    probeMs: backoff?.probe_ms ?? defaultBackoff.probeMs,
    retriesMax: max_retries ?? defaultBackoff.retriesMax,
  };
}

function checkedSite(name: string): SiteName {
  if (!isSiteName(name)) throw new Error("a site's name passed the schema and is none");
  return name;
}
