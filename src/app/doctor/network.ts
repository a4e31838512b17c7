import { once } from "node:events";
import { createServer } from "node:net";
import { Agent, buildConnector } from "undici";
import { errorCodes } from "../../core/errors.ts";
import { peerConnector, PeerTlsFault } from "../../crypto/peer-tls.ts";
import type { Config, PeerConfig } from "../../ops/config/config.ts";
import { listenUrl } from "../../ops/config/network.ts";
import { errnoOf } from "../../ops/config/secret-files.ts";
import { bad, type Finding, good } from "./finding.ts";

const timeoutMs = 5_000;
const answerBytesMax = 64 * 1024;
/** The date of an HTTP answer has whole seconds, and the answer was under way. */
const clockDifferenceMsMax = 5_000;

/** The configured port, and the way to every peer. Sends no credential. */
export async function examineNetwork(config: Config, nowMs: () => number): Promise<Finding[]> {
  const peers = config.edition === "commercial" ? config.replication.peers : [];
  const findings = peers.map((peer) => examinePeer(peer, nowMs));
  return [await examinePort(config), ...(await Promise.all(findings)).flat()];
}

/** What `GET /healthz` said. */
export type Health =
  | {
      readonly kind: "answered";
      readonly site: string;
      readonly role: string;
      readonly date: number | undefined;
    }
  | { readonly kind: "other"; readonly detail: string }
  /** Not a byte of a request was sent. */
  | { readonly kind: "untrusted"; readonly detail: string }
  | { readonly kind: "unreachable"; readonly code: string };

async function examinePort({ listen, site }: Config): Promise<Finding> {
  const where = `${listen.host} port ${listen.port}`;
  const health = await askHealth(ownUrl(listen), ownConnector);
  if (health.kind === "answered" && health.site === site) return good("port", `this site runs at ${where}`);
  if (health.kind !== "unreachable") {
    const who = health.kind === "answered" ? `the site ${health.site}` : "another program";
    return bad("port", `${who} listens at ${where}`, errorCodes.port_in_use.remedy);
  }
  const code = await tryListen(listen.host, listen.port);
  if (code === undefined) return good("port", `${where} is free; the site does not run`);
  if (code === "EADDRINUSE")
    return bad("port", `another program listens at ${where}`, errorCodes.port_in_use.remedy);
  const remedy =
    code === "EACCES"
      ? "Choose a port from 1024 up."
      : "Correct `listen.host`: this machine has no such address.";
  return bad("port", `nothing can listen at ${where} (${code})`, remedy);
}

/** How this machine reaches its own listener: what listens on all addresses is on the loopback too. */
function ownUrl({ host, port, tls }: Config["listen"]): string {
  const reached = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return listenUrl(tls === null ? "http" : "https", reached, port);
}

/** Why nothing can listen there; undefined where it can. */
async function tryListen(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, "listening");
    server.close();
    await once(server, "close");
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? "unknown";
  }
}

/** Asks a peer who it is, as replication reaches it and without a credential. Takes 5 s at most, and never rejects. */
export function askPeerHealth(peer: Pick<PeerConfig, "url" | "tls">): Promise<Health> {
  return askHealth(peer.url, peerConnector(peer.tls, timeoutMs));
}

async function examinePeer(peer: PeerConfig, nowMs: () => number): Promise<Finding[]> {
  const check = `peer ${peer.site}`;
  const health = await askPeerHealth(peer);
  const at = `${peer.site} at ${peer.url}`;
  if (health.kind === "untrusted") return [bad(check, `${at}: ${health.detail}`, untrustedRemedy)];
  if (health.kind === "unreachable") {
    return [bad(check, `${at} does not answer (${health.code})`, errorCodes.unreachable.remedy)];
  }
  if (health.kind === "other") return [bad(check, `${at}: ${health.detail}`, "Correct the peer's `url`.")];
  if (health.site !== peer.site) {
    return [
      bad(check, `at ${peer.url} is ${health.site}, not ${peer.site}`, "Correct the peer's `site` or `url`."),
    ];
  }
  return [good(check, `${at} answers; it is a ${health.role}`), ...examineClocks(peer, health.date, nowMs())];
}

function examineClocks(peer: PeerConfig, theirMs: number | undefined, ourMs: number): Finding[] {
  if (theirMs === undefined) return [];
  const differenceMs = Math.abs(theirMs - ourMs);
  const check = `clock of ${peer.site}`;
  const detail = `it differs from ours by ${Math.round(differenceMs / 1_000)} s`;
  if (differenceMs <= clockDifferenceMsMax) return [good(check, detail)];
  return [
    bad(check, detail, "Keep both clocks right with NTP: times of lag and of alerts are read from them."),
  ];
}

const untrustedRemedy =
  "See \"Certificates\" in docs/OPERATIONS.md: renew the peer's, or correct the peer's `tls` or `url` here.";

/** To this machine's own listener, whose certificate is for its public name and not for this address. */
const ownConnector = buildConnector({ rejectUnauthorized: false, allowH2: false, timeout: timeoutMs });

async function askHealth(url: string, connect: buildConnector.connector): Promise<Health> {
  const dispatcher = new Agent({ connect });
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { origin, pathname: path } = new URL(`${url}/healthz`);
    const { statusCode, headers, body } = await dispatcher.request({ origin, path, method: "GET", signal });
    let text = "";
    for await (const chunk of body) {
      text += String(chunk);
      if (text.length > answerBytesMax) return { kind: "other", detail: "its answer is no Dormouse's" };
    }
    const said = statusCode === 200 ? healthIn(text) : undefined;
    if (said === undefined)
      return { kind: "other", detail: `it answers ${statusCode}, and not as a Dormouse does` };
    const date = Date.parse(String(headers["date"]));
    return { kind: "answered", ...said, date: Number.isNaN(date) ? undefined : date };
  } catch (error) {
    if (error instanceof PeerTlsFault) return { kind: "untrusted", detail: error.message };
    if (error instanceof Error && error.name === "HTTPParserError")
      return { kind: "other", detail: "it does not speak HTTP" };
    return { kind: "unreachable", code: errnoOf(error) ?? `nothing within ${timeoutMs / 1_000} s` };
  } finally {
    await dispatcher.destroy();
  }
}

/** Only what looks like a site's name and role goes on to a terminal. */
function healthIn(text: string): { readonly site: string; readonly role: string } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("site" in value) || !("role" in value))
      return undefined;
    const { site } = value;
    const role = value.role ?? "site whose database does not answer";
    if (typeof site !== "string" || typeof role !== "string") return undefined;
    return /^[a-z0-9-]{1,63}$/.test(site) && /^[a-z ]{1,50}$/.test(role) ? { site, role } : undefined;
  } catch {
    return undefined;
  }
}
