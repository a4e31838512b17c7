import { type Command, Option } from "commander";
import { usageRefusal } from "./report.ts";

export type ConfigOptions = { readonly config?: string };
export type AdminOptions = ConfigOptions & { readonly json?: boolean };

/** Adds what names the site whose files or whose admin socket a command uses. */
export function addConfigOption(command: Command): Command {
  return command.addOption(
    new Option("--config <file>", "the site's configuration file").env("DORMOUSE_CONFIG"),
  );
}

/** Adds what every command has that acts on a site through its admin socket. */
export function addAdminOptions(command: Command): Command {
  return addConfigOption(command).option("--json", "print one JSON document");
}

/** @throws Refusal `usage` where no file is named */
export function configPathOf({ config }: ConfigOptions): string {
  if (config === undefined || config === "") {
    throw usageRefusal("no configuration file is named", "give --config or set DORMOUSE_CONFIG");
  }
  return config;
}
