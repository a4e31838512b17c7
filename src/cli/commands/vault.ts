import { open, unlink } from "node:fs/promises";
import type { Command } from "commander";
import { addConnectionOptions, type ConnectionOptions, withSite } from "../connection.ts";
import { cell, objectsIn, textIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { confirm } from "../prompt.ts";
import { usageRefusal } from "../report.ts";

type Options = ConnectionOptions & { readonly json?: boolean };
type CreateOptions = Options & { readonly tokenOut?: string; readonly idOnly?: boolean };

export function defineVault(vault: Command): void {
  addConnectionOptions(vault.command("create <name>"))
    .description("create a vault and print its owner token, this once (operator token)")
    .option("--token-out <file>", "write the owner token to a new file, mode 0600, and do not print it")
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
  addConnectionOptions(vault.command("delete <vault_id>"))
    .description("delete a vault with everything in it, for good (owner token)")
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  dormouse vault delete 0199… --token-file team.token --yes\n")
    .action(deleteVault);
}

const createExamples = `
Examples:
  dormouse vault create team --token-file operator.token --token-out team.token
  VAULT=$(dormouse vault create team --token-file operator.token --token-out team.token --id-only)
`;

async function createVault(name: string, options: CreateOptions): Promise<void> {
  if (options.idOnly === true && options.tokenOut === undefined) {
    throw usageRefusal("--id-only would lose the owner token", "add --token-out FILE");
  }
  const file = options.tokenOut === undefined ? undefined : await createTokenFile(options.tokenOut);
  const created = await withSite(options, (site) =>
    site.call({ method: "POST", path: "/api/vaults", body: JSON.stringify({ name }) }),
  ).catch(async (error: unknown) => {
    await file?.discard();
    throw error;
  });
  const token = textIn(created.body, "token");
  await file?.keep(token);
  printCreated(options, textIn(created.body, "vault_id"), textIn(created.body, "name"), token);
}

function printCreated(options: CreateOptions, vaultId: string, name: string, token: string): void {
  const out = options.tokenOut;
  if (options.json === true) {
    printJson({ vault_id: vaultId, name, ...(out === undefined ? { token } : { token_file: out }) });
  } else if (options.idOnly === true) {
    printLine(vaultId);
  } else {
    printLine(`vault_id  ${vaultId}`);
    printLine(`name      ${name}`);
    printLine(out === undefined ? `token     ${token}` : `token     in ${out}`);
    if (out === undefined) printNote("Keep the token: it is shown this once.");
  }
}

type TokenFile = { readonly keep: (token: string) => Promise<void>; readonly discard: () => Promise<void> };

/** Made before the vault is, so that no token is lost to a folder that cannot be written. */
async function createTokenFile(path: string): Promise<TokenFile> {
  const handle = await open(path, "wx", 0o600).catch((error: unknown) => {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    throw exists
      ? usageRefusal(`${path} exists already`, "name a new file for the token")
      : usageRefusal(`${path} cannot be written`, "name a file in a folder that can be written");
  });
  return {
    keep: async (token) => {
      await handle.writeFile(`${token}\n`);
      await handle.sync();
      await handle.close();
    },
    discard: async () => {
      await handle.close();
      await unlink(path);
    },
  };
}

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
