import { timingSafeEqual } from "node:crypto";
import { utf8 } from "../core/bytes.ts";
import type { Alerts, Edition } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import type { BatchLimit, Store } from "../core/store.ts";
import { peerCredential } from "../crypto/peer-credential.ts";
import { parseToken, type Token } from "../crypto/token.ts";
import { communityEdition } from "../editions/community.ts";
import type { CommercialConfig, CommunityConfig, PeerConfig } from "../ops/config/config.ts";
import type { Logger } from "../ops/logging.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";

/** The bytes of rows in one push, before base64: the design, section 4, step 5. */
const batchBytesMax = 1024 * 1024;

/**
 * The community edition: no peers, so nothing is marked dirty, and marks that a commercial past left behind are cleared.
 * @throws Refusal `config_invalid` on a site that is a backup
 */
export async function openCommunity(config: CommunityConfig, store: Store, log: Logger): Promise<Edition> {
  const { role } = await store.site();
  if (role === "backup") {
    const detail = `${config.site} is a backup; the community edition has none: set \`edition: commercial\``;
    throw new Refusal("config_invalid", detail);
  }
  await store.configurePeers([]);
  return communityEdition((event, message, details) => log.error({ event, details }, message));
}

export type CommercialParts = {
  readonly config: CommercialConfig;
  readonly store: Store;
  readonly alerts: Alerts;
  readonly log: Logger;
};

/**
 * The commercial edition, with an HTTP way to each peer; `closing` takes what must be closed after it has stopped. Loaded only
 * here, so that a community site runs without any code that replicates.
 */
export async function openCommercial(
  parts: CommercialParts,
  closing: AsyncDisposableStack,
): Promise<Edition> {
  const { config, store, alerts, log } = parts;
  const { CommercialEdition, httpTransport } = await import("../editions/commercial.ts");
  const { peers, batchRows, requestTimeoutMs, backoff } = config.replication;
  const limit: BatchLimit = { rows: batchRows, bytes: batchBytesMax };
  return new CommercialEdition({
    store,
    publicUrl: config.publicUrl,
    peers: peers.map((peer) => {
      const credential = peerCredential(pairSecret(peer), config.site, peer.site);
      const { transport, close } = httpTransport({
        url: peer.url,
        credential,
        timeoutMs: requestTimeoutMs,
        clock: systemClock,
        tls: peer.tls,
      });
      closing.defer(close);
      return { site: peer.site, url: peer.url, transport };
    }),
    peerOf: peerFinder(config.site, peers),
    clock: systemClock,
    random: systemRandom,
    limit,
    backoff,
    lagAfterMs: config.alerts.lagAfterMs,
    alerts,
    onFault: (error) => log.error({ err: error }, "replication met a fault of this site"),
  });
}

/**
 * Finds the peer that a bearer token was derived for. Digests are compared, in constant time and with every peer's, so that
 * the time it takes tells nothing of the token.
 */
function peerFinder(site: SiteName, peers: readonly PeerConfig[]): (text: string) => SiteName | undefined {
  const expected = peers.map((peer) => ({
    site: peer.site,
    digest: digestOf(peerCredential(pairSecret(peer), peer.site, site)),
  }));
  return (text) => {
    const digest = digestOf(text);
    return expected.filter((candidate) => timingSafeEqual(candidate.digest, digest))[0]?.site;
  };
}

function digestOf(text: string): Uint8Array {
  return systemHash.sha256(utf8(text));
}

/** @throws where the text is none; it was checked when the configuration was read */
function pairSecret(peer: PeerConfig): Token {
  const token = parseToken(peer.token);
  if (token?.kind !== "peer") throw new Error("a pair's secret passed the configuration's check and is none");
  return token;
}
