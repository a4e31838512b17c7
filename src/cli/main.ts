import { CommanderError } from "commander";
import { exitStatus } from "./exit-status.ts";
import { endQuietlyWithReader } from "./output.ts";
import { buildProgram } from "./program.ts";
import { reportOf, usageRefusal } from "./report.ts";

/** Runs the command line and gives its exit status; what went wrong is said on stderr in one line, and one for each mistake. */
async function run(args: readonly string[]): Promise<number> {
  try {
    await buildProgram().parseAsync(args, { from: "user" });
    return exitStatus.done;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitStatus.done;
    // A group of commands called without one: its help was printed, which says more than an error could.
    if (error instanceof CommanderError && error.code === "commander.help") return exitStatus.usage;
    const report = reportOf(error instanceof CommanderError ? asUsage(error, args) : error);
    for (const line of report.lines) process.stderr.write(`${line}\n`);
    return report.status;
  }
}

function asUsage(error: CommanderError, args: readonly string[]) {
  const words = args.slice(0, args.findIndex((word) => word.startsWith("-")) >>> 0).filter(isCommandName);
  const [what = "", ...suggestion] = error.message.replace(/^error: /, "").split("\n");
  const remedy = [...suggestion, `see ${["dormouse", ...words, "--help"].join(" ")}`].join(" ");
  return usageRefusal(what, remedy);
}

/** Whether a word may be repeated as the name of a command: at most two lower-case words are. */
function isCommandName(word: string, index: number): boolean {
  return index < 2 && /^[a-z]{1,10}$/.test(word);
}

endQuietlyWithReader();
process.exitCode = await run(process.argv.slice(2));
