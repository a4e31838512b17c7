import { resolve } from "node:path";
import type { Command } from "commander";
import { formatPosition } from "../../core/position.ts";
import { insecureHttpHelp, parseSiteUrl } from "../connection.ts";
import { readTokenFile } from "../file-input.ts";
import { cell } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import {
  forgetHighestPosition,
  isProfileName,
  type Profile,
  changeProfiles,
  profileNamed,
  readHighestPosition,
  readProfiles,
} from "../profiles.ts";
import { CommandRefusal, usageRefusal } from "../report.ts";

type Options = { readonly json?: boolean };
type AddOptions = Options & {
  readonly url: string;
  readonly tokenFile: string;
  readonly replace?: boolean;
  readonly insecureHttp?: boolean;
};

export function defineProfile(profile: Command): void {
  profile.addHelpText("after", explanation + addExamples + listExamples.replace("\nExamples:\n", ""));
  profile
    .command("add <name>")
    .description("save a site and where its token lies")
    .requiredOption("--url <url>", "address of the site")
    .requiredOption("--token-file <file>", "file with the token, mode 0600; the profile keeps its path alone")
    .option("--insecure-http", insecureHttpHelp)
    .option("--replace", "change a profile that is there; what it has seen is kept")
    .option("--json", "print one JSON document")
    .addHelpText("after", addExamples)
    .action(addProfile);
  profile
    .command("list", { isDefault: true })
    .description("list the profiles; the default")
    .option("--json", "print one JSON document")
    .addHelpText("after", listExamples)
    .action(listProfiles);
  profile
    .command("use <name>")
    .description("have commands that name no site use this profile")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExamples:\n  dormouse profile use team\n  dormouse entry list --vault 0199…\n")
    .action(useProfile);
  profile
    .command("remove <name>")
    .description("forget a profile; its token file stays")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExamples:\n  dormouse profile remove team\n")
    .action(removeProfile);
}

const explanation = `
A command takes --url and --token-file; else --profile; else DORMOUSE_URL and DORMOUSE_TOKEN; else the profile that
DORMOUSE_PROFILE names, or that was chosen with use: the first one, until another is. A profile remembers the newest position
that was seen with it, and a site that answers from an older one is warned of: position_went_back.
`;

const addExamples = `
Examples:
  dormouse profile add team --url https://calgary.example --token-file ~/team.token
  dormouse profile add team --url https://zurich.example --token-file ~/team.token --replace
`;

const listExamples = `
Examples:
  dormouse profile list --json
`;

async function addProfile(name: string, options: AddOptions): Promise<void> {
  if (!isProfileName(name)) {
    throw usageRefusal(
      "this cannot be a profile's name",
      "it is made of a-z, 0-9, - and _, up to 63 of them",
    );
  }
  const url = parseSiteUrl(options.url, options);
  const added: Profile = {
    name,
    url: url.href,
    tokenFile: resolve(options.tokenFile),
    insecureHttp: options.insecureHttp === true && url.protocol === "http:",
  };
  // A file that is not there, or that others can read, is said now and not at the first use.
  await readTokenFile(added.tokenFile);
  let isThere = false;
  const { usual } = await changeProfiles(({ usual: before, profiles }) => {
    isThere = profiles.some((profile) => profile.name === name);
    if (isThere && options.replace !== true) {
      throw new CommandRefusal("file_exists", "a profile of this name is there already", "add --replace");
    }
    const rest = profiles.filter((profile) => profile.name !== name);
    return { usual: before ?? name, profiles: [...rest, added] };
  });
  if (!isThere) await forgetHighestPosition(name);
  if (options.json === true) printJson(await shown(added, usual));
  else printLine(isThere ? `Changed ${name}.` : `Added ${name}.`);
}

async function listProfiles(options: Options): Promise<void> {
  const { usual, profiles } = await readProfiles();
  const all = await Promise.all(profiles.map((profile) => shown(profile, usual)));
  if (options.json === true) return printJson({ profiles: all });
  if (all.length === 0) return printNote("There is no profile yet.");
  const rows = all.map((profile) => [
    profile.default ? "*" : "",
    profile.name,
    profile.url,
    profile.token_file,
    cell(profile.position),
  ]);
  await printTable(["", "PROFILE", "URL", "TOKEN FILE", "POSITION SEEN"], rows);
}

async function useProfile(name: string, options: Options): Promise<void> {
  const all = await changeProfiles((before) => {
    profileNamed(before, name);
    return { ...before, usual: name };
  });
  const profile = profileNamed(all, name);
  if (options.json === true) printJson(await shown(profile, name));
  else printLine(`Commands that name no site use ${name}.`);
}

async function removeProfile(name: string, options: Options): Promise<void> {
  await changeProfiles(({ usual, profiles }) => {
    profileNamed({ usual, profiles }, name);
    const rest = profiles.filter((profile) => profile.name !== name);
    return { usual: usual === name ? undefined : usual, profiles: rest };
  });
  await forgetHighestPosition(name);
  if (options.json === true) printJson({ name, removed: true });
  else printLine(`Removed ${name}.`);
}

async function shown({ name, url, tokenFile }: Profile, usual: string | undefined) {
  const seen = await readHighestPosition(name);
  const position = seen === undefined ? null : formatPosition(seen);
  return { name, url, token_file: tokenFile, default: name === usual, position };
}
