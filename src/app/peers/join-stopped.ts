import { existsSync } from "node:fs";
import { Refusal } from "../../core/errors.ts";
import { lockDataFolder } from "../../store/sqlite/folder-lock.ts";
import { openSqliteStore } from "../../store/sqlite/open.ts";
import { databasePath } from "../data-folder.ts";
import { listenForShutdown } from "../shutdown.ts";
import { readSiteConfig } from "../site-config.ts";
import { systemClock, systemHash, systemRandom } from "../system-ports.ts";
import { type Joined, joinPrimary } from "./joining.ts";
import { showCertificate } from "./show-certificate.ts";

export type JoinStoppedOptions = {
  readonly configPath: string;
  readonly code: string;
  readonly progress: (event: object) => void;
};

/**
 * Joins a primary on behalf of a site that does not run, whose data folder is locked meanwhile; it replicates from its next
 * start on. SIGINT and SIGTERM end it, and it may be repeated.
 * @throws Refusal `data_missing`, `data_in_use`, and what `joinPrimary` throws
 */
export async function joinStopped({ configPath, code, progress }: JoinStoppedOptions): Promise<Joined> {
  const config = await readSiteConfig(configPath);
  if (config.edition !== "commercial") {
    throw new Refusal("config_invalid", `${config.site} is of the community edition, which has no peers`);
  }
  using lock = lockDataFolder(config.dataFolder);
  const path = databasePath(config.dataFolder);
  if (!existsSync(path)) throw new Refusal("data_missing", `there is no site in ${config.dataFolder}`);
  using shutdown = listenForShutdown();
  await using shown = await showCertificate(config);
  const ports = { clock: systemClock, random: systemRandom, hash: systemHash };
  const { store } = openSqliteStore({ path, expectedSite: config.site, ...ports });
  try {
    const { httpTransport } = await import("../../editions/commercial.ts");
    const timeoutMs = config.replication.requestTimeoutMs;
    return await joinPrimary(
      {
        config,
        store,
        ...ports,
        fingerprint: shown.fingerprint,
        open: (way) => httpTransport({ ...way, credential: null, timeoutMs, clock: systemClock }),
        progress,
        signal: shutdown.signal,
      },
      code,
    );
  } catch (error) {
    if (!shutdown.signal.aborted) throw error;
    throw new Refusal("shutting_down", "interrupted; the command may be repeated");
  } finally {
    await store.close();
    void lock;
  }
}
