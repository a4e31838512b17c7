import { defaultBackoff } from "../../core/backoff.ts";
import { defaultHost } from "./complete.ts";
import type { Draft, FileDraft } from "./draft.ts";
import type { FileValues } from "./file-schema.ts";
import { isInNetworks, isLoopback, originOf } from "./network.ts";
import type { Path } from "./yaml-source.ts";

/** A mistake that lies in several keys together. `near` bears the line to show where `path` is missing from the file. */
export type RuleFinding = { readonly path: Path; readonly near?: Path; readonly message: string };

type PeerDraft = Draft<FileValues["replication"] & object>["peers"];
type PeerTlsDraft = NonNullable<NonNullable<NonNullable<PeerDraft>[number]>["tls"]>;

/** What must hold between keys. Every rule looks only at what is there: a value that is wrong in itself was told already. */
export function checkRules(file: FileDraft): RuleFinding[] {
  return [...checkListen(file), ...checkAlerts(file), ...checkReplication(file)];
}

function checkListen(file: FileDraft): RuleFinding[] {
  const { host = defaultHost, tls, behind_proxy: proxies } = file.listen ?? {};
  const findings: RuleFinding[] = [];
  if (proxies?.length === 0) {
    findings.push({
      path: ["listen", "behind_proxy"],
      message: "is empty; name the proxy's network, such as 10.0.0.0/8",
    });
  }
  if (isLoopback(host)) return findings;
  if (tls === undefined && proxies === undefined) {
    const message =
      "is reachable from other machines, where tokens would travel in the clear; add listen.tls, " +
      "or listen.behind_proxy naming the network of the proxy that adds TLS, or use 127.0.0.1";
    findings.push({ path: ["listen", "host"], message });
  }
  if (file.public_url === undefined) {
    const message =
      "is missing; with listen.host beyond loopback, name the URL under which others reach this site";
    findings.push({ path: ["public_url"], near: ["listen", "host"], message });
  }
  return findings;
}

function checkAlerts(file: FileDraft): RuleFinding[] {
  if (file.alerts?.webhook === undefined || file.alerts.webhook_file === undefined) return [];
  return [{ path: ["alerts", "webhook_file"], message: "is given beside webhook; keep one of the two" }];
}

/** A community site may keep the block of keys: it is ignored there, so that moving between the editions is one word. */
function checkReplication(file: FileDraft): RuleFinding[] {
  if (file.edition !== "commercial") return [];
  if (file.replication === undefined) {
    const message =
      "is missing, and edition commercial requires it; name the peers, or use edition: community";
    return [{ path: ["replication"], near: ["edition"], message }];
  }
  const { peers, backoff } = file.replication;
  const findings = peers === undefined ? [] : checkPeers(file, peers);
  const { base_ms: baseMs = defaultBackoff.baseMs, cap_ms: capMs = defaultBackoff.capMs } = backoff ?? {};
  if (capMs < baseMs) {
    const given = backoff?.cap_ms === undefined ? "base_ms" : "cap_ms";
    findings.push({ path: ["replication", "backoff", given], message: "makes cap_ms less than base_ms" });
  }
  return findings;
}

function checkPeers(file: FileDraft, peers: NonNullable<PeerDraft>): RuleFinding[] {
  const at = (i: number, key: string): Path => ["replication", "peers", i, key];
  const findings: RuleFinding[] = [];
  const ownUrl = file.public_url === undefined ? undefined : originOf(file.public_url);
  for (const [i, peer] of peers.entries()) {
    if (peer?.site !== undefined && peer.site === file.site) {
      findings.push({ path: at(i, "site"), message: "is this very site; a peer is another one" });
    }
    if (peer?.url !== undefined) {
      const message = checkPeerUrl(peer.url, ownUrl, file.listen?.behind_proxy ?? []);
      if (message !== undefined) findings.push({ path: at(i, "url"), message });
    }
    if (peer?.tls !== undefined) findings.push(...checkPeerTls(peer.tls, peer.url, at(i, "tls")));
  }
  return [...findings, ...checkRepeats(peers, at)];
}

/** Plain http may lead to this machine, and to a proxy that takes it from there by TLS: `proxies` are their networks. */
function checkPeerUrl(
  url: string,
  ownUrl: string | undefined,
  proxies: readonly (string | undefined)[],
): string | undefined {
  const { protocol, hostname, origin } = new URL(url);
  const isCovered = isLoopback(hostname) || isInNetworks(hostname, proxies);
  if (protocol === "http:" && !isCovered) {
    return (
      "must begin with https://; plain http is taken only for a peer on this machine, or where listen.behind_proxy " +
      "names the network of the proxy that the URL leads to (by its IP address) and that adds TLS"
    );
  }
  return origin === ownUrl ? "is this site's own public_url; name the other site's" : undefined;
}

function checkPeerTls(tls: PeerTlsDraft, url: string | undefined, at: Path): RuleFinding[] {
  const findings: RuleFinding[] = [];
  if (Object.keys(tls).length === 0) {
    findings.push({
      path: at,
      message: "is empty; name ca or fingerprint, or cert and key, or leave it away",
    });
  } else if (url !== undefined && new URL(url).protocol === "http:") {
    findings.push({
      path: at,
      message: "needs a url that begins with https://; over plain http there is no TLS",
    });
  }
  // What was wrong in itself is still there as a key.
  if (Object.hasOwn(tls, "cert") === Object.hasOwn(tls, "key")) return findings;
  const [given, missing] = Object.hasOwn(tls, "key") ? ["key", "cert"] : ["cert", "key"];
  const message = `is missing; ${given} alone proves nothing: name the certificate and its private key`;
  return [...findings, { path: [...at, missing], near: [...at, given], message }];
}

function checkRepeats(peers: NonNullable<PeerDraft>, at: (i: number, key: string) => Path): RuleFinding[] {
  const wordings = {
    site: "names a site that another peer has already",
    url: "is another peer's URL already",
    token_file: "is another peer's already; each pair has a secret of its own",
  } as const;
  const findings: RuleFinding[] = [];
  for (const key of ["site", "url", "token_file"] as const) {
    const seen = new Set<string>();
    for (const [i, peer] of peers.entries()) {
      const value = key === "url" && peer?.url !== undefined ? originOf(peer.url) : peer?.[key];
      if (value === undefined) continue;
      if (seen.has(value)) findings.push({ path: at(i, key), message: wordings[key] });
      seen.add(value);
    }
  }
  return findings;
}
