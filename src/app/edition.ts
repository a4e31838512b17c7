import type { Alerts, Edition } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { BatchLimit } from "../core/store/replication.ts";
import type { Store } from "../core/store/store.ts";
import type { WritesInFlight } from "../core/writes-in-flight.ts";
import { communityEdition } from "../editions/community.ts";
import type { CommercialConfig, CommunityConfig } from "../ops/config/config.ts";
import type { Logger } from "../ops/logging.ts";
import type { OpenWay, PeerLinks } from "./peers/peer-links.ts";
import { readSiteConfig } from "./site-config.ts";
import { examineBeside } from "../store/sqlite/examine-beside.ts";
import { databasePath } from "./data-folder.ts";
import { systemClock, systemRandom } from "./system-ports.ts";
import type { ShownCertificate } from "./tls-reload.ts";

/** The bytes of rows in one push, before base64: the design, section 4, step 5. */
const batchBytesMax = 1024 * 1024;

/**
 * The community edition: no peers, so nothing is marked dirty, and marks that a commercial past left behind are cleared.
 * @throws Refusal `config_invalid` on a site that is a backup
 */
export async function openCommunity(config: CommunityConfig, store: Store, log: Logger): Promise<Edition> {
  const { role } = await store.read((r) => r.site.record());
  if (role === "backup") {
    const detail = `${config.site} is a backup; the community edition has none: set \`edition: commercial\``;
    throw new Refusal("config_invalid", detail);
  }
  await store.transact((tx) => tx.replication.configurePeers([]));
  return communityEdition((event, message, details) => log.error({ event, details }, message));
}

export type CommercialParts = {
  readonly config: CommercialConfig;
  readonly store: Store;
  readonly writesInFlight: WritesInFlight;
  readonly alerts: Alerts;
  /** What this site's own server shows. */
  readonly shown: Pick<ShownCertificate, "fingerprint">;
  readonly log: Logger;
};

/** An edition, and what of it can be read again while it runs. */
export type CommercialSite = {
  readonly edition: Edition;
  /** Takes over the peers that the configuration names now. Never rejects; resolves with what came of it, in words. */
  readonly reloadPeers: () => Promise<string>;
};

/**
 * The commercial edition, with an HTTP way to each peer; `closing` takes what must be closed after it has stopped. Loaded only
 * here, so that a community site runs without any code that replicates.
 */
export async function openCommercial(
  parts: CommercialParts,
  closing: AsyncDisposableStack,
): Promise<CommercialSite> {
  const { config, store, writesInFlight, alerts, shown, log } = parts;
  const { CommercialEdition, httpTransport } = await import("../editions/commercial.ts");
  const { PeerLinks } = await import("./peers/peer-links.ts");
  const { pairing } = await import("./peers/pairing-parts.ts");
  const { removeUnusedSecret } = await import("./peers/peer-files.ts");
  const { endIncidentsBut } = await import("./peers/peer-incidents.ts");
  const unused = await removeUnusedSecret(config);
  if (unused !== undefined) log.warn({ file: unused }, "removed the secret of a pairing that was cut off");
  const { peers, batchRows, requestTimeoutMs, backoff } = config.replication;
  const limit: BatchLimit = { rows: batchRows, bytes: batchBytesMax };
  const open: OpenWay = (way) => httpTransport({ ...way, timeoutMs: requestTimeoutMs, clock: systemClock });
  const links = closing.use(new PeerLinks(config.site, open, peers));
  const edition = new CommercialEdition({
    store,
    writesInFlight,
    publicUrl: config.publicUrl,
    peers: links.current,
    peerOf: (token) => links.peerOf(token),
    clock: systemClock,
    random: systemRandom,
    limit,
    backoff,
    lagAfterMs: config.alerts.lagAfterMs,
    alerts,
    checkDatabase: () => examineBeside(databasePath(config.dataFolder)),
    onFault: (error) => log.error({ err: error }, "replication met a fault of this site"),
  });
  const endOthers = (): Promise<void> =>
    endIncidentsBut(
      alerts,
      links.current.map((link) => link.site),
    );
  const reload = async (): Promise<string> => {
    const text = await takePeers(config, links, edition);
    await endOthers();
    return text;
  };
  const openUnknown = (way: Omit<Parameters<OpenWay>[0], "credential">) =>
    open({ ...way, credential: () => [] });
  const added = pairing({ config, store, links, shown, reload, open: openUnknown });
  return { edition: withParts(edition, added, endOthers), reloadPeers: () => tellReload(reload, log) };
}

async function tellReload(reload: () => Promise<string>, log: Logger): Promise<string> {
  try {
    const text = await reload();
    log.info(`reloaded ${text}`);
    return text;
  } catch (error) {
    if (!(error instanceof Refusal)) log.error({ err: error }, "the peers could not be reloaded");
    const { message, mistakes } = error instanceof Refusal ? error : new Refusal("internal");
    const reasons = [message, ...mistakes.map((mistake) => `${mistake.path} ${mistake.message}`)].join("; ");
    log.error({ reasons }, "the configuration's peers cannot be taken over; those of before stay");
    return `nothing of the peers: those of before stay. ${reasons}`;
  }
}

/** @throws Refusal `config_invalid`, `file_exposed`, having changed nothing */
function takePeers(
  config: CommercialConfig,
  links: PeerLinks,
  edition: { readonly setPeers: (peers: PeerLinks["current"]) => Promise<void> },
): Promise<string> {
  return links.inTurn(async () => {
    const read = await readSiteConfig(config.configPath);
    if (read.edition !== "commercial" || read.site !== config.site) {
      throw new Refusal(
        "config_invalid",
        `${config.configPath}: edition and site are taken over at a start only`,
      );
    }
    const { changes, close } = links.take(read.replication.peers);
    await edition.setPeers(links.current);
    await close();
    return changes.length === 0 ? "the peers, which are as before" : `the peers: ${changes.join(", ")}`;
  });
}

/** The edition with more calls and commands: what concerns its configuration's file, of which it knows nothing. */
function withParts(
  edition: Edition,
  added: Pick<Edition, "routes" | "adminCommands">,
  onStart: () => Promise<void>,
): Edition {
  return {
    name: edition.name,
    routes: [...edition.routes, ...added.routes],
    adminCommands: [...edition.adminCommands, ...added.adminCommands],
    signalReplication: () => edition.signalReplication(),
    alertOperator: (...alert) => edition.alertOperator(...alert),
    peerOf: (token) => edition.peerOf(token),
    writeGuard: () => edition.writeGuard(),
    waitReplicated: (position, ms) => edition.waitReplicated(position, ms),
    start: async () => {
      await edition.start();
      await onStart();
    },
    stop: () => edition.stop(),
  };
}
