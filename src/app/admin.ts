import type { Audit } from "../core/audit.ts";
import type { AdminCommand, Edition } from "../core/edition.ts";
import type { AccessId } from "../core/ids.ts";
import type { Store } from "../core/store/store.ts";
import { buildAdminServer, listenOnSocket } from "../http/admin-server.ts";
import type { Config } from "../ops/config/config.ts";
import type { Logger } from "../ops/logging.ts";
import { check } from "../protocol/check.ts";
import {
  accessFields,
  alertsFields,
  type AdminStatus,
  type BlockedAccessList,
  noFields,
  snapshotFields,
} from "../protocol/admin.ts";
import { openSocketPath } from "./admin-socket.ts";
import { auditCommand } from "./audit-command.ts";
import { databasePath } from "./data-folder.ts";
import { operatorCommand } from "./operators.ts";
import { createSnapshot } from "./snapshot.ts";
import { systemClock, systemRandom } from "./system-ports.ts";
import { programVersion } from "./version.ts";

export type AdminParts = {
  readonly config: Config;
  readonly store: Store;
  readonly edition: Edition;
  /** Reads again what may change while the site runs; resolves with what was taken, in words. */
  readonly reload: () => Promise<readonly string[]>;
};

/** Everything that the machine's owner may have this site do: what the edition brings, and what every site can. */
export function adminCommands(parts: AdminParts): readonly AdminCommand[] {
  const { edition } = parts;
  const brought = new Set(edition.adminCommands.map(({ name }) => name));
  const own = [
    statusCommand(parts),
    snapshotCommand(parts),
    reloadCommand(parts),
    accessCommand(parts),
    alertsCommand(parts),
    operatorCommand(parts.store),
    auditCommand(parts.store),
    ...signalCommands(edition),
  ];
  return [...edition.adminCommands, ...own.filter(({ name }) => !brought.has(name))];
}

/**
 * Opens the admin socket in the data folder, whose lock the caller holds. Closing it removes the socket.
 * @param ready no command runs before this resolves
 * @throws Refusal `config_invalid` where there can be no socket
 */
export async function openAdminSocket(
  { config, log, audit }: { readonly config: Config; readonly log: Logger; readonly audit: Audit },
  commands: readonly AdminCommand[],
  ready: Promise<void>,
): Promise<AsyncDisposable> {
  await using closing = new AsyncDisposableStack();
  const { path } = closing.use(openSocketPath(config.dataFolder));
  const ports = { clock: systemClock, random: systemRandom, logger: log };
  const server = buildAdminServer({ ...ports, commands, audit, ready });
  closing.defer(() => server.close());
  await listenOnSocket(server, path);
  return closing.move();
}

/** Where the edition has nothing more to tell. */
function statusCommand({ store, edition }: AdminParts): AdminCommand {
  return {
    name: "status",
    handle: async ({ body }): Promise<AdminStatus> => {
      check(noFields, body);
      const { site, role } = await store.read((r) => r.site.record());
      return { site, role, edition: edition.name, version: programVersion };
    },
  };
}

function snapshotCommand({ config }: AdminParts): AdminCommand {
  const { dataFolder, diskFreeMinBytes } = config;
  return {
    name: "snapshot",
    handle: ({ body, progress, signal }) => {
      const { path } = check(snapshotFields, body);
      const database = databasePath(dataFolder);
      return createSnapshot({ database, isRunning: true, path, diskFreeMinBytes, progress, signal });
    },
  };
}

function reloadCommand({ reload }: AdminParts): AdminCommand {
  return {
    name: "reload",
    handle: async ({ body }) => {
      check(noFields, body);
      return { reloaded: await reload() };
    },
  };
}

/** Blocks and unblocks accesses on this site; each answer is the whole list, so that nobody is blocked unseen. */
function accessCommand({ store }: AdminParts): AdminCommand {
  return {
    name: "access",
    handle: async ({ body }): Promise<BlockedAccessList> => {
      const request = check(accessFields, body);
      if (request.action === "block") await store.transact((tx) => tx.accesses.block(request.id as AccessId));
      if (request.action === "unblock")
        await store.transact((tx) => tx.accesses.unblock(request.id as AccessId));
      const blocked = await store.read((r) => r.accesses.blocked());
      return {
        blocked: blocked.map(({ accessId, at }) => ({
          access_id: accessId,
          at: new Date(at).toISOString(),
        })),
      };
    },
  };
}

const endOf = {
  access_forged: "access_settled",
  entry_unreadable: "entry_settled",
  audit_truncated: "audit_continued",
} as const;

/** Ends an incident that no site can know to be over. */
function alertsCommand({ store, edition }: AdminParts): AdminCommand {
  return {
    name: "alerts",
    handle: async ({ body }) => {
      const { event } = check(alertsFields, body);
      // Of another site's audit, the next message of a peer tells that it is over.
      if (event === "audit_truncated") await store.transact((tx) => tx.audit.settle());
      edition.alertOperator(endOf[event], "The machine's owner says that it was dealt with", {});
      return { ended: event };
    },
  };
}

const signalPath = "/api/replication/signal";

/** The operator's call that has a primary push once even with nothing dirty, where the edition has it. */
function signalCommands({ routes }: Edition): readonly AdminCommand[] {
  return routes
    .filter(({ path }) => path === signalPath)
    .map((route) => ({
      name: "signal",
      handle: async ({ body }) => {
        return (await route.handle({ peer: null, body })).body;
      },
    }));
}
