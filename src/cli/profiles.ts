import { chmod, mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { Refusal } from "../core/errors.ts";
import { parsePosition, type Position } from "../core/position.ts";
import { writeSecretFile } from "../ops/config/replace-file.ts";
import { readSecretFile } from "../ops/config/secret-files.ts";
import { type Fields, isFields } from "./fields.ts";
import { withFileLock } from "./file-lock.ts";
import { CommandRefusal, usageRefusal } from "./report.ts";

/**
 * Sites by names of the person's own, with where their tokens lie. Kept in the person's configuration folder, which nobody
 * else may read or write: whoever could write here would have tokens sent elsewhere.
 */

export type Profile = {
  readonly name: string;
  readonly url: string;
  /** Absolute. The token itself is never here. */
  readonly tokenFile: string;
  /** Whether the person has said that tokens may go there over plain http. */
  readonly insecureHttp: boolean;
};

export type Profiles = {
  /** The name of the profile for commands that name no site. */
  readonly usual: string | undefined;
  readonly profiles: readonly Profile[];
};

/** Names are parts of file names. */
export function isProfileName(text: string): boolean {
  return /^[a-z0-9][a-z0-9_-]{0,62}$/.test(text);
}

/** @throws Refusal `file_exposed`, `config_invalid` */
export async function readProfiles(): Promise<Profiles> {
  const text = await readOwnFile(profilesPath());
  return text === undefined ? { usual: undefined, profiles: [] } : parseProfiles(text);
}

/**
 * Changes the profiles: reads them, and writes what `change` makes of them. Commands that do so at the same time take turns, so that none
 * undoes what another has done.
 * @throws Refusal `config_invalid` where they cannot be written
 */
export async function changeProfiles(change: (profiles: Profiles) => Profiles): Promise<Profiles> {
  await makeFolder(baseFolder());
  return withFileLock(`${profilesPath()}.lock`, async () => {
    const changed = change(await readProfiles());
    await writeProfiles(changed);
    return changed;
  });
}

async function writeProfiles({ usual, profiles }: Profiles): Promise<void> {
  const named = profiles.map(({ name, url, tokenFile, insecureHttp }) => {
    return [name, { url, token_file: tokenFile, ...(insecureHttp && { insecure_http: true }) }];
  });
  const document = { default: usual ?? null, profiles: Object.fromEntries(named) as object };
  await writeSecretFile(profilesPath(), `${JSON.stringify(document, null, 2)}\n`);
}

/** @throws Refusal `usage` where there is none of this name */
export function profileNamed({ profiles }: Profiles, name: string): Profile {
  const found = profiles.find((profile) => profile.name === name);
  if (found === undefined) throw usageRefusal("there is no such profile", "see dormouse profile list");
  return found;
}

/**
 * The folder for tokens of sessions, made where it is missing: mode 0700, for files of mode 0600 (`writeSecretFile`), one
 * for each profile.
 */
export async function sessionFolder(): Promise<string> {
  const folder = join(baseFolder(), "sessions");
  await makeFolder(baseFolder());
  await makeFolder(folder);
  return folder;
}

/** The highest position that was seen with a profile. In a file of its own, so that commands at work change nothing else. */
export async function readHighestPosition(name: string): Promise<Position | undefined> {
  const text = await readOwnFile(positionPath(name));
  return text === undefined ? undefined : parsePosition(text);
}

/** @param position as text */
export async function writeHighestPosition(name: string, position: string): Promise<void> {
  await makeFolder(baseFolder());
  await makeFolder(join(baseFolder(), "positions"));
  await writeSecretFile(positionPath(name), `${position}\n`);
}

export async function forgetHighestPosition(name: string): Promise<void> {
  await rm(positionPath(name), { force: true });
}

function profilesPath(): string {
  return join(baseFolder(), "profiles.json");
}

function positionPath(name: string): string {
  return join(baseFolder(), "positions", name);
}

/** The XDG base directory specification has a relative path count as none. */
function baseFolder(): string {
  const configured = process.env.XDG_CONFIG_HOME ?? "";
  return join(isAbsolute(configured) ? configured : join(homedir(), ".config"), "dormouse");
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw new Refusal("config_invalid", `${folder} cannot be made (${code})`);
  }
}

async function readOwnFile(path: string): Promise<string | undefined> {
  const file = await readSecretFile(path);
  switch (file.kind) {
    case "missing":
      return undefined;
    case "exposed":
      throw new CommandRefusal(
        "file_exposed",
        `${path} can be read or written by others (mode ${file.mode})`,
        `look whether it is still yours, then chmod 600 ${path}`,
      );
    case "unreadable":
      throw new CommandRefusal("config_invalid", `${path} ${file.reason}`, "correct or remove it");
    case "read":
      return file.text;
  }
}

function parseProfiles(text: string): Profiles {
  const value = parseObject(text);
  if (value === undefined || !isFields(value.profiles)) throw malformed();
  const profiles = Object.entries(value.profiles).map(([name, profile]) => parseProfile(name, profile));
  const usual = typeof value.default === "string" ? value.default : undefined;
  return { usual, profiles };
}

function parseProfile(name: string, value: unknown): Profile {
  if (!isProfileName(name) || !isFields(value)) throw malformed();
  const { url, token_file: tokenFile, insecure_http: insecureHttp } = value;
  if (typeof url !== "string" || typeof tokenFile !== "string") throw malformed();
  return { name, url, tokenFile, insecureHttp: insecureHttp === true };
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function malformed(): CommandRefusal {
  const remedy = "correct it, or remove it and add the profiles anew";
  return new CommandRefusal("config_invalid", `${profilesPath()} does not hold profiles`, remedy);
}
