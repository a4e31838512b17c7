import { type Command, CommanderError } from "commander";
import { levels } from "./check/levels.ts";
import { exitStatus } from "./exit-status.ts";
import { buildProgram } from "./program.ts";
import { reportOf, usageRefusal } from "./report.ts";

/** Runs the command line and gives its exit status; what went wrong is said on stderr in one line, and one for each mistake. */
export async function run(args: readonly string[]): Promise<number> {
  const program = await buildProgram(args);
  try {
    await program.parseAsync(args, { from: "user" });
    return exitStatus.done;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitStatus.done;
    // A group of commands called without one: its help was printed, which says more than an error could.
    if (error instanceof CommanderError && error.code === "commander.help") return exitStatus.usage;
    const command = commandNamed(program, args);
    const report = reportOf(error instanceof CommanderError ? asUsage(error, command) : error);
    if (command.name() === "check" && report.lines.length > 0) return sayUnknown(report.lines);
    for (const line of report.lines) process.stderr.write(`${line}\n`);
    return report.status;
  }
}

/** Nagios reads one line of stdout, and takes the status of wrong usage for an alarm. */
function sayUnknown(lines: readonly string[]): number {
  const text = lines.map((line) => line.replace(/^dormouse: /, "").trim()).join("; ");
  process.stdout.write(`DORMOUSE UNKNOWN: ${text.replaceAll("|", "/")}\n`);
  return levels.indexOf("UNKNOWN");
}

function asUsage(error: CommanderError, command: Command) {
  return usageRefusal(withoutValues(error), `see ${commandPath(command)} --help`);
}

/** What commander says, on one line, without the values it repeats: a secret given in the wrong place stays unseen. */
function withoutValues({ code, message }: CommanderError): string {
  // A suggestion stands on a line of its own.
  const text = message.replace(/^error: /, "").replaceAll("\n", " ");
  switch (code) {
    case "commander.excessArguments":
      return text.replace(/(but got \d+).*$/, "$1");
    case "commander.unknownOption":
      return text.replace(/=.*'/, "=…'");
    case "commander.invalidArgument":
      return text.replace(/ argument '.*' is invalid/, " has an argument that is invalid");
    default:
      return text;
  }
}

/** As much of the arguments as names commands: `dormouse vault create`. */
function commandNamed(program: Command, args: readonly string[]): Command {
  let command = program;
  for (const word of args) {
    const next = command.commands.find((candidate) => candidate.name() === word);
    if (next === undefined) break;
    command = next;
  }
  return command;
}

function commandPath(command: Command): string {
  return command.parent === null ? command.name() : `${commandPath(command.parent)} ${command.name()}`;
}
