import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { cell, type Fields, textOr, textsIn } from "../fields.ts";
import { printJson, printLine, printNote } from "../output.ts";
import { preflightLines } from "../preflight.ts";
import { callWithProgress } from "../progress.ts";
import { confirm } from "../prompt.ts";
import { CommandRefusal, usageRefusal } from "../report.ts";

type Options = AdminOptions & {
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly decline?: boolean;
};

/** The commands that change a site's role. Each may be repeated: a step that was taken answers what came of it. */
export function definePromote(promote: Command): void {
  addAdminOptions(promote)
    .option("--force", "without the primary's consent: it cannot be reached, or is lost")
    .option("--dry-run", "say what is known and what is not, and change nothing")
    .option("--decline", "give back a grant of the primary that was not used")
    .option("--yes", "do not ask")
    .addHelpText("after", promoteExamples)
    .action(promoteSite);
}

export function defineRejoin(rejoin: Command): void {
  addAdminOptions(rejoin).addHelpText("after", rejoinExamples).action(rejoinSite);
}

export function defineRecover(recover: Command): void {
  addAdminOptions(recover)
    .option("--force", "go on with this older state: no backup can be reached, or all are lost")
    .option("--dry-run", "say what would be done, and change nothing")
    .option("--yes", "do not ask")
    .addHelpText("after", recoverExamples)
    .action(recoverSite);
}

const promoteExamples = `
Run it on the site that is to be primary. Without --force the primary hands over first, and nothing is lost.
Exit status: 0 promoted, or primary already; 7 not now, having changed nothing; see dormouse --help for the others.

Examples:
  dormouse promote --config zurich.yaml
  dormouse promote --config zurich.yaml --dry-run --json
  dormouse promote --config zurich.yaml --force --yes
`;

const rejoinExamples = `
Run it on a site whose history has parted from the primary's: a primary that was superseded, or a backup that was refused
as forked. What only this site has is put aside, and listed by dormouse stranded on the primary.

Examples:
  dormouse rejoin --config calgary.yaml
`;

const recoverExamples = `
Run it on a primary that was put back to an older copy (fenced: primary_behind).

Examples:
  dormouse recover --config calgary.yaml
  dormouse recover --config calgary.yaml --force
`;

async function promoteSite(options: Options): Promise<void> {
  const admin = await AdminClient.of(options);
  if (options.decline === true) return await decline(admin, options);
  const force = options.force === true;
  const preflight = await admin.call({ command: "promote", body: { force, dry_run: true } });
  if (options.dryRun === true) return printPreflight(options, preflight);
  if (preflight.kind !== "nothing") await agree(options, preflight);
  const result = await callWithProgress(admin, { command: "promote", body: { force } });
  if (options.json === true) printJson(result);
  else printLine(promotedLine(result));
  if (result.result === "declined") {
    throw new CommandRefusal("grant_declined", "the grant was given back", "run dormouse promote again");
  }
  if (force && options.json !== true && result.result === "promoted") {
    printNote("When the old primary is back, run dormouse rejoin on it.");
  }
}

function printPreflight(options: Options, preflight: Fields): void {
  if (options.json === true) return printJson(preflight);
  for (const line of preflightLines(preflight)) printLine(line);
  const refused = textOr(preflight, "refused", "");
  if (refused !== "") printLine(`It would be refused: ${refused}`);
}

/** Shows what is known and asks. @throws Refusal where the site would refuse it, or the answer is no */
async function agree(options: Options, preflight: Fields): Promise<void> {
  for (const line of preflightLines(preflight)) printNote(line);
  const refused = textOr(preflight, "refused", "");
  if (refused !== "") {
    const remedy = options.force === true ? "see what is known" : "--force promotes all the same";
    throw new CommandRefusal("not_proved", refused, remedy);
  }
  await confirm(`Make ${cell(preflight.site)} the primary?`, options.yes === true);
}

function promotedLine({ site, role, epoch, from, result }: Fields): string {
  const where = `${cell(site)} is ${cell(role)} of epoch ${cell(epoch)}`;
  switch (result) {
    case "already_primary":
      return `${where}: it was already.`;
    case "taken_back":
      return `${where}: the grant was taken back.`;
    case "declined":
      return `${where}: the grant was given back, and nothing has changed.`;
    default:
      return from === undefined || from === null ? `${where}.` : `${where}, from ${cell(from)} on.`;
  }
}

async function decline(admin: AdminClient, options: Options): Promise<void> {
  if (options.force === true || options.dryRun === true)
    throw usageRefusal("--decline stands alone", "leave out the other options");
  const result = await admin.call({ command: "decline" });
  if (options.json === true) printJson(result);
  else printLine("The grant was given back: the primary takes writes again.");
}

async function rejoinSite(options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const result = await callWithProgress(admin, { command: "rejoin" });
  if (options.json === true) return printJson(result);
  printLine(`${cell(result.site)} is a ${cell(result.role)} of ${cell(result.winner)} now.`);
  printLine(`Both histories are one up to ${cell(result.common)}.`);
  printPutAside(result, cell(result.winner));
}

async function recoverSite(options: Options): Promise<void> {
  const admin = await AdminClient.of(options);
  const force = options.force === true;
  const plan = await admin.call({ command: "recover", body: { force, dry_run: true } });
  if (options.dryRun === true && options.json === true) return printJson(plan);
  const print = options.dryRun === true ? printLine : printNote;
  for (const step of textsIn(plan, "steps")) print(`- ${step}`);
  if (options.dryRun === true) return;
  await confirm(recoverQuestion(cell(plan.site), force), options.yes === true);
  const result = await callWithProgress(admin, { command: "recover", body: { force } });
  if (options.json === true) return printJson(result);
  for (const step of textsIn(result, "steps")) printLine(`- ${step}`);
  printLine(`${cell(result.site)} is ${cell(result.role)} of epoch ${cell(result.epoch)}.`);
  printPutAside(result, cell(result.site));
}

function recoverQuestion(site: string, force: boolean): string {
  return force
    ? `Go on with the older state of ${site}, though backups may hold newer changes?`
    : `Bring the backup's newer state to ${site}?`;
}

function printPutAside({ put_aside: count }: Fields, where: string): void {
  if (count === 0 || count === undefined) return printLine("Nothing had to be put aside.");
  const rows = count === 1 ? "1 row was" : `${cell(count)} rows were`;
  printLine(`${rows} put aside; what the primary never had is in dormouse stranded list on ${where}.`);
}
