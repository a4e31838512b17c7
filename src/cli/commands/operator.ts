import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { cell, objectsIn, textIn } from "../fields.ts";
import { newSecretFile } from "../new-file.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { confirm } from "../prompt.ts";

type AddOptions = AdminOptions & { readonly expires?: string; readonly tokenOut?: string };

export function defineOperator(operator: Command): void {
  operator.addHelpText("after", explanation + listExamples + addExamples.replace("\nExamples:\n", ""));
  addAdminOptions(operator.command("list", { isDefault: true }))
    .description("list the tokens of this site's operators; the default")
    .addHelpText("after", listExamples)
    .action(listOperators);
  addAdminOptions(operator.command("add <label>"))
    .description("make a token for an operator of this site, shown this once")
    .option("--expires <time>", "when it ends, such as 2027-01-31T12:00:00Z; without it, never")
    .option("--token-out <file>", "write the token to a new file, mode 0600, and do not print it")
    .addHelpText("after", addExamples)
    .action(addOperator);
  addAdminOptions(operator.command("remove <operator_id>"))
    .description("end an operator's token, at once")
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  dormouse operator remove 3f0c… --config calgary.yaml\n")
    .action(removeOperator);
}

const explanation = `
An operator's token is good at one site alone, and opens no vault. To change one, add another and remove it. The machine's owner
can always add one.
`;

const listExamples = `
Examples:
  dormouse operator list --config calgary.yaml
`;

const addExamples = `
Examples:
  dormouse operator add "night shift" --config calgary.yaml --token-out night.token
  dormouse operator add monitoring --config calgary.yaml --expires 2027-12-31T00:00:00Z
`;

async function listOperators(options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const answer = await admin.call({ command: "operator", body: { action: "list" } });
  if (options.json === true) return printJson(answer);
  const operators = objectsIn(answer, "operators");
  if (operators.length === 0) return printNote("There is no operator's token: add one.");
  const names = ["operator_id", "label", "created_at", "expires_at"];
  await printTable(
    ["OPERATOR", "LABEL", "CREATED", "EXPIRES"],
    operators.map((each) => names.map((name) => cell(each[name]))),
  );
}

async function addOperator(label: string, options: AddOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  await using file = await newSecretFile(options.tokenOut);
  const body = {
    action: "add",
    label,
    ...(options.expires !== undefined && { expires_at: options.expires }),
  };
  const { token, ...added } = await admin.call({ command: "operator", body });
  await file?.keep(textIn({ token }, "token"));
  const shown = options.tokenOut === undefined ? { token } : { token_file: options.tokenOut };
  if (options.json === true) return printJson({ ...added, ...shown });
  printLine(`operator_id  ${textIn(added, "operator_id")}`);
  printLine(`token        ${file === undefined ? cell(token) : `in ${options.tokenOut}`}`);
  if (file === undefined) printNote("Keep the token: it is shown this once.");
}

async function removeOperator(id: string, options: AdminOptions & { readonly yes?: boolean }): Promise<void> {
  const admin = await AdminClient.of(options);
  await confirm(`End the operator's token ${id}?`, options.yes === true);
  const answer = await admin.call({ command: "operator", body: { action: "remove", id } });
  if (options.json === true) return printJson(answer);
  printLine(`Ended: ${id}.`);
  if (objectsIn(answer, "operators").length === 0) printNote("No operator's token is left: add one.");
}
