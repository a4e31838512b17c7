import { type Command, InvalidArgumentError, Option } from "commander";
import { readSiteConfig } from "../../app/site-config.ts";
import { gatherFacts } from "../check/facts.ts";
import { levels } from "../check/levels.ts";
import { judge, type Verdict, verdictLine } from "../check/verdict.ts";
import { addAdminOptions, type AdminOptions, configPathOf } from "../config-option.ts";
import { printJson, printLine } from "../output.ts";
import { CommandExit } from "../report.ts";

type Options = AdminOptions & {
  readonly proofMaxAge: number;
  readonly certificateDays: number;
  readonly clockMax: number;
  readonly timeout: number;
};

const dayMs = 86_400_000;

export function defineCheck(check: Command): void {
  addAdminOptions(check)
    .addOption(
      new Option("--proof-max-age <duration>", "tell of a proof of equality older than this: 90m, 24h, 7d")
        .default(dayMs, "24h")
        .argParser(parseDuration),
    )
    .addOption(numberOption("--certificate-days <days>", "tell of a certificate that ends sooner", 21))
    .addOption(numberOption("--clock-max <seconds>", "tell of a peer's clock that differs by more", 5))
    .addOption(numberOption("--timeout <seconds>", "how long the site may take to answer", 10))
    .addHelpText("after", examples)
    .action(checkSite);
}

const examples = `
Runs on the site's machine. One line, with performance data behind the bar. A primary whose proof is older than half of
--proof-max-age is asked for a new one: one push to each backup.
Exit status, as Nagios has it and other than with all other commands: 0 OK, 1 WARNING, 2 CRITICAL (also where the site does
not run), 3 UNKNOWN (also for wrong usage and a wrong configuration).

Examples:
  dormouse check --config /etc/dormouse/site.yaml
  dormouse check --config /etc/dormouse/site.yaml --proof-max-age 7d --certificate-days 30
`;

function numberOption(flags: string, description: string, usual: number): Option {
  return new Option(flags, description).default(usual).argParser((text) => {
    if (!/^\d{1,6}(\.\d{1,3})?$/.test(text) || Number(text) === 0)
      throw new InvalidArgumentError("It is a number above 0.");
    return Number(text);
  });
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: dayMs };

function parseDuration(text: string): number {
  const [, digits, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const ms = Number(digits) * (unitMs[unit] ?? Number.NaN);
  if (!(ms > 0)) throw new InvalidArgumentError("It is a number and a unit, such as 90m, 24h or 7d.");
  return ms;
}

async function checkSite(options: Options): Promise<void> {
  const config = await readSiteConfig(configPathOf(options));
  const proofAgeMsMax = options.proofMaxAge;
  const facts = await gatherFacts(config, { timeoutMs: options.timeout * 1_000, proofAgeMsMax });
  const limits = {
    proofAgeMsMax,
    certificateMsMin: options.certificateDays * dayMs,
    clockMsMax: options.clockMax * 1_000,
  };
  const verdict = judge(facts, limits);
  if (options.json === true) printJson(asJson(config.site, verdict));
  else printLine(verdictLine(config.site, verdict));
  throw new CommandExit(levels.indexOf(verdict.level));
}

function asJson(site: string, { level, findings, measures }: Verdict) {
  return { site, status: level, exit: levels.indexOf(level), findings, measures };
}
