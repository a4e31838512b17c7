import { AdminClient } from "../admin-client.ts";
import type { AdminOptions } from "../config-option.ts";
import { cell, type Fields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";

export async function blockAccess(accessId: string, options: AdminOptions): Promise<void> {
  const { site, answer } = await ask(options, { action: "block", id: accessId });
  if (options.json === true) printJson(answer);
  else printLine(`${site} refuses ${accessId} from now on. No other site does for that.`);
}

export async function unblockAccess(accessId: string, options: AdminOptions): Promise<void> {
  const { site, answer } = await ask(options, { action: "unblock", id: accessId });
  if (options.json === true) printJson(answer);
  else printLine(`${site} takes ${accessId} again, where it was not revoked.`);
}

export async function listBlocked(options: AdminOptions): Promise<void> {
  const { site, answer } = await ask(options, { action: "list" });
  if (options.json === true) return printJson(answer);
  const blocked = objectsIn(answer, "blocked");
  if (blocked.length === 0) return printNote(`${site} blocks no access.`);
  await printTable(
    ["ACCESS", "SINCE"],
    blocked.map((each) => [cell(each.access_id), cell(each.at)]),
  );
}

async function ask(
  options: AdminOptions,
  body: Fields,
): Promise<{ readonly site: string; readonly answer: Fields }> {
  const admin = await AdminClient.of(options);
  return { site: admin.location.site, answer: await admin.call({ command: "access", body }) };
}
