import { type Command, InvalidArgumentError, Option } from "commander";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, addConfigOption, type AdminOptions, type ConfigOptions } from "../config-option.ts";
import { addConnectionOptions, type ConnectionOptions, withSite } from "../connection.ts";
import { exitStatus } from "../exit-status.ts";
import { cell, type Fields, isFields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { callWithProgress } from "../progress.ts";
import { CommandExit } from "../report.ts";

type ListOptions = ConnectionOptions &
  ConfigOptions & { readonly json?: boolean; readonly vault?: string; readonly limit: number };

export function defineAudit(audit: Command): void {
  audit.addHelpText("after", explanation + listExamples + verifyExamples.replace("\nExamples:\n", ""));
  addConfigOption(addConnectionOptions(audit.command("list", { isDefault: true })))
    .description("list what was done, newest first (operator token, or --config); the default")
    .option("--vault <id>", "only what was done in this vault")
    .addOption(new Option("--limit <number>", "at most so many").default(50).argParser(parseLimit))
    .addHelpText("after", listExamples)
    .action(listRecords);
  addAdminOptions(audit.command("verify"))
    .description("prove every chain on this site's disk, and compare it with what its peers have shown")
    .addHelpText("after", verifyExamples)
    .action(verifyChains);
}

const explanation = `
The audit says who did what, to which entry, when, from where and what came of it; never what is in an entry.
`;

const listExamples = `
Examples:
  dormouse audit list --url http://127.0.0.1:8200 --token-file calgary.operator.token
  dormouse audit list --vault 0197… --config calgary.yaml --json
`;

const verifyExamples = `
Exit status: 0 every chain is whole; 1 one is not, and the first record that is not as it was is named.

Examples:
  dormouse audit verify --config calgary.yaml
`;

function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("It is a number from 1 to 999999.");
  return Number(text);
}

/** Answers with one page. */
type ReadPage = (query: Readonly<Record<string, string>>) => Promise<Fields>;

async function listRecords(options: ListOptions): Promise<void> {
  const records = await readRecords(options);
  if (options.json === true) return printJson({ records });
  if (records.length === 0) return printNote("Nothing is recorded.");
  await printTable(
    ["AT", "SITE", "WHO", "ACTION", "VAULT", "ITEM", "FROM", "RESULT"],
    records.map((record) => {
      const cells = ["action", "vault_id", "item_id", "address", "result"].map((name) => cell(record[name]));
      return [cell(record.at), cell(record.site), describeActor(record.actor), ...cells];
    }),
  );
}

/** A URL is the more special wish: the configuration may be named by an environment that is always there. */
async function readRecords(options: ListOptions): Promise<readonly Fields[]> {
  const { config, url } = options;
  if (config === undefined || config === "" || url !== undefined) {
    return await withSite(options, (site) =>
      readPages(options, async (query) => {
        const path = `/api/audit?${new URLSearchParams(query).toString()}`;
        return (await site.call({ method: "GET", path })).body;
      }),
    );
  }
  const admin = await AdminClient.of(options);
  const read: ReadPage = (query) => admin.call({ command: "audit", body: { action: "list", ...query } });
  return await readPages(options, read);
}

const pageLimitMax = 100;

/** A page may be short and not be the last. */
async function readPages({ vault, limit }: ListOptions, read: ReadPage): Promise<readonly Fields[]> {
  const records: Fields[] = [];
  let cursor: string | undefined;
  do {
    const page = await read({
      limit: String(Math.min(pageLimitMax, limit - records.length)),
      ...(cursor !== undefined && { cursor }),
      ...(vault !== undefined && { vault_id: vault }),
    });
    records.push(...objectsIn(page, "records"));
    cursor = typeof page.next_cursor === "string" ? page.next_cursor : undefined;
  } while (cursor !== undefined && records.length < limit);
  return records;
}

function describeActor(actor: unknown): string {
  if (!isFields(actor)) return cell(actor);
  return actor.id === null ? cell(actor.kind) : `${cell(actor.kind)} ${cell(actor.id)}`;
}

async function verifyChains(options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const result = await callWithProgress(admin, { command: "audit", body: { action: "verify" } });
  if (options.json === true) printJson(result);
  else await printVerified(result);
  if (result.whole !== true) throw new CommandExit(exitStatus.failed);
}

async function printVerified(result: Fields): Promise<void> {
  const chains = objectsIn(result, "chains");
  if (chains.length === 0) return printNote("Nothing is recorded.");
  await printTable(
    ["SITE", "CHAIN", "RECORDS", "FOUND"],
    chains.map((chain) => [
      cell(chain.site),
      cell(chain.chain),
      `${cell(chain.first)} to ${cell(chain.last)}`,
      describeFault(chain),
    ]),
  );
  printLine(result.whole === true ? "Every chain is whole." : "The audit is not whole.");
}

function describeFault({ fault, at, peer, settled }: Fields): string {
  if (typeof fault !== "string") return "whole";
  const by = typeof peer === "string" ? `, as ${peer} has shown` : "";
  const said = settled === true && fault !== "broken" ? "; a later chain of that site says so" : "";
  return `${fault} at record ${cell(at)}${by}${said}`;
}
