import { chmod, copyFile, mkdir, open, stat } from "node:fs/promises";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import type { Role } from "../core/push.ts";
import type { Config } from "../ops/config/config.ts";
import { errnoOf } from "../ops/config/secret-files.ts";
import { freeBytes } from "../ops/disk.ts";
import { examineSnapshot } from "../store/sqlite/snapshot.ts";
import { databasePath } from "./data-folder.ts";
import { makeDataFolder } from "./new-data-folder.ts";
import { readSiteConfig } from "./site-config.ts";

export type RestoreOptions = {
  readonly configPath: string;
  readonly path: string;
  readonly progress: (event: { readonly stage: "copying" | "checking" }) => void;
};

export type RestoredSite = {
  readonly site: SiteName;
  readonly role: Role;
  /** The head, as `1:52`. */
  readonly position: string;
  readonly dataFolder: string;
  /** What the operator should know before it is started, one sentence each. */
  readonly advice: readonly string[];
};

/**
 * Makes the data folder that a configuration names from a snapshot of its site: whole and checked, or not at all. The snapshot
 * stays as it is. Blocks while it is checked: for a process of its own.
 * @throws Refusal `data_exists`, `data_of_other_site`, `snapshot_invalid`, `database_newer`, `file_unusable`, `disk_full`
 */
export async function restoreSnapshot({ configPath, path, progress }: RestoreOptions): Promise<RestoredSite> {
  const config = await readSiteConfig(configPath);
  await refuseUnreadable(path);
  const found = await makeDataFolder(config.dataFolder, async (draft) => {
    const database = databasePath(draft);
    progress({ stage: "copying" });
    await mkdir(draft, { mode: 0o700 });
    await refuseCrowded(path, draft);
    await copyPrivate(path, database);
    progress({ stage: "checking" });
    return examineCopy(config, path, database);
  });
  return { ...found, dataFolder: config.dataFolder, advice: adviceFor(config, found.role) };
}

/** Before anything is made: the folder would be made for nothing. */
async function refuseUnreadable(path: string): Promise<void> {
  try {
    await using file = await open(path, "r");
    if ((await file.stat()).isFile()) return;
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    throw new Refusal("file_unusable", `${path} cannot be read (${code})`);
  }
  throw new Refusal("file_unusable", `${path} is not a file`);
}

async function refuseCrowded(path: string, folder: string): Promise<void> {
  const { size } = await stat(path);
  if ((await freeBytes(folder)) < size)
    throw new Refusal("disk_full", `there is too little room for ${path}`);
}

async function copyPrivate(path: string, copy: string): Promise<void> {
  try {
    await copyFile(path, copy);
    await chmod(copy, 0o600);
    await using file = await open(copy, "r+");
    await file.sync();
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOSPC" || code === "EDQUOT") throw new Refusal("disk_full");
    throw error;
  }
}

/** Looked at where it lies now: what was read from the snapshot is what the site will be. */
function examineCopy({ site: expected }: Config, path: string, copy: string) {
  const { site, role, position } = examineSnapshot(copy, path);
  if (site !== expected) {
    throw new Refusal("data_of_other_site", `${path} is a snapshot of ${site}, not of ${expected}`);
  }
  return { site: expected, role, position };
}

function adviceFor(config: Config, role: Role): readonly string[] {
  if (config.edition === "community") return [];
  if (role === "backup") return ["Start it: the primary pushes what it lacks."];
  return [
    "Start it. If a backup holds later changes, this site is told so at their first contact and fences itself",
    "(primary_behind): nothing is overwritten, and it takes no writes. Then run dormouse recover on it.",
    "Was a backup promoted meanwhile? Then run dormouse rejoin on it instead.",
  ];
}
