import { chmod, lstat, rm } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import type { Audit } from "../core/audit.ts";
import type { AdminCommand } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { adminPath } from "../protocol/admin.ts";
import { registerAdminRoutes } from "./admin-routes.ts";
import { refuseUnknownRoutes } from "./refusals.ts";
import { type AppOptions, buildApp } from "./server.ts";

export type AdminServerOptions = Omit<AppOptions, "tls"> & {
  readonly commands: readonly AdminCommand[];
  readonly clock: Clock;
  readonly audit: Audit;
  /** No command runs before this resolves. */
  readonly ready?: Promise<void>;
};

/**
 * The commands of a site for the owner of its machine, ready to listen on a socket of the file system, whose mode is all the
 * authentication there is. With nobody connected it has no timer.
 */
export function buildAdminServer(options: AdminServerOptions): FastifyInstance {
  const closing = new AbortController();
  const app = buildApp(options, closing);
  const { clock, logger, commands, audit, ready } = options;
  app.decorateRequest("actor", undefined);
  const closed = new Promise<void>((resolve) => {
    closing.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  let isReady = ready === undefined;
  void ready?.then(() => {
    isReady = true;
  });
  const specs = registerAdminRoutes(app, {
    context: { clock, logger, audit, closing: closing.signal },
    commands,
    pathOf: adminPath,
    gateOf: () => async () => {
      if (!isReady) await Promise.race([ready, closed]);
      if (closing.signal.aborted) throw new Refusal("shutting_down");
    },
  });
  refuseUnknownRoutes(app, specs);
  return app;
}

/**
 * Listens on a socket that only its owner can connect to. A socket that a killed process has left there is replaced, so the
 * caller must know that no other process uses it. Closing the server removes the socket.
 * @throws Refusal `config_invalid` where there can be no socket
 */
export async function listenOnSocket(app: FastifyInstance, path: string): Promise<void> {
  // Whoever could connect between the binding and the change of mode would be an owner.
  const umask = process.umask(0o077);
  try {
    await removeStale(path);
    await app.listen({ path });
    await chmod(path, 0o600);
  } catch (error) {
    if (error instanceof Refusal || !(error instanceof Error) || !("code" in error)) throw error;
    throw new Refusal("config_invalid", `the admin socket ${path} cannot be made (${String(error.code)})`);
  } finally {
    process.umask(umask);
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new Refusal("config_invalid", `${path} is no socket, and stands where the admin socket belongs`);
  }
  await rm(path);
}
