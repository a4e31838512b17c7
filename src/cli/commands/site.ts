import { type Command, Option } from "commander";
import type { Finding } from "../../app/doctor.ts";
import { addConfigOption, type ConfigOptions, configPathOf } from "../config-option.ts";
import { printJson, printLine, printNote } from "../output.ts";
import { CommandRefusal } from "../report.ts";

/** The commands that act on a site's own files. What they need is loaded when they run. */
export function defineInit(init: Command): void {
  addConfigOption(init)
    .addOption(
      new Option("--role <role>", "what the site starts as")
        .choices(["primary", "backup"])
        .default("primary"),
    )
    .option("--json", "print one JSON document: { site, role, operator_token }")
    .addHelpText("after", initExamples)
    .action(initSite);
}

export function defineServe(serve: Command): void {
  addConfigOption(serve)
    .addOption(
      new Option("--log <form>", "form of the log").choices(["auto", "json", "pretty"]).default("auto"),
    )
    .addHelpText("after", "\nExamples:\n  dormouse serve --config calgary.yaml\n")
    .action(serveSite);
}

export function defineDoctor(doctor: Command): void {
  addConfigOption(doctor)
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExamples:\n  dormouse doctor --config calgary.yaml\n")
    .action(examineSite);
}

const initExamples = `
Examples:
  dormouse init --config calgary.yaml
  dormouse init --config zurich.yaml --role backup --json
`;

async function initSite(
  options: ConfigOptions & { readonly role: "primary" | "backup"; readonly json?: boolean },
): Promise<void> {
  const configPath = configPathOf(options);
  const { init } = await import("../../app/init.ts");
  const made = await init({ configPath, role: options.role });
  if (options.json === true) {
    printJson({ site: made.site, role: made.role, operator_token: made.operatorToken });
  } else {
    printLine(`site            ${made.site}`);
    printLine(`role            ${made.role}`);
    printLine(`operator token  ${made.operatorToken}`);
    printNote("Keep the operator token: it is shown this once.");
    const [, ...tokenFiles] = made.createdFiles;
    for (const path of tokenFiles) printNote(`Copy ${path} to the peer, mode 0600: it is the pair's secret.`);
  }
}

async function serveSite(
  options: ConfigOptions & { readonly log: "auto" | "json" | "pretty" },
): Promise<void> {
  const configPath = configPathOf(options);
  stopWithLauncher();
  const { serve } = await import("../../app/serve.ts");
  await serve({ configPath, log: options.log });
}

/**
 * Started with a channel to its launcher, a site stops when that channel closes: whatever ended the launcher, no site is left
 * behind. The channel costs nothing while nobody sends, and does not keep the process alive.
 */
function stopWithLauncher(): void {
  if (process.channel === undefined) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}

async function examineSite(options: ConfigOptions & { readonly json?: boolean }): Promise<void> {
  const configPath = configPathOf(options);
  const { examine } = await import("../../app/doctor.ts");
  const findings = await examine({ configPath });
  const bad = findings.filter(({ ok }) => !ok);
  if (options.json === true) printJson({ ok: bad.length === 0, findings });
  else for (const finding of findings) printFinding(finding);
  if (bad.length === 0) return;
  const count = bad.length === 1 ? "one thing is" : `${bad.length} things are`;
  throw new CommandRefusal("config_invalid", `${count} wrong with this site`, "see the findings");
}

function printFinding({ check, ok, detail, remedy }: Finding): void {
  printLine(`${ok ? "ok " : "BAD"}  ${check}: ${detail}`);
  if (remedy !== null) printLine(`     ${remedy}`);
}
