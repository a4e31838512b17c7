import type { Audit } from "../core/audit.ts";
import type { AdminCommand, Edition } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { Store } from "../core/store/store.ts";
import { WritesInFlight } from "../core/writes-in-flight.ts";
import { siteReadiness } from "../http/readiness.ts";
import { buildServer } from "../http/server.ts";
import { finishDeletions } from "../http/vault-deletion.ts";
import { AlertDesk } from "../ops/alerts/alert-desk.ts";
import { WebhookChannel } from "../ops/alerts/webhook-channel.ts";
import type { Config } from "../ops/config/config.ts";
import { isInNetworks, isLoopback } from "../ops/config/network.ts";
import { diskRoom } from "../ops/disk.ts";
import type { Logger, SiteLogger } from "../ops/logging.ts";
import { lockDataFolder } from "../store/sqlite/folder-lock.ts";
import { openSqliteStore } from "../store/sqlite/open.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { adminCommands, openAdminSocket } from "./admin.ts";
import { databasePath } from "./data-folder.ts";
import { openCommercial, openCommunity } from "./edition.ts";
import { SiteAudit } from "./site-audit.ts";
import { tellFaults } from "./store-faults.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";
import { readServerTls, reloadTls, ShownCertificate, warnBeforeExpiry } from "./tls-reload.ts";
import { programVersion } from "./version.ts";

export type SiteOptions = {
  readonly config: Config;
  readonly log: SiteLogger;
  /** Puts something between the store and everything that uses it: a benchmark's stopwatch. */
  readonly wrapStore?: (store: Store) => Store;
};

/** A running site. Disposing it stops it in order: no new requests, those in flight, replication, alerts, the database. */
export type RunningSite = AsyncDisposable & {
  readonly store: Store;
  readonly edition: Edition;
  /** Reads again what may change while it runs, one call after the other. Resolves with what came of it, in words. */
  readonly reload: () => Promise<readonly string[]>;
  /** Resolves, with why, where the site can work no more: its database was replaced, or its disk has failed. */
  readonly lost: Promise<Refusal>;
};

/**
 * Opens a site and starts it: everything is wired together here and nowhere else. What is opened is closed in the opposite
 * order, also where a later step fails.
 * @throws Refusal `data_missing`, `data_in_use`, `data_of_other_site`, `database_corrupt`, `database_newer`, `port_in_use`,
 *   `config_invalid`
 */
