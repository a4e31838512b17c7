import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { concealEntry } from "../entry-content.ts";
import { cell, type Fields, isFields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";
import { rowName } from "../row-name.ts";

type SettleOptions = AdminOptions & { readonly all?: boolean; readonly yes?: boolean };

export function defineStranded(stranded: Command): void {
  stranded.addHelpText("after", explanation + listExamples + showExamples.replace("\nExamples:\n", ""));
  addAdminOptions(stranded.command("list", { isDefault: true }))
    .description("list what the winner of a failover never received; the default")
    .addHelpText("after", listExamples)
    .action(listStranded);
  addAdminOptions(stranded.command("show"))
    .argument("<id>", "a stranded row's id")
    .option("--reveal", "show concealed values")
    .description("show one with what is in it")
    .addHelpText("after", showExamples)
    .action(showStranded);
  addAdminOptions(stranded.command("reapply"))
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
  dormouse stranded show 3f0c… --config zurich.yaml
`;

const reapplyExamples = `
Refused where the row was purged or revoked since: what is purged never comes back.

Examples:
  dormouse stranded reapply 3f0c… --config zurich.yaml
  dormouse stranded reapply --all --yes --config zurich.yaml
`;

const discardExamples = `
Examples:
  dormouse stranded discard 3f0c… --config zurich.yaml
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
      rowName(row.key, row.kind),
      cell(row.position),
      cell(row.from),
      cell(row.at),
      row.deleted === true ? "yes" : "no",
    ]),
  );
}

async function showStranded(
  id: string,
  options: AdminOptions & { readonly reveal?: boolean },
): Promise<void> {
  const row = await readStranded(await AdminClient.of(options), id);
  const shown = options.reveal === true ? row : concealRow(row);
  if (options.json === true) return printJson({ stranded: shown });
  for (const line of describeRow(shown)) printLine(line);
}

async function readStranded(admin: AdminClient, id: string): Promise<Fields> {
  const result = await admin.call({ command: "stranded", body: { action: "show", id } });
  return isFields(result.stranded) ? result.stranded : result;
}

/** An entry in `content` (what was stranded) and in `current` (what stands there now) hides what is concealed. */
function concealRow(row: Fields): Fields {
  const parts = ["content", "current"].map((name) => [name, row[name]] as const);
  const concealed = parts.filter(([, part]) => isFields(part) && Array.isArray(part.fields));
  return {
    ...row,
    ...Object.fromEntries(concealed.map(([name, part]) => [name, concealEntry(part as Fields)])),
  };
}

/** The row, and below it member by member what is in it beside what stands in its place now. */
function describeRow(row: Fields): readonly string[] {
  const { content, current, key, kind, ...rest } = row;
  const pairs = Object.entries(rest).map(([name, value]) => `${name}: ${cell(value)}`);
  return [
    `row: ${rowName(key, kind)}`,
    ...pairs,
    ...membersOf("holds", content),
    ...membersOf("stands there now", current),
  ];
}

function membersOf(heading: string, body: unknown): readonly string[] {
  if (!isFields(body)) return [`${heading}: nothing`];
  return [`${heading}:`, ...Object.entries(body).map(([name, value]) => `  ${name}: ${cell(value)}`)];
}

async function settle(
  action: "reapply" | "discard",
  id: string | undefined,
  options: SettleOptions,
): Promise<void> {
  if ((id === undefined) === (options.all !== true))
    throw usageRefusal("one row is to be named, or all of them", "give an id, or --all");
  const admin = await AdminClient.of(options);
  const question = await questionFor(admin, action, id);
  if (question === undefined)
    return options.json === true ? printJson({ settled: [] }) : printNote("Nothing is stranded.");
  await confirm(question, options.yes === true);
  const body = id === undefined ? { action, all: true } : { action, id };
  const result = await admin.call({ command: "stranded", body });
  if (options.json === true) return printJson(result);
  const done = action === "reapply" ? "Written again" : "Discarded";
  printLine(id === undefined ? `${done}: everything that was stranded.` : `${done}: ${id}.`);
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
  for (const row of rows) printNote(`${cell(row.id)}  ${rowName(row.key, row.kind)}`);
  if (rows.length === 0) return undefined;
  const what = rows.length === 1 ? "this row" : `these ${rows.length} rows`;
  return action === "reapply" ? `Write ${what} over what stands there now?` : `Forget ${what} for good?`;
}
