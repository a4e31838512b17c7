import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions, configPathOf } from "../config-option.ts";
import { cell, type Fields, isFields, objectsIn, textIn, textsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { askHidden, confirm } from "../prompt.ts";
import { CommandRefusal, usageRefusal } from "../report.ts";
import { UnreachableRefusal } from "../site-client.ts";
import { invite, inviteHelp, noteCertificates } from "./invite.ts";
import { isRefused } from "./reload.ts";
import { Refusal } from "../../core/errors.ts";
import { isSiteName, type SiteName } from "../../core/ids.ts";

type Options = AdminOptions & { readonly yes?: boolean };
type AddOptions = AdminOptions & { readonly tokenFile: string; readonly fingerprint?: string };

export function definePeer(peer: Command): void {
  addAdminOptions(peer.command("invite"))
    .description("on a primary: print a code with which one empty backup can join, and wait for it")
    .option("--yes", "accept the site that joins without asking, unless it takes the place of a known peer")
    .option("--replace", "with --yes: accept one that takes the place of a known peer too")
    .addHelpText("after", inviteHelp)
    .action(invite);
  addAdminOptions(peer.command("join [code]"))
    .description("on an empty backup: join the primary that the code names; without a code, asks for it")
    .addHelpText("after", joinHelp)
    .action(join);
  addAdminOptions(peer.command("add <site> <url>"))
    .description("name another site as a peer, by a secret that both have in a file")
    .requiredOption("--token-file <file>", "the pair's secret, mode 0600; made where there is no such file")
    .option("--fingerprint <hex>", "SHA-256 of the one certificate that the peer may show")
    .addHelpText("after", addHelp)
    .action(add);
  addAdminOptions(peer.command("remove <site>"))
    .description("name a site as a peer no longer: its copy gets older from then on")
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  dormouse peer remove zurich --config calgary.yaml\n")
    .action(remove);
  addAdminOptions(peer.command("list"))
    .description("list the peers, and how each stands where this site runs")
    .addHelpText("after", "\nExamples:\n  dormouse peer list --config calgary.yaml --json\n")
    .action(list);
  addAdminOptions(peer.command("rotate <site>"))
    .description("change the secret of the pair on both sites, while both work")
    .addHelpText("after", rotateHelp)
    .action(rotate);
}

const joinHelp = `
Make the empty backup first: dormouse init --config zurich.yaml --role backup, with replication: { peers: [] } in the file.
Without CODE it is asked for, or read from standard input, where no other user of this machine can see it.

Examples:
  dormouse peer join --config zurich.yaml
  dormouse peer join dmi_AZ… --config zurich.yaml
`;

const addHelp = `
Both sites must name each other and have the same token file. dormouse peer invite and join do all of this by themselves.

Examples:
  dormouse peer add zurich https://zurich.example:8200 --token-file zurich.token --config calgary.yaml
`;

const rotateHelp = `
May be repeated after any failure, on the site where it was begun.

Examples:
  dormouse peer rotate zurich --config calgary.yaml
`;

async function join(given: string | undefined, options: AdminOptions): Promise<void> {
  const code = given ?? (await readCode());
  const configPath = configPathOf(options);
  const onProgress = (event: Fields): void => {
    if (isFields(event.primary))
      printNote(`The primary is ${cell(event.primary.site)} (${cell(event.primary.url)}).`);
    if (event.waiting === true) printNote("Waiting until its operator has answered …");
  };
  const admin = await AdminClient.of(options);
  const { joined, isRunning } = await admin
    .call({ command: "join", body: { code }, onProgress })
    .then(
      (result) => ({ joined: result, isRunning: true }),
      async (error: unknown) => {
        if (!isNotRunning(error)) throw error;
        const { joinStopped } = await import("../../app/peers/join-stopped.ts");
        const progress = (event: object): void => onProgress({ ...event });
        return { joined: await joinStopped({ configPath, code, progress }), isRunning: false };
      },
    )
    .catch((error: unknown) => {
      if (!(error instanceof Refusal) || error.code !== "data_missing") throw error;
      throw new CommandRefusal(
        "data_missing",
        error.message,
        `run dormouse init --config ${configPath} --role backup first`,
      );
    });
  noteCertificates(joined);
  if (options.json === true) return printJson({ ...joined, running: isRunning });
  printLine(`Paired with ${cell(joined.site)} (${cell(joined.url)}).`);
  printNote(
    isRunning
      ? "It is being filled now."
      : `Start it, and it is filled: dormouse serve --config ${configPath}`,
  );
}

async function readCode(): Promise<string> {
  if (process.stdin.isTTY) return await askHidden("Code: ");
  const { readTextInput } = await import("../file-input.ts");
  return (await readTextInput("-", 4_096)).trim();
}

async function add(site: string, url: string, options: AddOptions): Promise<void> {
  const name = siteName(site);
  const configPath = configPathOf(options);
  const files = await import("../../app/peers/named-peer.ts");
  const fingerprint = options.fingerprint ?? null;
  const added = await files.addNamedPeer(configPath, {
    site: name,
    url,
    tokenFile: options.tokenFile,
    fingerprint,
  });
  const isRunning = await takeOver(options);
  if (options.json === true) {
    return printJson({
      site: name,
      url,
      token_file: added.tokenFile,
      token_made: added.isMade,
      running: isRunning,
    });
  }
  printLine(`Added ${name}.`);
  if (added.isMade)
    printNote(`Copy ${added.tokenFile} to ${name}, mode 0600: it is the pair's secret, made now.`);
  if (!isRunning) printNote("The site does not run: it takes the peer over at its next start.");
}

async function remove(site: string, options: Options): Promise<void> {
  const name = siteName(site);
  const configPath = configPathOf(options);
  const { findPeer, strikePeer } = await import("../../app/peers/peer-files.ts");
  const peer = await findPeer(configPath, name);
  if (peer === undefined) throw new Refusal("peer_unknown", `${name} is not among replication.peers`);
  await confirm(
    `Replicate to ${name} no longer? What it holds gets older from then on.`,
    options.yes === true,
  );
  await strikePeer(configPath, name);
  const isRunning = await takeOver(options);
  if (options.json === true) return printJson({ site: name, removed: true, running: isRunning });
  printLine(`Removed ${name}.`);
  printNote(
    `Its secret is still in ${peer.tokenFile}: delete it where nothing else names it, and on ${name} too.`,
  );
  if (!isRunning) printNote("The site does not run: it leaves the peer out from its next start on.");
}

async function list(options: AdminOptions): Promise<void> {
  const { readSiteConfig } = await import("../../app/site-config.ts");
  const config = await readSiteConfig(configPathOf(options));
  const configured = config.edition === "commercial" ? config.replication.peers : [];
  const admin = await AdminClient.of(options);
  const status = await admin.call({ command: "status", timeoutMs: 10_000 }).catch((error: unknown) => {
    if (isNotRunning(error)) return undefined;
    throw error;
  });
  const live = status !== undefined && Array.isArray(status.peers) ? objectsIn(status, "peers") : [];
  const peers = configured.map(({ site, url, tokenFile, tokens }) => {
    const { state, acked, dirty, lag_ms, last_error } = live.find((peer) => peer.site === site) ?? {};
    const known = state === undefined ? {} : { state, acked, dirty, lag_ms, last_error };
    return { site, url, token_file: tokenFile, secrets: tokens.length, ...known };
  });
  if (options.json === true) return printJson({ site: config.site, running: status !== undefined, peers });
  if (peers.length === 0)
    return printNote("There is no peer: see dormouse peer invite and dormouse peer join.");
  await printTable(
    ["SITE", "URL", "STATE", "ACKED", "DIRTY", "LAST ERROR"],
    peers.map((peer: Fields) =>
      ["site", "url", "state", "acked", "dirty", "last_error"].map((key) => cell(peer[key])),
    ),
  );
  for (const { site } of peers.filter(({ secrets }) => secrets > 1)) {
    printNote(
      `The secret with ${site} is being changed: finish it with dormouse peer rotate, where it was begun.`,
    );
  }
}

async function rotate(site: string, options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const result = await admin.call({ command: "rotate", body: { peer: siteName(site) } });
  if (options.json === true) printJson(result);
  else printLine(`The secret with ${textIn(result, "peer")} is a new one, on both sites.`);
}

/** Has the site take over what the file says now, where it runs. */
async function takeOver(options: AdminOptions): Promise<boolean> {
  const admin = await AdminClient.of(options);
  try {
    const texts = textsIn(await admin.call({ command: "reload" }), "reloaded");
    const refused = texts.find((text) => isRefused(text) && text.includes("peers"));
    if (refused === undefined) return true;
    throw new CommandRefusal(
      "config_invalid",
      refused,
      "the configuration is changed; reload it when it is right",
    );
  } catch (error) {
    if (isNotRunning(error)) return false;
    throw error;
  }
}

function isNotRunning(error: unknown): boolean {
  return error instanceof UnreachableRefusal && !error.mayHaveArrived;
}

function siteName(text: string): SiteName {
  if (isSiteName(text)) return text;
  throw usageRefusal(
    "this is no name of a site",
    "it has 1 to 63 of a-z, 0-9 and -, and begins with a letter",
  );
}
