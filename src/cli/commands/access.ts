import { type Command, InvalidArgumentError, Option } from "commander";
import { scopes } from "../../core/access.ts";
import { addConnectionOptions } from "../connection.ts";
import { addAdminOptions } from "../config-option.ts";
import { addAccess, listAccesses, revokeAccess } from "./access-actions.ts";
import { blockAccess, listBlocked, unblockAccess } from "./access-blocks.ts";

/** `dormouse access …`: what it takes; access-actions.ts and access-blocks.ts do it. */
export function defineAccess(access: Command): void {
  defineAdd(access);
  vaultCommand(access, "list", "list who can open a vault (owner token)")
    .addHelpText("after", "\nExamples:\n  dormouse access list --vault 0199…\n")
    .action(listAccesses);
  vaultCommand(access, "revoke <access_id>", "end an access and change the vault's key (owner token)")
    .option("--keep-key", "leave the vault's key as it is")
    .option("--yes", "do not ask")
    .addHelpText("after", revokeExamples)
    .action(revokeAccess);
  addAdminOptions(access.command("block <access_id>"))
    .description("have this site refuse an access, whatever a primary that is gone still says")
    .addHelpText("after", blockExamples)
    .action(blockAccess);
  addAdminOptions(access.command("unblock <access_id>"))
    .description("have this site take a blocked access again")
    .addHelpText("after", "\nExamples:\n  dormouse access unblock 0199… --config zurich.yaml\n")
    .action(unblockAccess);
  addAdminOptions(access.command("blocked"))
    .description("list what this site refuses")
    .addHelpText("after", "\nExamples:\n  dormouse access blocked --config zurich.yaml\n")
    .action(listBlocked);
}

function defineAdd(access: Command): void {
  vaultCommand(access, "add", "let a machine or a person open a vault (owner token)")
    .addOption(new Option("--scope <scope>", "what it may do").choices(scopes).makeOptionMandatory(true))
    .option("--name <name>", "of a machine, which gets a token")
    .option("--login <login>", "of a person, who logs in with a passphrase")
    .addOption(
      new Option(
        "--expires <when>",
        "when it ends: 90d, 12h, or a time such as 2027-01-31T12:00:00Z",
      ).argParser(parseExpiry),
    )
    .option("--token-out <file>", "write the token to a new file, mode 0600, and do not print it")
    .option(
      "--passphrase-file <file>",
      "the person's own passphrase, from a file of mode 0600 or - for stdin; without it one is made",
    )
    .option("--passphrase-out <file>", "write the passphrase that is made to a new file, mode 0600")
    .addHelpText("after", addExamples)
    .action(addAccess);
}

function vaultCommand(parent: Command, usage: string, description: string): Command {
  return addConnectionOptions(parent.command(usage))
    .description(description)
    .requiredOption("--vault <vault_id>", "the vault's id");
}

const hourMs = 3_600_000;

/** As the API takes it. */
function parseExpiry(text: string): string {
  const [, count, unit] = /^([1-9]\d{0,4})([hd])$/.exec(text) ?? [];
  const ms =
    count === undefined
      ? Date.parse(/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) ? text : "")
      : Date.now() + Number(count) * (unit === "d" ? 24 * hourMs : hourMs);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("It is like 90d, 12h or 2027-01-31T12:00:00Z.");
  return new Date(ms).toISOString();
}

const addExamples = `
A passphrase of a login that opens another vault already is given with --passphrase-file: one passphrase then opens both.

Examples:
  dormouse access add --vault 0199… --name backup-job --scope read --expires 90d --token-out job.token
  dormouse access add --vault 0199… --login joe@harbour.example --scope write
  dormouse access add --vault 0199… --login joe@harbour.example --scope owner --passphrase-file joe.passphrase
`;

const revokeExamples = `
It waits up to 10 s for the backups and names those that still take the access. Without --keep-key nothing that is written from
now on opens with what the access knew.

Examples:
  dormouse access revoke 0199… --vault 0199…
  dormouse access revoke 0199… --vault 0199… --keep-key --yes
`;

const blockExamples = `
Revoking is an owner's and goes to every site; this list is one site's own and needs neither a vault's key nor a primary.

Examples:
  dormouse access block 0199… --config zurich.yaml
`;
