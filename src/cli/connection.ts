import { type Command, Option } from "commander";
import { oneWord, readTokenFile } from "./file-input.ts";
import { usageRefusal } from "./report.ts";
import { SiteClient } from "./site-client.ts";

export type ConnectionOptions = { readonly url?: string; readonly tokenFile?: string };

/** Adds what every command needs that talks to a running site. A token is never an argument: others can read those. */
export function addConnectionOptions(command: Command): Command {
  return command
    .addOption(new Option("--url <url>", "address of the site").env("DORMOUSE_URL"))
    .option("--token-file <file>", "file with the token, mode 0600 (or DORMOUSE_TOKEN holds the token)")
    .option("--json", "print one JSON document");
}

/** Runs an action against the site that the options name and closes the connection after it. */
export async function withSite<T>(
  options: ConnectionOptions,
  action: (site: SiteClient) => Promise<T>,
): Promise<T> {
  const base = parseSiteUrl(options.url);
  const site = new SiteClient(base, await findToken(options.tokenFile));
  try {
    return await action(site);
  } finally {
    site.close();
  }
}

/** The address of a site as a base URL. @throws Refusal `usage` */
function parseSiteUrl(text: string | undefined): URL {
  if (text === undefined || text === "") {
    throw usageRefusal("no site is named", "give --url or set DORMOUSE_URL, such as http://127.0.0.1:8200");
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw usageRefusal("--url is not the address of a site", "it is like https://calgary.example");
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw usageRefusal("--url has more than an address", "leave out user, password, query and fragment");
  }
  return url;
}

async function findToken(tokenFile: string | undefined): Promise<string> {
  if (tokenFile !== undefined) return await readTokenFile(tokenFile);
  const token = process.env.DORMOUSE_TOKEN;
  if (token === undefined || token === "") {
    throw usageRefusal("no token is given", "name its file with --token-file, or set DORMOUSE_TOKEN");
  }
  return oneWord(token, "DORMOUSE_TOKEN");
}
