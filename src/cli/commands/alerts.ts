import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { endableEvents } from "../../protocol/admin.ts";
import { AdminClient } from "../admin-client.ts";
import { addAdminOptions, type AdminOptions } from "../config-option.ts";
import { addConnectionOptions, type ConnectionOptions, withSite } from "../connection.ts";
import { cell, type Fields, objectsIn } from "../fields.ts";
import { printJson, printLine, printNote, printTable } from "../output.ts";
import { CommandRefusal } from "../report.ts";

type Options = ConnectionOptions & { readonly json?: boolean };

export function defineAlerts(alerts: Command): void {
  alerts.addHelpText("after", listExamples + testExamples.replace("\nExamples:\n", ""));
  addConnectionOptions(alerts.command("list", { isDefault: true }))
    .description("list alerts, newest first (operator token); the default")
    .addOption(new Option("--limit <number>", "at most so many").default(50).argParser(parseLimit))
    .addHelpText("after", listExamples)
    .action(listAlerts);
  addConnectionOptions(alerts.command("test"))
    .description("send a test alert through every channel and say what came of it (operator token)")
    .addHelpText("after", testExamples)
    .action(testAlerts);
  addAdminOptions(alerts.command("end"))
    .description("say that an incident was dealt with whose end no site can know")
    .addArgument(new Argument("<event>", "the event that opened it").choices(endableEvents))
    .addHelpText("after", endExamples)
    .action(endIncident);
}

const endExamples = `
Examples:
  dormouse alerts end access_forged --config calgary.yaml
`;

const listExamples = `
Examples:
  dormouse alerts --url http://127.0.0.1:8200 --token-file calgary.operator.token
  dormouse alerts list --limit 5 --json
`;

const testExamples = `
Examples:
  dormouse alerts test --url http://127.0.0.1:8200 --token-file calgary.operator.token
`;

function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError("It is a number from 1 to 999.");
  return Number(text);
}

async function listAlerts(options: Options & { readonly limit: number }): Promise<void> {
  await withSite(options, async (site) => {
    const { body } = await site.call({ method: "GET", path: `/api/alerts?limit=${options.limit}` });
    if (options.json === true) return printJson(body);
    const alerts = objectsIn(body, "alerts");
    if (alerts.length === 0) return printNote("There is no alert.");
    const names = ["at", "severity", "event", "message", "ended_at"];
    await printTable(
      ["AT", "SEVERITY", "EVENT", "MESSAGE", "ENDED"],
      alerts.map((alert) => names.map((name) => cell(alert[name]))),
    );
  });
}

async function endIncident(event: string, options: AdminOptions): Promise<void> {
  const admin = await AdminClient.of(options);
  const answer = await admin.call({ command: "alerts", body: { action: "end", event } });
  if (options.json === true) printJson(answer);
  else printLine(`Ended: ${event}. The next one is told again.`);
}

async function testAlerts(options: Options): Promise<void> {
  await withSite(options, async (site) => {
    const { body } = await site.call({ method: "POST", path: "/api/alerts/test" });
    const deliveries = objectsIn(body, "deliveries");
    if (options.json === true) printJson(body);
    else for (const delivery of deliveries) printLine(describeDelivery(delivery));
    if (deliveries.length === 1)
      printNote("There is no channel but the log: see alerts.webhook in the configuration.");
    const failed = deliveries.filter(({ ok }) => ok !== true).map(({ channel }) => cell(channel));
    if (failed.length === 0) return;
    const detail = `the test alert was not taken by ${failed.join(", ")}`;
    throw new CommandRefusal("unreachable", detail, "see what it answered; the site goes on trying");
  });
}

function describeDelivery({ channel, ok, error }: Fields): string {
  return `${cell(channel)}: ${ok === true ? "delivered" : cell(error)}`;
}
