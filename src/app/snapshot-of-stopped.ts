import { existsSync } from "node:fs";
import { Refusal } from "../core/errors.ts";
import { readLocation } from "../ops/config/read-config.ts";
import type { SnapshotAnswer } from "../protocol/admin.ts";
import { lockDataFolder } from "../store/sqlite/folder-lock.ts";
import { databasePath } from "./data-folder.ts";
import { listenForShutdown } from "./shutdown.ts";
import { createSnapshot, type SnapshotOptions } from "./snapshot.ts";

/**
 * A snapshot of a site that does not run, whose data folder is locked meanwhile. SIGINT and SIGTERM leave nothing of it.
 * @throws Refusal `config_invalid`, `data_in_use`, `data_missing`, and what `createSnapshot` throws
 */
export async function snapshotStopped(
  options: Pick<SnapshotOptions, "path" | "progress"> & { readonly configPath: string },
): Promise<SnapshotAnswer> {
  const { dataFolder } = await readLocation(options.configPath);
  const database = databasePath(dataFolder);
  using lock = lockDataFolder(dataFolder);
  if (!existsSync(database)) throw new Refusal("data_missing", `there is no site in ${dataFolder}`);
  using shutdown = listenForShutdown();
  const made = await createSnapshot({
    ...options,
    database,
    isRunning: false,
    // Nobody writes to it now.
    diskFreeMinBytes: 0,
    signal: shutdown.signal,
  }).catch((error: unknown) => {
    throw shutdown.signal.aborted
      ? new Refusal("shutting_down", "interrupted; no snapshot was written")
      : error;
  });
  void lock;
  return made;
}
