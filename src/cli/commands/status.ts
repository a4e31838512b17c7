import type { Command } from "commander";
import { Refusal } from "../../core/errors.ts";
import { AdminClient } from "../admin-client.ts";
import { addConfigOption, type ConfigOptions } from "../config-option.ts";
import { addConnectionOptions, type ConnectionOptions, isSiteNamed, withSite } from "../connection.ts";
import { cell, type Fields, isFields, objectsIn } from "../fields.ts";
import { printJson, printLine, printPairs, printTable } from "../output.ts";
import type { SiteClient } from "../site-client.ts";

type Options = ConnectionOptions & ConfigOptions & { readonly json?: boolean };

export function defineStatus(status: Command): void {
  addConfigOption(addConnectionOptions(status)).addHelpText("after", examples).action(showStatus);
}

const examples = `
With --config it asks the site on this machine, without a token; --url names any site.

Examples:
  dormouse status --config calgary.yaml
  dormouse status --url http://127.0.0.1:8200 --token-file calgary.operator.token
  dormouse status --json
`;

async function showStatus(options: Options): Promise<void> {
  const status = await findStatus(options);
  if (options.json === true) return printJson(status);
  await printPairs(summaryOf(status));
  if (!Array.isArray(status.peers) || status.peers.length === 0) return;
  printLine("");
  await printTable(
    ["BACKUP", "STATE", "ACKED", "PROVED", "DIRTY", "LAG MS", "QUARANTINED", "LAST ACK", "LAST ERROR"],
    objectsIn(status, "peers").map(peerRow),
  );
}

/** A URL is the more special wish: the configuration may be named by an environment that is always there. */
async function findStatus(options: Options): Promise<Fields> {
  const { config } = options;
  if (config === undefined || config === "" || isSiteNamed(options))
    return await withSite(options, readStatus);
  return await (await AdminClient.of(options)).call({ command: "status" });
}

/** A community site has no replication to ask for: what there is to say stands in its health. */
async function readStatus(site: SiteClient): Promise<Fields> {
  try {
    return (await site.call({ method: "GET", path: "/api/replication" })).body;
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "route_unknown") throw error;
    const {
      site: name,
      role,
      edition,
      version,
    } = (await site.call({ method: "GET", path: "/healthz" })).body;
    return { site: name, role, edition, version };
  }
}

function summaryOf(status: Fields): readonly (readonly [string, string])[] {
  const plain = Object.entries(status).filter(([, value]) => !Array.isArray(value) && !isFields(value));
  const pairs = plain.map(([name, value]) => [name, cell(value)] as const);
  const nested = Object.entries(status).flatMap(([name, value]) =>
    isFields(value)
      ? Object.entries(value).map(([inner, text]) => [`${name} ${inner}`, cell(text)] as const)
      : [],
  );
  return [...pairs, ...nested];
}

function peerRow(peer: Fields): readonly string[] {
  const cells = (...names: readonly string[]) => names.map((name) => cell(peer[name]));
  const rest = cells("dirty", "lag_ms", "quarantined", "last_ack_at", "last_error");
  return [...cells("site", "state", "acked"), proofOf(peer), ...rest];
}

/** Where both sites were last found equal. */
function proofOf({ verified, diverged }: Fields): string {
  if (diverged === true) return "differs";
  return isFields(verified) ? cell(verified.position) : "-";
}
