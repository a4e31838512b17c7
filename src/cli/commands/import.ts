import { createReadStream } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Mistake, Refusal } from "../../core/errors.ts";
import { addConnectionOptions, type ConnectionOptions, withSite } from "../connection.ts";
import { unreadable } from "../file-input.ts";
import { type GroupLimit, groupLines, type ImportGroup, LineRefusal } from "../import-lines.ts";
import { printJson, printLine } from "../output.ts";
import { CommandRefusal, remedyOf, usageRefusal } from "../report.ts";
import { type SiteClient, UnreachableRefusal } from "../site-client.ts";

type Options = ConnectionOptions & {
  readonly json?: boolean;
  readonly vault: string;
  readonly fromLine: number;
};

/** Under the 16 MiB that a site takes in one call. */
const groupLimit: GroupLimit = { bytes: 16 * 1024 * 1024 - 4096, entries: 10_000 };

export function defineImport(command: Command): void {
  addConnectionOptions(command)
    .argument("<file>", "one entry as JSON on each line; - for stdin")
    .requiredOption("--vault <vault_id>", "the vault's id")
    .addOption(new Option("--from-line <number>", "skip the lines before it").default(1).argParser(parseLine))
    .addHelpText("after", examples)
    .action(importFile);
}

const examples = `
Lines go in large groups, each all or nothing. Where a line is refused, the import stops before its group and says from which
line it goes on once the mistake is corrected.

Examples:
  dormouse import entries.jsonl --vault 0199… --token-file team.token
  dormouse import - --vault 0199… --token-file team.token < entries.jsonl
  dormouse import entries.jsonl --vault 0199… --from-line 10001
`;

function parseLine(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("It is the number of a line, from 1.");
  return Number(text);
}

type Progress = { entries: number; kept: number; calls: number };

async function importFile(file: string, options: Options): Promise<void> {
  const progress: Progress = { entries: 0, kept: 0, calls: 0 };
  await withSite(options, async (site) => {
    try {
      for await (const group of groupLines(readChunks(file), groupLimit, options.fromLine)) {
        showProgress(progress, group);
        progress.kept += await sendGroup(site, options.vault, group);
        progress.entries += group.lineNumbers.length;
        progress.calls += 1;
      }
    } catch (error) {
      endProgress();
      throw stopped(error, progress, options);
    }
  });
  endProgress();
  if (progress.entries === 0)
    throw usageRefusal("there is no entry to import", "each line is one entry as JSON");
  if (options.json === true) printJson(countsOf(progress));
  else printLine(sentence(progress));
}

function countsOf({ entries, kept, calls }: Progress) {
  return { imported: entries - kept, kept, calls };
}

function sentence({ entries, kept }: Progress): string {
  const count = entries - kept;
  const rest = kept === 0 ? "" : `; ${kept} were there already`;
  return `Imported ${count} ${count === 1 ? "entry" : "entries"}${rest}.`;
}

async function* readChunks(file: string): AsyncGenerator<Uint8Array> {
  const stream = file === "-" ? process.stdin : createReadStream(file);
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** A call that went wrong, with its lines. */
class GroupRefusal extends CommandRefusal {
  readonly firstLine: number;
  readonly lastLine: number;
  /** The site may have committed the group and its answer may have been lost. */
  readonly isUnsure: boolean;

  constructor(refusal: Refusal, group: ImportGroup) {
    const mistakes = refusal.mistakes.map((mistake) => atLine(mistake, group));
    super(refusal.code, refusal.message, remedyOf(refusal), mistakes);
    this.firstLine = group.lineNumbers[0] ?? 0;
    this.lastLine = group.lineNumbers.at(-1) ?? 0;
    this.isUnsure = refusal instanceof UnreachableRefusal && refusal.mayHaveArrived;
  }
}

/** Returns how many entries were there already, with the same id and content. */
async function sendGroup(site: SiteClient, vaultId: string, group: ImportGroup): Promise<number> {
  const path = `/api/vaults/${encodeURIComponent(vaultId)}/entries/import`;
  try {
    const { body } = await site.call({ method: "POST", path, body: group.text });
    return typeof body.kept === "number" ? body.kept : 0;
  } catch (error) {
    throw error instanceof Refusal ? new GroupRefusal(error, group) : error;
  }
}

/** `entries[3].title`, as the place in the file. */
function atLine({ path, message }: Mistake, group: ImportGroup): Mistake {
  const inFile = (text: string): string =>
    text.replace(/\bentries\[(\d+)\]/g, (place, index) => {
      const line = group.lineNumbers[Number(index)];
      return line === undefined ? place : `line ${line}`;
    });
  return { path: inFile(path), message: inFile(message) };
}

/** The refusal that tells how far the import came and how it goes on. With `--json` stdout has the numbers too. */
function stopped(error: unknown, progress: Progress, options: Options): unknown {
  if (!(error instanceof LineRefusal || error instanceof GroupRefusal)) return error;
  const next = error instanceof LineRefusal ? error.groupStart : error.firstLine;
  const counts = countsOf(progress);
  if (options.json === true) printJson({ ...counts, next_line: next });
  const detail = `${error.message.replace(/\.$/, "")}; ${counts.imported} entries imported`;
  return new CommandRefusal(error.code, detail, howToGoOn(error, next), error.mistakes);
}

function howToGoOn(error: LineRefusal | GroupRefusal, next: number): string {
  const go = `go on with --from-line ${next}`;
  if (error instanceof LineRefusal || error.mistakes.length > 0) return `correct it and ${go}`;
  if (!error.isUnsure) return `${error.remedy.replace(/\.$/, "")}, then ${go}`;
  return `lines ${next} to ${error.lastLine} may have arrived: look before you ${go}`;
}

function showProgress({ entries }: Progress, { lineNumbers }: ImportGroup): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(`\r${entries} imported, sending lines ${lineNumbers[0]} to ${lineNumbers.at(-1)} …`);
}

function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
}