export async function openSite({ config, log, wrapStore }: SiteOptions): Promise<RunningSite> {
  await using closing = new AsyncDisposableStack();
  closing.use(lockDataFolder(config.dataFolder));
  const lost = Promise.withResolvers<Refusal>();
  const opened = wrap(openStore(config, log, closing, lost.resolve), wrapStore);
  const alerts = openAlerts(config, opened, log);
  const afterEdition = closing.use(new AsyncDisposableStack());
  const shown = new ShownCertificate();
  const writesInFlight = new WritesInFlight();
  const { edition, reloadPeers } =
    config.edition === "commercial"
      ? await openCommercial({ config, store: opened, writesInFlight, alerts, shown, log }, afterEdition)
      : { edition: await openCommunity(config, opened, log), reloadPeers: undefined };
  // Closed after the edition: the incidents that end while it stops are still to be stored.
  closing.defer(() => alerts.stop());
  closing.defer(() => edition.stop());
  const store = tellFaults(opened, edition);
  const started = Promise.withResolvers<void>();
  const reloads: Reload[] = reloadPeers ? [reloadPeers] : [];
  const reload = inTurn(reloads);
  const commands = adminCommands({ config, store, edition, reload });
  const audit = new SiteAudit({ store, edition, clock: systemClock, log });
  closing.use(await openAdminSocket({ config, log, audit }, commands, started.promise));
  await listen(
    { config, log, store, edition, writesInFlight, alerts, audit, shown, reloads, commands },
    closing,
  );
  alerts.start();
  await edition.start();
  started.resolve();
  continueDeletions({ store, edition, log }, closing);
  const owned = closing.move();
  return { store, edition, reload, lost: lost.promise, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A part of the site that can be read again; resolves with what came of it, in words. */
type Reload = () => Promise<string>;

/** All of them, in order and never two at once. */
function inTurn(reloads: readonly Reload[]): RunningSite["reload"] {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const all = last.then(async () => {
      const texts: string[] = [];
      for (const reload of reloads) texts.push(await reload());
      return texts;
    });
    last = all.catch(() => undefined);
    return all;
  };
}

function wrap(store: Store, wrapStore: SiteOptions["wrapStore"]): Store {
  return wrapStore ? wrapStore(store) : store;
}

const dayMs = 86_400_000;

function openStore(
  config: Config,
  log: Logger,
  closing: AsyncDisposableStack,
  onLost: (why: Refusal) => void,
): Store {
  const { store, upgrade } = openSqliteStore({
    path: databasePath(config.dataFolder),
    expectedSite: config.site,
    diskFreeMinBytes: config.diskFreeMinBytes,
    clock: systemClock,
    random: systemRandom,
    hash: systemHash,
    onLost,
    audit: {
      keepMs: config.auditKeepDays * dayMs,
      onFault: (error) => log.error({ err: error }, "what another site told of its audit was not taken over"),
    },
  });
  closing.defer(() => store.close());
  if (upgrade) log.warn({ upgrade }, "the database was upgraded; a checked copy of the old one is beside it");
  return store;
}

function openAlerts({ alerts, site }: Config, store: Store, log: Logger): AlertDesk {
  const channels = alerts.webhookUrl === null ? [] : [new WebhookChannel({ url: alerts.webhookUrl, site })];
  return new AlertDesk({ store, clock: systemClock, random: systemRandom, log, channels });
}

type Parts = {
  readonly config: Config;
  readonly log: SiteLogger;
  readonly store: Store;
  readonly edition: Edition;
  readonly writesInFlight: WritesInFlight;
  readonly alerts: AlertDesk;
  readonly audit: Audit;
  readonly shown: ShownCertificate;
  readonly reloads: Reload[];
  readonly commands: readonly AdminCommand[];
};

async function listen(
  { config, log, store, edition, writesInFlight, alerts, audit, shown, reloads, commands }: Parts,
  closing: AsyncDisposableStack,
): Promise<void> {
  const { dataFolder, diskFreeMinBytes } = config;
  const { tls: files, behindProxy } = config.listen;
  const tls = files && (await readServerTls(files));
  if (tls) {
    shown.take(tls);
    warnBeforeExpiry(tls, log);
  }
  const isProxy = (address: string) => isLoopback(address) || isInNetworks(address, behindProxy);
  const server = buildServer({
    store,
    edition,
    writesInFlight,
    clock: systemClock,
    random: systemRandom,
    logger: log,
    logTogether: log.together,
    site: config.site,
    version: programVersion,
    keepVersions: config.keepVersions,
    audit,
    testAlerts: () => alerts.deliverTest(),
    readiness: siteReadiness(store, async () => {
      const { isEnough } = await diskRoom(dataFolder, diskFreeMinBytes);
      return isEnough ? [] : ["disk_low"];
    }),
    isProxy,
    onAlone: collectGarbage,
    // Tokens are given out on the machine alone.
    ...(config.adminOverHttp && { adminCommands: commands.filter(({ name }) => name !== "operator") }),
    ...(tls && { tls }),
    // What would come from elsewhere in the clear has passed no proxy.
    ...(!tls && behindProxy.length > 0 && { acceptsFrom: isProxy }),
  });
  if (files) reloads.push(() => reloadTls({ files, server, shown, log }));
  closing.defer(() => server.close());
  const { host, port } = config.listen;
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw isInUse(error)
      ? new Refusal("port_in_use", `another process listens on ${host} port ${port}`)
      : error;
  }
  log.info(
    { role: (await store.read((r) => r.site.record())).role, edition: edition.name, url: config.publicUrl },
    "listening",
  );
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}

/** What a crash left of a vault's deletion goes on beside everything else. */
function continueDeletions(
  { store, edition, log }: Pick<Parts, "log" | "store" | "edition">,
  closing: AsyncDisposableStack,
): void {
  const stop = new AbortController();
  const running = deleteOrphans(store, edition, stop.signal).catch((error: unknown) => {
    log.error({ err: error }, "what is left of a deleted vault could not be deleted");
  });
  closing.defer(async () => {
    stop.abort();
    await running;
  });
}

async function deleteOrphans(store: Store, edition: Edition, signal: AbortSignal): Promise<void> {
  if ((await edition.writeGuard()) !== undefined) return;
  await finishDeletions({ store, clock: systemClock, onCommit: () => edition.signalReplication(), signal });
}
