import { ownCertificate, peerCertificate } from "../../app/certificates.ts";
import { askPeerHealth, type Health } from "../../app/doctor/network.ts";
import { Refusal } from "../../core/errors.ts";
import type { Config, PeerConfig } from "../../ops/config/config.ts";
import { freeBytes } from "../../ops/disk.ts";
import { AdminClient } from "../admin-client.ts";
import { type Fields, isFields, objectsIn } from "../fields.ts";

/** What a peer said when it was asked, and between which moments of this machine's clock it was. */
export type PeerFacts = {
  readonly site: string;
  readonly health: Health;
  readonly sentMs: number;
  readonly receivedMs: number;
};

export type CertificateExpiry = { readonly whose: string; readonly expiresAt: number };

/** Everything that the verdict is made of. */
export type CheckFacts = {
  readonly nowMs: number;
  readonly config: Config;
  /** The site's status; text where it has none to give, which says why. */
  readonly status: Fields | string;
  readonly peers: readonly PeerFacts[];
  readonly certificates: readonly CertificateExpiry[];
  readonly diskFreeBytes: number;
};

export type FactOptions = {
  readonly timeoutMs: number;
  /** A proof older than this is asked for anew. */
  readonly proofAgeMsMax: number;
};

/** Looks at a site from outside of it, and has it prove anew that its backups are equal where the last proof is getting old. */
export async function gatherFacts(config: Config, options: FactOptions): Promise<CheckFacts> {
  const peers = config.edition === "commercial" ? config.replication.peers : [];
  const [status, peerFacts, certificates, diskFreeBytes] = await Promise.all([
    readStatus(config, options),
    Promise.all(peers.map(askPeer)),
    readCertificates(config, peers, options.timeoutMs),
    freeBytes(config.dataFolder),
  ]);
  return { nowMs: Date.now(), config, status, peers: peerFacts, certificates, diskFreeBytes };
}

async function askPeer(peer: PeerConfig): Promise<PeerFacts> {
  const sentMs = Date.now();
  const health = await askPeerHealth(peer);
  return { site: peer.site, health, sentMs, receivedMs: Date.now() };
}

async function readCertificates(
  { listen }: Config,
  peers: readonly PeerConfig[],
  timeoutMs: number,
): Promise<readonly CertificateExpiry[]> {
  const own = listen.tls === null ? undefined : await ownCertificate(listen.tls);
  const shown = await Promise.all(
    peers.map(async (peer) => ({ whose: peer.site, found: await peerCertificate(peer, timeoutMs) })),
  );
  const others = shown.flatMap(({ whose, found }) =>
    found.kind === "shown" ? [{ whose, expiresAt: found.facts.expiresAt }] : [],
  );
  return [...(own === undefined ? [] : [{ whose: "its own", expiresAt: own.expiresAt }]), ...others];
}

async function readStatus(config: Config, options: FactOptions): Promise<Fields | string> {
  const admin = new AdminClient(config);
  const call = { command: "status", timeoutMs: options.timeoutMs };
  try {
    const status = await admin.call(call);
    return isOldProof(status, options) ? await proveAnew(admin, status, options) : status;
  } catch (error) {
    // Whoever may not ask does not know whether it is well.
    if (!(error instanceof Refusal) || error.code === "forbidden") throw error;
    return error.message;
  }
}

/** How often the site is asked whether the proof is there. */
const pollMs = 200;

/** One push to every backup, even with nothing to send: both sides compare their digests. */
async function proveAnew(admin: AdminClient, before: Fields, options: FactOptions): Promise<Fields> {
  const { timeoutMs } = options;
  const deadlineMs = performance.now() + timeoutMs;
  await admin.call({ command: "signal", timeoutMs });
  let status = before;
  while (isOldProof(status, options) && performance.now() < deadlineMs) {
    // Nothing tells of it: a proof is a few milliseconds away, or does not come.
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    status = await admin.call({ command: "status", timeoutMs });
  }
  return status;
}

/** Half of what would be told of: a backup, which cannot ask for a proof itself, then never has one that is too old. */
function isOldProof(status: Fields, { proofAgeMsMax }: FactOptions): boolean {
  if (!Array.isArray(status.peers)) return false;
  return objectsIn(status, "peers").some((peer) => {
    const proof = isFields(peer.verified) ? peer.verified : undefined;
    if (proof === undefined || proof.position !== status.head) return true;
    return Date.now() - Date.parse(String(proof.at)) > proofAgeMsMax / 2;
  });
}
