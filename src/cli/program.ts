import { readFileSync } from "node:fs";
import { Command } from "commander";
import { defineAlerts } from "./commands/alerts.ts";
import { defineEntry } from "./commands/entry.ts";
import { defineImport } from "./commands/import.ts";
import { defineSite } from "./commands/site.ts";
import { defineStatus } from "./commands/status.ts";
import { defineVault } from "./commands/vault.ts";

/** The whole command line. Mistakes of usage are thrown as commander's errors, and nothing is written to stderr for them. */
export function buildProgram(): Command {
  // Set before any command is added: each takes these settings over from its parent.
  const program = new Command("dormouse")
    .description(
      "A self-hosted vault for credentials whose off-site backup is current a moment after every write.",
    )
    .version(readVersion())
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", overview);
  defineSite(program);
  defineStatus(program);
  defineAlerts(program);
  defineVault(program);
  defineEntry(program);
  defineImport(program);
  return program;
}

const overview = `
Commands that talk to a running site take --url and --token-file, or DORMOUSE_URL and DORMOUSE_TOKEN.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by configuration or data folder, 4 unreachable,
5 unauthorized, 6 not found, 7 conflict, 8 the site takes no writes.

Examples:
  dormouse init --config calgary.yaml
  dormouse serve --config calgary.yaml
  dormouse status --url http://127.0.0.1:8200 --token-file operator.token
`;

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  if (typeof manifest !== "object" || manifest === null || !("version" in manifest)) return "unknown";
  return String(manifest.version);
}
