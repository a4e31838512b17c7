import { Command } from "commander";
import { programVersion } from "../app/version.ts";

type CommandEntry = {
  readonly name: string;
  readonly description: string;
  /** Loads what the command takes and does: one command is run, and it starts without waiting for the others' code. */
  readonly load: () => Promise<(command: Command) => void>;
};

const commands: readonly CommandEntry[] = [
  {
    name: "init",
    description: "make the data folder that the configuration names, and print the operator token, this once",
    load: async () => (await import("./commands/site.ts")).defineInit,
  },
  {
    name: "serve",
    description: "run the site until SIGINT or SIGTERM",
    load: async () => (await import("./commands/site.ts")).defineServe,
  },
  {
    name: "doctor",
    description: "say what is wrong with this machine, the configuration and the data folder",
    load: async () => (await import("./commands/site.ts")).defineDoctor,
  },
  {
    name: "status",
    description: "show a site's role, head and backups (--config, or operator token)",
    load: async () => (await import("./commands/status.ts")).defineStatus,
  },
  {
    name: "check",
    description: "say in one line whether all is well, for cron and Nagios",
    load: async () => (await import("./commands/check.ts")).defineCheck,
  },
  {
    name: "verify",
    description: "compare every row with the peers, and look at every page of the database",
    load: async () => (await import("./commands/verify.ts")).defineVerify,
  },
  {
    name: "promote",
    description: "make a backup the primary",
    load: async () => (await import("./commands/promotion.ts")).definePromote,
  },
  {
    name: "rejoin",
    description: "bring a site home whose history has parted from the primary's",
    load: async () => (await import("./commands/promotion.ts")).defineRejoin,
  },
  {
    name: "recover",
    description: "lead a primary on that was put back to an older copy",
    load: async () => (await import("./commands/promotion.ts")).defineRecover,
  },
  {
    name: "stranded",
    description: "list, show, reapply and discard what a failover has left over",
    load: async () => (await import("./commands/stranded.ts")).defineStranded,
  },
  {
    name: "snapshot",
    description: "copy a whole site into one file, and make a site of it again",
    load: async () => (await import("./commands/snapshot.ts")).defineSnapshot,
  },
  {
    name: "reload",
    description: "have a running site take over certificates and peers that were changed",
    load: async () => (await import("./commands/reload.ts")).defineReload,
  },
  {
    name: "peer",
    description: "pair this site with another, change a pair's secret, add, list and remove peers",
    load: async () => (await import("./commands/peer.ts")).definePeer,
  },
  {
    name: "operator",
    description: "list, make and end the tokens of this site's operators",
    load: async () => (await import("./commands/operator.ts")).defineOperator,
  },
  {
    name: "alerts",
    description: "list what the operator was told, and try the channels",
    load: async () => (await import("./commands/alerts.ts")).defineAlerts,
  },
  {
    name: "audit",
    description: "list who did what, and prove that the record of it is whole",
    load: async () => (await import("./commands/audit.ts")).defineAudit,
  },
  {
    name: "vault",
    description: "create, list, rename and delete vaults",
    load: async () => (await import("./commands/vault.ts")).defineVault,
  },
  {
    name: "entry",
    description: "add, read, find, edit, remove and restore entries and their earlier versions",
    load: async () => (await import("./commands/entry.ts")).defineEntry,
  },
  {
    name: "access",
    description: "say who can open a vault, and end that",
    load: async () => (await import("./commands/access.ts")).defineAccess,
  },
  {
    name: "import",
    description: "import entries from JSON lines (token with write scope)",
    load: async () => (await import("./commands/import.ts")).defineImport,
  },
  {
    name: "login",
    description: "begin a session with a passphrase",
    load: async () => (await import("./commands/session.ts")).defineLogin,
  },
  {
    name: "logout",
    description: "end a session",
    load: async () => (await import("./commands/session.ts")).defineLogout,
  },
  {
    name: "profile",
    description: "save sites and where their tokens lie under names, for --profile",
    load: async () => (await import("./commands/profile.ts")).defineProfile,
  },
];

/**
 * The command line as far as these arguments need it: all commands by name, and the one that is called whole. Mistakes of
 * usage are thrown as commander's errors, and nothing is written to stderr for them.
 */
export async function buildProgram(args: readonly string[]): Promise<Command> {
  // Set before any command is added: each takes these settings over from its parent.
  const program = new Command("dormouse")
    .description(
      "A self-hosted vault for credentials whose off-site backup is current a moment after every write.",
    )
    .version(programVersion)
    // Otherwise `entry show --version 3` tells the program's version.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", overview);
  const called = args.find((word) => !word.startsWith("-") && word !== "help");
  for (const { name, description, load } of commands) {
    const command = program.command(name).description(description);
    if (name === called) (await load())(command);
  }
  return program;
}

const overview = `
Commands that act on a site of this machine take --config, or DORMOUSE_CONFIG.
Commands that talk to a running site take --url and --token-file, or DORMOUSE_URL and DORMOUSE_TOKEN, or --profile.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by configuration or data folder, 4 unreachable,
5 unauthorized, 6 not found, 7 conflict, 8 the site takes no writes; those of check are its own.

Examples:
  dormouse init --config calgary.yaml
  dormouse serve --config calgary.yaml
  dormouse status --url http://127.0.0.1:8200 --token-file operator.token
`;
