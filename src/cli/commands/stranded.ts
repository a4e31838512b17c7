import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { type ConnectionOptions, withSite } from "../connection.ts";
import { concealEntry } from "../entry-content.ts";
import { printEntry, printWritten } from "../entry-output.ts";
import { exitStatus } from "../exit-status.ts";
import { cell, type Fields, isFields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { callWithProgress } from "../progress.ts";
import { confirm } from "../prompt.ts";
import { CommandExit, usageRefusal } from "../report.ts";
import { rowName } from "../row-name.ts";

/** With a token of its vault, what is stranded can be opened, on a running site. */
type VaultOptions = AdminOptions & ConnectionOptions & { readonly vault?: string };
type ShowOptions = VaultOptions & { readonly reveal?: boolean };
type SettleOptions = VaultOptions & { readonly all?: boolean; readonly yes?: boolean };

function addVaultOptions(command: Command): Command {
  return addAdminOptions(command)
    .option("--vault <vault_id>", "open it with a token of its vault, through the running site")
    .option("--url <url>", "with --vault: address of the site (or DORMOUSE_URL)")
    .option("--token-file <file>", "with --vault: file with the token, mode 0600 (or DORMOUSE_TOKEN)")
    .option("--profile <name>", "with --vault: what `profile add` saved (or DORMOUSE_PROFILE)");
}

export function defineStranded(stranded: Command): void {
  stranded.addHelpText("after", explanation + listExamples + showExamples.replace("\nExamples:\n", ""));
  addAdminOptions(stranded.command("list", { isDefault: true }))
    .description("list what the winner of a failover never received; the default")
    .addHelpText("after", listExamples)
    .action(listStranded);
  addVaultOptions(stranded.command("show"))
    .argument("<id>", "a stranded row's id")
    .option("--reveal", "show concealed values")
    .description("show one with what is in it")
    .addHelpText("after", showExamples)
    .action(showStranded);
  addVaultOptions(stranded.command("reapply"))
    .argument("[id]", "a stranded row's id")
    .option("--all", "all that there are, oldest first")
    .option("--yes", "do not ask")
    .description("write it over what stands in its place now, as a change of today")
    .addHelpText("after", reapplyExamples)
    .action((id: string | undefined, options: SettleOptions) => settle("reapply", id, options));
  addAdminOptions(stranded.command("discard"))
    .argument("[id]", "a stranded row's id")
    .option("--all", "all that there are")
    .option("--yes", "do not ask")
    .description("forget it, on every site")
    .addHelpText("after", discardExamples)
    .action((id: string | undefined, options: SettleOptions) => settle("discard", id, options));
}

const explanation = `
A row is stranded when a failover has left it on one side: it was acknowledged to a client, and the site that is primary now
never received it. It is kept, on every site, until somebody decides. Decide on the primary.
`;

const listExamples = `
Examples:
  dormouse stranded list --config zurich.yaml
`;

const showExamples = `
Examples:
  dormouse stranded show 3f0c1a52-… --config zurich.yaml
  dormouse stranded show 3f0c1a52-… --vault 0199… --url http://127.0.0.1:8201 --token-file team.token
`;

const reapplyExamples = `
Refused where the row was purged or revoked since: what is purged never comes back.

Examples:
  dormouse stranded reapply 3f0c1a52-… --config zurich.yaml
  dormouse stranded reapply --all --yes --config zurich.yaml
  dormouse stranded reapply 3f0c1a52-… --vault 0199… --url http://127.0.0.1:8201 --token-file team.token
`;

const discardExamples = `
Examples:
  dormouse stranded discard 3f0c1a52-… --config zurich.yaml
`;

async function listStranded(options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const result = await admin.call({ command: "stranded", body: { action: "list" } });
  if (options.json === true) return printJson(result);
  await printRows(objectsIn(result, "stranded"));
}

async function printRows(rows: readonly Fields[]): Promise<void> {
  if (rows.length === 0) return printNote("Nothing is stranded.");
  await printTable(
    ["ID", "ROW", "POSITION", "FROM", "AT", "DELETED"],
    rows.map((row) => [
      cell(row.id),
      rowName(row.key),
      cell(row.position),
      cell(row.from),
      cell(row.at),
      row.deleted === true ? "yes" : "no",
    ]),
  );
}

async function showStranded(id: string, options: ShowOptions): Promise<void> {
  if (options.vault !== undefined) {
    const path = strandedPath(options.vault, id);
    return await withSite(options, async (site) =>
      printEntry(await site.call({ method: "GET", path }), options),
    );
  }
  const row = await readStranded(await AdminClient.of(options), id);
  const shown = options.reveal === true ? row : concealRow(row);
  if (options.json === true) return printJson(shown);
  for (const line of describeRow(shown)) printLine(line);
}

function readStranded(admin: AdminClient, id: string): Promise<Fields> {
  return admin.call({ command: "stranded", body: { action: "show", id } });
}

/** Of an entry, what is concealed stays so. */
function concealRow(row: Fields): Fields {
  const { content } = row;
  const isEntry = isFields(content) && Array.isArray(content.fields);
  return isEntry ? { ...row, content: concealEntry(content) } : row;
}

/** The row, and member by member what is in it. */
function describeRow({ content, ...row }: Fields): readonly string[] {
  const lines = Object.entries(row).map(([name, value]) => `${name}: ${cell(value)}`);
  if (content === null) return [...lines, "holds: nothing: it is a purge or a revocation"];
  if (!isFields(content)) return [...lines, `holds: ${cell(content)}`];
  return [...lines, "holds:", ...Object.entries(content).map(([name, value]) => `  ${name}: ${cell(value)}`)];
}

function strandedPath(vaultId: string, id: string): string {
  return `/api/vaults/${encodeURIComponent(vaultId)}/stranded/${encodeURIComponent(id)}`;
}

/** What is sealed is opened with the token's key, and sealed anew as the newest state of its entry. */
async function reapplyOpened(id: string, vaultId: string, options: SettleOptions): Promise<void> {
  await withSite(options, async (site) => {
    const path = strandedPath(vaultId, id);
    const { body } = await site.call({ method: "GET", path });
    await confirm(
      `Write ${JSON.stringify(cell(body.title))} over what stands there now?`,
      options.yes === true,
    );
    printWritten(options, "Written again:", await site.call({ method: "POST", path: `${path}/reapply` }));
  });
}

async function settle(
  action: "reapply" | "discard",
  id: string | undefined,
  options: SettleOptions,
): Promise<void> {
  if ((id === undefined) === (options.all !== true))
    throw usageRefusal("one row is to be named, or all of them", "give an id, or --all");
  if (options.vault !== undefined && action === "reapply") {
    if (id === undefined)
      throw usageRefusal("--vault opens one row at a time", "give its id instead of --all");
    return await reapplyOpened(id, options.vault, options);
  }
  const admin = await AdminClient.of(options);
  const question = await questionFor(admin, action, id);
  if (question === undefined)
    return options.json === true
      ? printJson({ action, settled: 0, refused: [], left: 0 })
      : printNote("Nothing is stranded.");
  await confirm(question, options.yes === true);
  const body = id === undefined ? { action, all: true } : { action, id };
  const result = await callWithProgress(admin, { command: "stranded", body });
  if (options.json === true) printJson(result);
  else printSettled(result);
  if (objectsIn(result, "refused").length > 0) throw new CommandExit(exitStatus.conflict);
}

function printSettled({ action, settled, left, ...result }: Fields): void {
  const done = action === "reapply" ? "Written again" : "Discarded";
  printLine(`${done}: ${settled === 1 ? "1 row" : `${cell(settled)} rows`}; ${cell(left)} are left.`);
  for (const { id, code } of objectsIn(result, "refused"))
    printLine(`Left as it is: ${cell(id)} (${cell(code)})`);
}

/** Shows what is about to happen, out of the way of what a script reads. Undefined where there is nothing to do it to. */
async function questionFor(
  admin: AdminClient,
  action: "reapply" | "discard",
  id: string | undefined,
): Promise<string | undefined> {
  if (id !== undefined) {
    for (const line of describeRow(concealRow(await readStranded(admin, id)))) printNote(line);
    return action === "reapply" ? "Write this over what stands there now?" : "Forget this for good?";
  }
  const result = await admin.call({ command: "stranded", body: { action: "list" } });
  const rows = objectsIn(result, "stranded");
  for (const row of rows) printNote(`${cell(row.id)}  ${rowName(row.key)}`);
  if (rows.length === 0) return undefined;
  const what = rows.length === 1 ? "this row" : `these ${rows.length} rows`;
  return action === "reapply" ? `Write ${what} over what stands there now?` : `Forget ${what} for good?`;
}
