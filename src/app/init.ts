import { open, readdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Refusal } from "../core/errors.ts";
import type { SiteName } from "../core/ids.ts";
import type { Role } from "../core/push.ts";
import { formatToken, formatTokenId, newToken, verifierOf } from "../crypto/token.ts";
import type { Config } from "../ops/config/config.ts";
import { errnoOf } from "../ops/config/secret-files.ts";
import { initialiseSite } from "../store/sqlite/new-site.ts";
import { openSqliteStore } from "../store/sqlite/open.ts";
import { databasePath } from "./data-folder.ts";
import { makeDataFolder, syncFolder } from "./new-data-folder.ts";
import { readNewPrimaryConfig, readSiteConfig } from "./site-config.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";

export type InitOptions = { readonly configPath: string; readonly role: Role };

export type NewSite = {
  readonly site: SiteName;
  readonly role: Role;
  /** Shown this once: the site keeps only what checks it. */
  readonly operatorToken: string;
  /** The database, and on a primary the pair secrets that were missing and are to be copied to the peers. */
  readonly createdFiles: readonly string[];
};

/**
 * Makes the data folder and the site that a configuration names, with a first operator token. A primary also makes the pair
 * secrets that are missing. All or nothing: the site exists from the moment its database is moved into place, and what a
 * killed attempt left behind does not stop the next one.
 * @throws Refusal `config_invalid`, `file_exposed`, `data_exists`, `data_in_use`, `disk_full`, having changed nothing
 */
export async function init({ configPath, role }: InitOptions): Promise<NewSite> {
  const { config, newTokens } =
    role === "primary"
      ? await readNewPrimaryConfig(configPath, systemRandom)
      : { config: await readSiteConfig(configPath), newTokens: new Map<string, string>() };
  const operatorToken = await makeDataFolder(config.dataFolder, async (draft, undo) => {
    const token = await draftSite(draft, config, role);
    for (const [path, text] of newTokens) await writeSecret(path, text, undo);
    return token;
  });
  const createdFiles = [databasePath(config.dataFolder), ...newTokens.keys()];
  return { site: config.site, role, operatorToken, createdFiles };
}

/** A whole site beside the place where it is to be; returns its operator token. */
async function draftSite(folder: string, { site }: Config, role: Role): Promise<string> {
  const path = databasePath(folder);
  const ports = { clock: systemClock, random: systemRandom, hash: systemHash };
  initialiseSite(path, { site, role, ...ports });
  const { store } = openSqliteStore({ path, ...ports });
  const token = newToken("operator", systemRandom);
  try {
    await store.transact((tx) =>
      tx.operators.add({
        tokenId: formatTokenId(token),
        verifier: verifierOf(token),
        label: "init",
        createdAt: systemClock.now(),
        expiresAt: null,
      }),
    );
  } finally {
    await store.close();
  }
  const left = await readdir(folder);
  if (left.length !== 1) throw new Error("the closed database of a new site left its log beside it");
  return formatToken(token);
}

async function writeSecret(path: string, text: string, undo: AsyncDisposableStack): Promise<void> {
  try {
    await using file = await open(path, "wx", 0o600);
    undo.defer(() => rm(path, { force: true }));
    await file.writeFile(`${text}\n`);
    await file.sync();
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    throw new Refusal("config_invalid", `the token file ${path} cannot be made (${code})`);
  }
  await syncFolder(dirname(path));
}
