import { join, resolve } from "node:path";
import type { Command } from "commander";
import { Refusal } from "../../core/errors.ts";
import {
  addConnectionOptions,
  type ConnectionOptions,
  isUrlGiven,
  insecureHttpHelp,
  siteOf,
  requireUrl,
  tokenFileOf,
  usualProfile,
  withSite,
} from "../connection.ts";
import { cell, type Fields, objectsIn, textIn } from "../fields.ts";
import { readPassphraseFile } from "../file-input.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { changeProfiles, isProfileName, type Profile, readProfiles, sessionFolder } from "../profiles.ts";
import { askHidden } from "../prompt.ts";
import { usageRefusal } from "../report.ts";
import { keepSessionToken, removeSessionToken, requireSessionFile } from "../session-token.ts";
import { SiteClient } from "../site-client.ts";

type LoginOptions = {
  readonly url?: string;
  readonly insecureHttp?: boolean;
  readonly profile?: string;
  readonly login: string;
  readonly vault?: string;
  readonly passphraseFile?: string;
  readonly tokenOut?: string;
  readonly json?: boolean;
};
type LogoutOptions = ConnectionOptions & { readonly json?: boolean };

export function defineLogin(login: Command): void {
  login
    .requiredOption("--login <name>", "who you are, as the vault's owner has named you")
    .option("--url <url>", "address of the site (or DORMOUSE_URL)")
    .option("--insecure-http", insecureHttpHelp)
    .option("--profile <name>", "keep the session under this name, for --profile of other commands")
    .option("--token-out <file>", "keep the session's token in this file, mode 0600, and nowhere else")
    .option(
      "--passphrase-file <file>",
      "file with the passphrase on one line, mode 0600, or - for stdin; else it is asked for",
    )
    .option("--vault <vault_id>", "only this vault, where another owner uses the same login")
    .option("--json", "print one JSON document, without the token")
    .addHelpText("after", loginHelp)
    .action(logIn);
}

export function defineLogout(logout: Command): void {
  addConnectionOptions(logout).addHelpText("after", logoutExamples).action(logOut);
}

const loginHelp = `
A session ends after 30 minutes without use, after 12 hours, when the site is restarted, or with dormouse logout. It is good at
this one site. Without --token-out the profile that is always there keeps it, if it is one of a session.

Examples:
  dormouse login --login anna --url https://calgary.example --profile home
  dormouse login --login anna --profile home
  dormouse login --login anna --url http://127.0.0.1:8200 --passphrase-file anna.passphrase --token-out anna.session
`;

const logoutExamples = `
Examples:
  dormouse logout --profile home
  dormouse logout
  dormouse logout --url http://127.0.0.1:8200 --token-file anna.session
`;

async function logIn(options: LoginOptions): Promise<void> {
  const place = await placeOf(options);
  await requireSessionFile(place.tokenFile);
  const passphrase = await findPassphrase(options);
  const session = await beginSession(place.url, {
    login: options.login,
    passphrase,
    ...(options.vault !== undefined && { vault_id: options.vault }),
  });
  await keepSessionToken(place.tokenFile, textIn(session, "token"));
  if (place.profile !== undefined) await saveProfile(place.profile, place);
  const { token: _, ...shown } = session;
  if (options.json === true) printJson({ ...shown, token_file: place.tokenFile });
  else await printSession(session, place);
}

/** Where the session is to be, and where its token is to lie. */
type Place = {
  readonly url: URL;
  readonly tokenFile: string;
  readonly profile: string | undefined;
  readonly insecureHttp: boolean;
};

async function placeOf(options: LoginOptions): Promise<Place> {
  if (options.tokenOut !== undefined && options.profile !== undefined) {
    throw usageRefusal("--token-out and --profile are two places for one token", "give one of them");
  }
  if (options.tokenOut !== undefined) {
    const place = { url: requireUrl(options), tokenFile: resolve(options.tokenOut) };
    return { ...place, profile: undefined, insecureHttp: false };
  }
  const known = await knownProfile(options);
  const name = options.profile ?? known?.name;
  if (name === undefined) {
    throw usageRefusal("the session has no place to be kept in", "give --profile NAME or --token-out FILE");
  }
  if (!isProfileName(name)) {
    const remedy = "it is made of a-z, 0-9, - and _, up to 63 of them";
    throw usageRefusal("this cannot be a profile's name", remedy);
  }
  const tokenFile = join(await sessionFolder(), name);
  if (known !== undefined && known.tokenFile !== tokenFile) {
    throw usageRefusal(`the profile ${name} has a token of its own`, "choose another name with --profile");
  }
  const isKnown = options.url === undefined && known !== undefined;
  const isAllowed = options.insecureHttp === true || (isKnown && known.insecureHttp);
  const url = isKnown ? siteOf(known, options) : requireUrl(options);
  return { url, tokenFile, profile: name, insecureHttp: isAllowed && url.protocol === "http:" };
}

/** Whoever names a site has not meant the profile that is always there. */
async function knownProfile(options: LoginOptions): Promise<Profile | undefined> {
  const { profile: name } = options;
  if (name === undefined) return isUrlGiven(options) ? undefined : await usualProfile();
  return (await readProfiles()).profiles.find((profile) => profile.name === name);
}

async function findPassphrase({ passphraseFile }: LoginOptions): Promise<string> {
  if (passphraseFile !== undefined) return await readPassphraseFile(passphraseFile);
  if (!process.stdin.isTTY) {
    throw usageRefusal("nobody can be asked for the passphrase", "give --passphrase-file FILE");
  }
  const passphrase = await askHidden("Passphrase: ");
  if (passphrase === "") throw usageRefusal("no passphrase was given", "");
  return passphrase;
}

async function beginSession(url: URL, request: object): Promise<Fields> {
  const site = new SiteClient(url, undefined);
  try {
    const call = { method: "POST", path: "/api/sessions", body: JSON.stringify(request) } as const;
    return (await site.call(call)).body;
  } finally {
    site.close();
  }
}

async function saveProfile(name: string, { url, tokenFile, insecureHttp }: Place): Promise<void> {
  const saved: Profile = { name, url: url.href, tokenFile, insecureHttp };
  await changeProfiles(({ usual, profiles }) => {
    const rest = profiles.filter((profile) => profile.name !== name);
    return { usual: usual ?? name, profiles: [...rest, saved] };
  });
}

async function printSession(session: Fields, { tokenFile, profile }: Place): Promise<void> {
  printLine(`Logged in as ${textIn(session, "login")} until ${textIn(session, "expires_at")} at the latest.`);
  printNote(profile === undefined ? `The token is in ${tokenFile}.` : `Use it with --profile ${profile}.`);
  const names = ["vault_id", "name", "scope"];
  const rows = objectsIn(session, "vaults").map((vault) => names.map((name) => cell(vault[name])));
  await printTable(["VAULT", "NAME", "SCOPE"], rows);
}

async function logOut(options: LogoutOptions): Promise<void> {
  const tokenFile = await tokenFileOf(options);
  const wasOver = await withSite(options, async (site) => {
    try {
      await site.call({ method: "DELETE", path: "/api/sessions" });
      return false;
    } catch (error) {
      if (error instanceof Refusal && error.code === "unauthorized") return true;
      throw error;
    }
  });
  if (tokenFile !== undefined) await removeSessionToken(tokenFile);
  if (options.json === true) printJson({ ended: true });
  else printLine(wasOver ? "The session was over already." : "Logged out.");
}
