import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { exitStatus } from "../exit-status.ts";
import { cell, type Fields, isFields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { callWithProgress } from "../progress.ts";
import { CommandExit } from "../report.ts";
import { rowName } from "../row-name.ts";

type Options = AdminOptions & { readonly repair?: boolean };

export function defineVerify(verify: Command): void {
  addAdminOptions(verify)
    .option("--repair", "let the primary repair what differs, also where it has given up on it")
    .addHelpText("after", examples)
    .action(verifySite);
}

const examples = `
Reads every row of this site and of its peers anew, while they work, and looks at every page of the database.
Names the rows that differ, never what is in them.
Exit status: 0 everything is whole and equal; 1 something is not; see dormouse --help for the others.

Examples:
  dormouse verify --config calgary.yaml
  dormouse verify --config calgary.yaml --repair
  dormouse verify --config calgary.yaml --json
`;

async function verifySite(options: Options): Promise<void> {
  const admin = await AdminClient.of(options);
  const body = { repair: options.repair === true };
  const result = await callWithProgress(admin, { command: "verify", body });
  if (options.json === true) printJson(result);
  else await printResult(admin.location.site, result);
  if (result.equal === true) return;
  printNote(
    body.repair
      ? "Repairs were asked for: dormouse status shows how far they are, dormouse verify what came of them."
      : "dormouse verify --repair has the primary repair what differs.",
  );
  throw new CommandExit(exitStatus.failed);
}

async function printResult(site: string, result: Fields): Promise<void> {
  const local = isFields(result.local) ? result.local : {};
  const damaged = Array.isArray(local.damaged) ? local.damaged : [];
  printLine(`${site}: ${rowsOf(local)}, database ${cell(local.database)}, head ${cell(result.position)}`);
  for (const key of damaged) printLine(`  damaged: ${rowName(key)}`);
  for (const peer of Array.isArray(result.peers) ? objectsIn(result, "peers") : []) await printPeer(peer);
}

async function printPeer(peer: Fields): Promise<void> {
  const name = cell(peer.site);
  if (typeof peer.error === "string") return printLine(`${name}: not compared: ${peer.error}`);
  const differing = Array.isArray(peer.differing) ? objectsIn(peer, "differing") : [];
  if (peer.equal === true && differing.length === 0) return printLine(`${name}: ${rowsOf(peer)}, equal`);
  printLine(`${name}: ${rowsOf(peer)}, ${differing.length} differ`);
  await printTable(
    ["ROW", `AT ${name.toUpperCase()}`],
    differing.map(({ key, what }) => [rowName(key), cell(what).replaceAll("_", " ")]),
  );
}

function rowsOf({ rows }: Fields): string {
  return rows === 1 ? "1 row" : `${cell(rows)} rows`;
}
