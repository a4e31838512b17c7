import type { Command } from "commander";
import { isLoopback } from "../ops/config/network.ts";
import { readBaseUrl } from "../core/base-url.ts";
import { oneWord, readTokenFile } from "./file-input.ts";
import { PositionMemory } from "./position-memory.ts";
import { type Profile, profileNamed, readProfiles } from "./profiles.ts";
import { usageRefusal } from "./report.ts";
import { SiteClient } from "./site-client.ts";

export type ConnectionOptions = {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly profile?: string;
  readonly insecureHttp?: boolean;
};

export const insecureHttpHelp =
  "send the token over plain http beyond this machine, where others can read it";

/** Adds what every command needs that talks to a running site. A token is never an argument: others can read those. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option("--url <url>", "address of the site (or DORMOUSE_URL)")
    .option("--token-file <file>", "file with the token, mode 0600 (or DORMOUSE_TOKEN holds the token)")
    .option("--profile <name>", "what `profile add` saved (or DORMOUSE_PROFILE)")
    .option("--insecure-http", insecureHttpHelp)
    .option("--json", "print one JSON document");
}

/** Whether a command that can do without is given a site by more than a profile that is always there. */
export function isSiteNamed(options: ConnectionOptions): boolean {
  return (options.url ?? options.profile ?? environment("DORMOUSE_URL")) !== undefined;
}

/** Runs an action against the site that the options name and closes the connection after it. */
export async function withSite<T>(
  options: ConnectionOptions,
  action: (site: SiteClient) => Promise<T>,
): Promise<T> {
  const { base, token, profile } = await findConnection(options);
  const memory = profile === undefined ? undefined : await PositionMemory.of(profile);
  const site = new SiteClient(base, token, { onPosition: (position) => memory?.see(position) });
  try {
    return await action(site);
  } finally {
    site.close();
    await memory?.keep();
  }
}

type Connection = {
  readonly base: URL;
  readonly token: string;
  /** The profile that took part. */
  readonly profile: string | undefined;
};

/**
 * What --url and --token-file leave open comes from --profile, else from the environment, else from the profile that is
 * always there. The token of that last one goes to its own site alone: not to one that an environment happens to name.
 */
async function findConnection(options: ConnectionOptions): Promise<Connection> {
  if (options.profile !== undefined) {
    const profile = profileNamed(await readProfiles(), options.profile);
    const token = await readTokenFile(options.tokenFile ?? profile.tokenFile);
    const base = options.url === undefined ? siteOf(profile, options) : parseSiteUrl(options.url, options);
    return { base, token, profile: profile.name };
  }
  const url = options.url ?? environment("DORMOUSE_URL");
  if (url !== undefined) {
    return {
      base: parseSiteUrl(url, options),
      token: await findToken(options.tokenFile),
      profile: undefined,
    };
  }
  const usual = await usualProfile();
  if (usual === undefined) {
    throw usageRefusal(
      "no site is named",
      "give --url or set DORMOUSE_URL, such as http://127.0.0.1:8200, or save it with dormouse profile add",
    );
  }
  const hasToken = (options.tokenFile ?? environment("DORMOUSE_TOKEN")) !== undefined;
  const token = await (hasToken ? findToken(options.tokenFile) : readTokenFile(usual.tokenFile));
  return { base: siteOf(usual, options), token, profile: usual.name };
}

/** The file that a connection's token is read from; undefined where it comes from the environment. */
export async function tokenFileOf(options: ConnectionOptions): Promise<string | undefined> {
  if (options.tokenFile !== undefined) return options.tokenFile;
  if (options.profile !== undefined) return profileNamed(await readProfiles(), options.profile).tokenFile;
  const isElsewhere = isUrlGiven(options) || environment("DORMOUSE_TOKEN") !== undefined;
  return isElsewhere ? undefined : (await usualProfile())?.tokenFile;
}

/** Whether a site is named by its address. */
export function isUrlGiven({ url }: Pick<ConnectionOptions, "url">): boolean {
  return (url ?? environment("DORMOUSE_URL")) !== undefined;
}

/** The address of a site that the options or the environment name. @throws Refusal `usage` where none is named */
export function requireUrl(options: Pick<ConnectionOptions, "url" | "insecureHttp">): URL {
  const text = options.url ?? environment("DORMOUSE_URL");
  if (text === undefined) throw usageRefusal("no site is named", "give --url or set DORMOUSE_URL");
  return parseSiteUrl(text, options);
}

/** The address of a profile's site. */
export function siteOf(
  profile: Profile,
  { insecureHttp = false }: Pick<ConnectionOptions, "insecureHttp">,
): URL {
  return parseSiteUrl(profile.url, { insecureHttp: profile.insecureHttp || insecureHttp });
}

/** The profile for commands that name no site. */
export async function usualProfile(): Promise<Profile | undefined> {
  const profiles = await readProfiles();
  const name = environment("DORMOUSE_PROFILE") ?? profiles.usual;
  return name === undefined ? undefined : profileNamed(profiles, name);
}

/** An empty variable counts as not set. Blanks and line ends after a value are dropped: a shell or an editor has added them. */
function environment(name: string): string | undefined {
  const value = process.env[name]?.trimEnd();
  return value === "" ? undefined : value;
}

/**
 * The address of a site, before anything is sent to it. Tokens and passphrases go over plain http within this machine alone, unless the
 * person says otherwise.
 * @throws Refusal `usage`
 */
export function parseSiteUrl(
  text: string,
  { insecureHttp = false }: Pick<ConnectionOptions, "insecureHttp"> = {},
): URL {
  const found = readBaseUrl(text);
  if (found.kind === "refused") throw usageRefusal(`the address of the site ${found.fault}`, found.remedy);
  const { url } = found;
  if (url.protocol === "http:" && !isLoopback(url.hostname) && !insecureHttp) {
    throw usageRefusal(
      `over plain http everybody between here and ${url.host} could read the token or the passphrase`,
      `write https://${url.host}, or add --insecure-http if you know the way there to be safe`,
    );
  }
  return url;
}

async function findToken(tokenFile: string | undefined): Promise<string> {
  if (tokenFile !== undefined) return await readTokenFile(tokenFile);
  const token = environment("DORMOUSE_TOKEN");
  if (token === undefined) {
    throw usageRefusal("no token is given", "name its file with --token-file, or set DORMOUSE_TOKEN");
  }
  return oneWord(token, "DORMOUSE_TOKEN");
}
