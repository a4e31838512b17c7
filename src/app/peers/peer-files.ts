import { access, constants, readFile, rm } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import type { Config, PeerConfig } from "../../ops/config/config.ts";
import { type PeerEntry, withoutPeer, withPeer } from "../../ops/config/edit-peers.ts";
import { replaceFile, writeSecretFile } from "../../ops/config/replace-file.ts";
import { readSecretFile } from "../../ops/config/secret-files.ts";
import { readConfigText, readSiteConfig } from "../site-config.ts";

export type NewPeer = Omit<PeerEntry, "tokenFile"> & {
  /** The pair's secret, a `dms_` token as text. */
  readonly token: string;
};

/**
 * Writes a peer's token file beside the configuration and the peer into it, in that order. A note in the data folder names the
 * file meanwhile, so that one which a crash left without its peer is taken away by `removeUnusedSecret`, here or at the next start.
 * Repeated with the same token, it changes nothing. A token file of before is left where it is.
 * @returns the token file
 * @throws Refusal `config_invalid` where the configuration would not be right with it, having changed nothing
 */
export async function savePeer(configPath: string, peer: NewPeer): Promise<string> {
  const config = await readSiteConfig(configPath);
  await removeUnusedSecret(config);
  const known = await findPeer(configPath, peer.site);
  if (known?.tokens.includes(peer.token) === true && known.url === peer.url) return known.tokenFile;
  const tokenFile = await freeTokenFile(configPath, peer.site);
  const note = notePath(config);
  await writeSecretFile(note, `${tokenFile}\n`);
  try {
    await writeSecretFile(tokenFile, `${peer.token}\n`);
    await enterPeer(configPath, { ...peer, tokenFile });
  } catch (error) {
    await rm(tokenFile, { force: true });
    throw error;
  } finally {
    await rm(note, { force: true });
  }
  return tokenFile;
}

/**
 * Takes away the secret's file of a pairing that was cut off before the configuration named it. No other file is touched.
 * @param config as it is in the file now
 * @returns the file that it took away
 */
export async function removeUnusedSecret(config: Config): Promise<string | undefined> {
  const note = notePath(config);
  const read = await readSecretFile(note);
  if (read.kind === "missing") return undefined;
  const tokenFile = read.kind === "read" ? read.text : "";
  const peers = config.edition === "commercial" ? config.replication.peers : [];
  const isUnused = tokenFile.endsWith(".token") && !peers.some((peer) => peer.tokenFile === tokenFile);
  const isThere = isUnused && (await isFile(tokenFile));
  if (isThere) await rm(tokenFile);
  await rm(note, { force: true });
  return isThere ? tokenFile : undefined;
}

function notePath({ dataFolder }: Pick<Config, "dataFolder">): string {
  return join(dataFolder, "pairing.partial");
}

function isFile(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * Writes a peer into the configuration, or changes the one of its name.
 * @param entry its token file is there, by its absolute path
 * @throws Refusal `config_invalid`, `file_exposed` where the configuration would not be right with it
 */
export async function enterPeer(configPath: string, entry: PeerEntry): Promise<void> {
  const tokenFile = pathInConfig(configPath, entry.tokenFile);
  await editConfig(configPath, (text) => withPeer(text, { ...entry, tokenFile }));
}

/** @throws Refusal `peer_unknown`, `config_invalid` */
export async function strikePeer(configPath: string, site: SiteName): Promise<void> {
  await editConfig(configPath, (text) => withoutPeer(text, site));
}

/**
 * Whether `savePeer` would be refused, before anybody is asked.
 * @throws Refusal `config_invalid` as it would
 */
export async function checkPeer(configPath: string, peer: Omit<NewPeer, "token">): Promise<void> {
  const tokenFile = await freeTokenFile(configPath, peer.site);
  const text = withPeer(await readFile(configPath, "utf8"), { ...peer, tokenFile });
  await readConfigText(configPath, text, true);
}

/** @throws Refusal `config_invalid` where the configuration, or a file beside it, cannot be written */
export async function checkWritable(configPath: string): Promise<void> {
  try {
    await access(configPath, constants.W_OK);
    await access(dirname(configPath), constants.W_OK);
  } catch {
    const detail = `${configPath} and its folder must be writable for the user that the site runs as`;
    throw new Refusal("config_invalid", `${detail}: the peer is written into them`);
  }
}

export async function findPeer(configPath: string, site: SiteName): Promise<PeerConfig | undefined> {
  const config = await readSiteConfig(configPath);
  if (config.edition !== "commercial") return undefined;
  return config.replication.peers.find((peer) => peer.site === site);
}

async function editConfig(configPath: string, edit: (text: string) => string): Promise<void> {
  const before = await readFile(configPath, "utf8");
  const text = edit(before);
  await readConfigText(configPath, text, false);
  if ((await readFile(configPath, "utf8")) !== before) {
    throw new Refusal("busy", `${configPath} was changed by somebody else in this moment`);
  }
  await replaceFile(configPath, text);
}

/** A name that no file has: whose secret an older one holds is not known here. */
async function freeTokenFile(configPath: string, site: SiteName): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? `${site}.token` : `${site}-${number}.token`;
    const path = join(dirname(resolve(configPath)), name);
    if (!(await isFile(path))) return path;
  }
}

/** Relative where the file lies beside the configuration or below: both may be moved together then. */
function pathInConfig(configPath: string, path: string): string {
  const beside = relative(dirname(resolve(configPath)), path);
  return beside.startsWith("..") ? path : `./${beside}`;
}
