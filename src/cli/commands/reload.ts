import type { Command } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { textsIn } from "../fields.ts";
import { printJson, printLine } from "../output.ts";
import { CommandRefusal } from "../report.ts";

export function defineReload(reload: Command): void {
  addAdminOptions(reload).addHelpText("after", examples).action(reloadSite);
}

const examples = `
Takes over the peers of the configuration, what stands in their tls, and the files of listen.tls, as SIGHUP does. What cannot
be used changes nothing.

Examples:
  dormouse reload --config calgary.yaml
`;

async function reloadSite(options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const result = await admin.call({ command: "reload" });
  const texts = textsIn(result, "reloaded");
  if (options.json === true) printJson(result);
  else for (const text of texts) printLine(text);
  if (!texts.some(isRefused)) return;
  throw new CommandRefusal("config_invalid", "not everything could be taken over", "see what was printed");
}

/** As the site words what it has left as it was. */
export function isRefused(text: string): boolean {
  return text.startsWith("nothing of ");
}
