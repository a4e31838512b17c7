import type { Config, PeerConfig } from "../../ops/config/config.ts";
import {
  type CertificateFacts,
  clientCertificate,
  describeExpiry,
  expirySoonMs,
  ownCertificate,
  peerCertificate,
} from "../certificates.ts";
import { bad, type Finding, good } from "./finding.ts";

const timeoutMs = 5_000;

/**
 * Until when every certificate is valid that this site shows or is shown. Whether a peer's is the one demanded is told with
 * the way to that peer; here a peer that shows none is left out.
 */
export async function examineCertificates(config: Config, nowMs: () => number): Promise<Finding[]> {
  const { tls } = config.listen;
  const own = tls && (await ownCertificate(tls));
  const peers = config.edition === "commercial" ? config.replication.peers : [];
  const found = await Promise.all(peers.map((peer) => examinePeerCertificates(peer, nowMs)));
  return [...(own ? [judgeExpiry("certificate", own, nowMs(), ownRemedy)] : []), ...found.flat()];
}

async function examinePeerCertificates(peer: PeerConfig, nowMs: () => number): Promise<Finding[]> {
  const findings: Finding[] = [];
  const client = clientCertificate(peer.tls);
  if (client)
    findings.push(judgeExpiry(`client certificate for ${peer.site}`, client, nowMs(), clientRemedy));
  const shown = await peerCertificate(peer, timeoutMs);
  if (shown.kind === "shown")
    findings.push(judgeExpiry(`certificate of ${peer.site}`, shown.facts, nowMs(), peerRemedy));
  return findings;
}

const ownRemedy = "Renew it, then reload: systemctl reload dormouse (SIGHUP).";
const clientRemedy = "Renew it: the peer refuses this site once it has expired.";
const peerRemedy = "Renew it there; where its fingerprint is pinned here, exchange that too.";

function judgeExpiry(check: string, facts: CertificateFacts, nowMs: number, remedy: string): Finding {
  const detail = `it ${describeExpiry(facts, nowMs)}; SHA-256 ${facts.fingerprint}`;
  return facts.expiresAt - nowMs > expirySoonMs ? good(check, detail) : bad(check, detail, remedy);
}
