import { type Command, Option } from "commander";
import { usageRefusal } from "./report.ts";

export type ConfigOptions = { readonly config?: string };

/** Adds what names the site whose files or whose admin socket a command uses. */
export function addConfigOption(command: Command): Command {
  return command.addOption(
    new Option("--config <file>", "the site's configuration file").env("DORMOUSE_CONFIG"),
  );
}

/** @throws Refusal `usage` where no file is named */
export function configPathOf({ config }: ConfigOptions): string {
  if (config === undefined || config === "") {
    throw usageRefusal("no configuration file is named", "give --config or set DORMOUSE_CONFIG");
  }
  return config;
}
