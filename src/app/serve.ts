import { once } from "node:events";
import { Refusal } from "../core/errors.ts";
import { examineMachine, thisMachine } from "./doctor/machine.ts";
import { createLogger } from "../ops/logging.ts";
import { listenForHangup } from "./hangup.ts";
import { listenForShutdown } from "./shutdown.ts";
import { openSite } from "./site.ts";
import { readSiteConfig } from "./site-config.ts";

export type ServeOptions = {
  readonly configPath: string;
  /** `auto`: readable where a terminal watches, JSON everywhere else. */
  readonly log: "auto" | "json" | "pretty";
};

async function stopped(signal: AbortSignal): Promise<undefined> {
  if (!signal.aborted) await once(signal, "abort");
}

/** Type stripping, `AsyncDisposableStack` and SQLite's binding need it. */
const nodeMajorMin = 24;

/**
 * Runs a site until SIGINT or SIGTERM, then stops it in order. SIGHUP has it read again what may change while it runs.
 * @throws Refusal for everything that keeps it from starting or from going on; nothing is left open then
 */
export async function serve({ configPath, log: form }: ServeOptions): Promise<void> {
  if (Number.parseInt(process.versions.node, 10) < nodeMajorMin) {
    throw new Refusal("runtime_unsupported", `this is Node ${process.versions.node}`);
  }
  using shutdown = listenForShutdown();
  let isTerminalClosed = false;
  using hangup = listenForHangup(() => {
    isTerminalClosed = true;
    shutdown.request();
  });
  const config = await readSiteConfig(configPath);
  const log = await createLogger({ site: config.site, format: form === "auto" ? undefined : form });
  // Nobody is left to read it, and to write where a terminal was fails.
  const fallSilent = (): void => {
    if (isTerminalClosed) log.level = "silent";
  };
  shutdown.signal.addEventListener("abort", fallSilent);
  fallSilent();
  for (const { ok, detail, remedy } of examineMachine(thisMachine())) if (!ok) log.warn({ remedy }, detail);
  await using site = await openSite({ config, log });
  hangup.onReload(() => {
    site.reload().catch((error: unknown) => log.error({ err: error }, "the reload failed"));
  });
  const lost = await Promise.race([stopped(shutdown.signal), site.lost]);
  if (lost) {
    log.fatal({ code: lost.code }, lost.message);
    throw lost;
  }
  log.info("stopping");
}
