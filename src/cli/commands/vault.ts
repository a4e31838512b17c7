import type { Command } from "commander";
import { addConnectionOptions, type ConnectionOptions, withSite } from "../connection.ts";
import { cell, type Fields, fieldsIn, objectsIn, textIn, textsIn } from "../fields.ts";
import { newSecretFile } from "../new-file.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";

type Options = ConnectionOptions & { readonly json?: boolean };
type CreateOptions = Options & {
  readonly tokenOut?: string;
  readonly recoveryOut?: string;
  readonly idOnly?: boolean;
};

export function defineVault(vault: Command): void {
  addConnectionOptions(vault.command("create <name>"))
    .description("create a vault and print its owner token, this once (operator token)")
    .option("--token-out <file>", "write the owner token to a new file, mode 0600, and do not print it")
    .option(
      "--recovery-out <file>",
      "make a second owner token and write it to a new file, to keep elsewhere",
    )
    .option("--id-only", "print nothing but the vault's id; needs --token-out")
    .addHelpText("after", createExamples)
    .action(createVault);
  addConnectionOptions(vault.command("list"))
    .description("list the vaults with their numbers of entries (operator token)")
    .addHelpText(
      "after",
      "\nExamples:\n  dormouse vault list --url http://127.0.0.1:8200 --token-file operator.token\n",
    )
    .action(listVaults);
  addConnectionOptions(vault.command("rename <vault_id> <name>"))
    .description("rename a vault (owner token)")
    .addHelpText("after", '\nExamples:\n  dormouse vault rename 0199… "Team keys" --token-file team.token\n')
    .action(renameVault);
  addConnectionOptions(vault.command("rotate-key <vault_id>"))
    .description("change a vault's key; everything in it is sealed anew (owner token)")
    .addHelpText("after", rotateExamples)
    .action(rotateKey);
  addConnectionOptions(vault.command("delete <vault_id>"))
    .description("delete a vault with everything in it, for good (owner token)")
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  dormouse vault delete 0199… --token-file team.token --yes\n")
    .action(deleteVault);
}

const createExamples = `
Examples:
  dormouse vault create team --token-file operator.token --token-out team.token
  dormouse vault create team --token-file operator.token --token-out team.token --recovery-out safe.token
  VAULT=$(dormouse vault create team --token-file operator.token --token-out team.token --id-only)
`;

const rotateExamples = `
Every access goes on to work: one that is absent finds the new key when it comes back. What was copied from a disk before, and
the secret of an access from before, still open what was in the vault then.

Examples:
  dormouse vault rotate-key 0199… --token-file team.token
`;

async function createVault(name: string, options: CreateOptions): Promise<void> {
  const { tokenOut, recoveryOut } = options;
  if (options.idOnly === true && tokenOut === undefined) {
    throw usageRefusal("--id-only would lose the owner token", "add --token-out FILE");
  }
  await using file = await newSecretFile(tokenOut);
  await using recoveryFile = await newSecretFile(recoveryOut);
  const asked = { name, ...(recoveryFile !== undefined && { recovery: true }) };
  const { body } = await withSite(options, (site) =>
    site.call({ method: "POST", path: "/api/vaults", body: JSON.stringify(asked) }),
  );
  await file?.keep(textIn(body, "token"));
  if (recoveryFile !== undefined) await recoveryFile.keep(textIn(fieldsIn(body, "recovery"), "token"));
  printCreated(options, body);
}

function printCreated(options: CreateOptions, body: Fields): void {
  const { tokenOut: out, recoveryOut: recovery } = options;
  const [vaultId, name, token] = ["vault_id", "name", "token"].map((key) => textIn(body, key));
  if (options.json === true) {
    const files = { ...(recovery !== undefined && { recovery_file: recovery }) };
    printJson({
      vault_id: vaultId,
      name,
      ...(out === undefined ? { token } : { token_file: out }),
      ...files,
    });
  } else if (options.idOnly === true) {
    printLine(cell(vaultId));
  } else {
    printLine(`vault_id  ${vaultId}`);
    printLine(`name      ${name}`);
    printLine(out === undefined ? `token     ${token}` : `token     in ${out}`);
    if (recovery !== undefined) printLine(`recovery  in ${recovery}`);
    if (out === undefined) printNote("Keep the token: it is shown this once.");
    if (out === undefined && recovery === undefined) printNote(recoveryNote);
  }
}

const recoveryNote =
  "Without any owner's token or passphrase nobody can open the vault again: --recovery-out makes a second one to keep elsewhere.";

async function listVaults(options: Options): Promise<void> {
  await withSite(options, async (site) => {
    const { body } = await site.call({ method: "GET", path: "/api/vaults" });
    if (options.json === true) return printJson(body);
    const vaults = objectsIn(body, "vaults");
    if (vaults.length === 0) return printNote("There is no vault yet.");
    const rows = vaults.map((vault) => [
      cell(vault.vault_id),
      cell(vault.name),
      cell(vault.entries),
      cell(vault.created_at),
    ]);
    await printTable(["VAULT", "NAME", "ENTRIES", "CREATED"], rows);
  });
}

async function renameVault(vaultId: string, name: string, options: Options): Promise<void> {
  await withSite(options, async (site) => {
    const path = `/api/vaults/${encodeURIComponent(vaultId)}`;
    const { body } = await site.call({ method: "PATCH", path, body: JSON.stringify({ name }) });
    if (options.json === true) printJson(body);
    else printLine(`Renamed to ${name}.`);
  });
}

async function rotateKey(vaultId: string, options: Options): Promise<void> {
  await withSite(options, async (site) => {
    const path = `/api/vaults/${encodeURIComponent(vaultId)}/rotation`;
    const { body } = await site.call({ method: "POST", path });
    if (options.json === true) return printJson(body);
    printLine(`Changed the key of ${vaultId}.`);
    for (const accessId of textsIn(body, "not_linked")) {
      printNote(`The access ${accessId} has no way to the new key: revoke it and make another.`);
    }
  });
}

async function deleteVault(vaultId: string, options: Options & { readonly yes?: boolean }): Promise<void> {
  await withSite(options, async (site) => {
    const path = `/api/vaults/${encodeURIComponent(vaultId)}`;
    const { body } = await site.call({ method: "GET", path });
    await confirm(
      `Delete the vault ${JSON.stringify(cell(body.name))} and everything in it for good?`,
      options.yes === true,
    );
    await site.call({ method: "DELETE", path });
    if (options.json === true) printJson({ vault_id: vaultId, deleted: true });
    else printLine(`Deleted ${vaultId}.`);
  });
}
