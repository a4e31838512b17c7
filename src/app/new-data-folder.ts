import { chmod, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Refusal } from "../core/errors.ts";
import { errnoOf } from "../ops/config/secret-files.ts";
import { lockDataFolder } from "../store/sqlite/folder-lock.ts";
import { databasePath } from "./data-folder.ts";

/**
 * Makes a data folder that holds a site, or leaves everything as it was. `build` puts the database into the draft folder, which
 * it makes, and defers to `undo` what else it has made; the site exists from the moment its database is moved into place. What
 * a killed attempt left behind does not stop the next one.
 * @throws Refusal `data_exists`, `data_in_use`, `config_invalid` where there can be no such folder, and what `build` throws
 */
export async function makeDataFolder<T>(
  folder: string,
  build: (draft: string, undo: AsyncDisposableStack) => Promise<T>,
): Promise<T> {
  await refuseUsed(folder);
  await using undo = new AsyncDisposableStack();
  await makeFolder(folder, undo);
  using lock = lockDataFolder(folder);
  await refuseUsed(folder);
  const draft = join(folder, draftName);
  undo.defer(() => rm(draft, { recursive: true, force: true }));
  await rm(draft, { recursive: true, force: true });
  const built = await build(draft, undo);
  await rename(databasePath(draft), databasePath(folder));
  await rm(draft, { recursive: true });
  await syncFolder(folder);
  undo.move();
  void lock;
  return built;
}

const draftName = "init.partial";
/** What may be in a data folder without a site: the lock, what killed processes left, and what a file system of its own has. */
const harmless: ReadonlySet<string> = new Set([
  "site.lock",
  "site.lock-journal",
  "admin.sock",
  draftName,
  "lost+found",
]);

async function refuseUsed(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    if (errnoOf(error) === "ENOENT") return [];
    throw folderRefusal(folder, error);
  });
  if (names.some((name) => !harmless.has(name))) {
    const what = names.includes("dormouse.db") ? "holds a site already" : "is not empty";
    throw new Refusal("data_exists", `${folder} ${what}`);
  }
}

/** Whatever it makes is taken away again unless the site comes to be. */
async function makeFolder(folder: string, undo: AsyncDisposableStack): Promise<void> {
  try {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (first !== undefined) undo.defer(() => rm(first, { recursive: true, force: true }));
    else await undoInside(folder, undo);
    await chmod(folder, 0o700);
  } catch (error) {
    throw folderRefusal(folder, error);
  }
}

async function undoInside(folder: string, undo: AsyncDisposableStack): Promise<void> {
  const { mode } = await lstat(folder);
  undo.defer(() => chmod(folder, mode & 0o7777));
  const lock = join(folder, "site.lock");
  if (!(await readdir(folder)).includes("site.lock")) undo.defer(() => rm(lock, { force: true }));
}

function folderRefusal(folder: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (code === undefined) return error;
  return new Refusal("config_invalid", `the data folder ${folder} cannot be made or used (${code})`);
}

/** Makes the names in a folder survive a loss of power. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}
