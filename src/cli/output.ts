import { printable, printableJson, printableLines } from "./printable.ts";

/** A reader that went away (`dormouse entry list | head -1`) is no error: the command ends in silence. */
export function endQuietlyWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
      throw error;
    });
  }
}

export function printLine(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/**
 * A value that was asked for by name. Into a file or a pipe it goes as it is; on a terminal, control characters but line ends
 * are escaped.
 */
export function printValue(value: string): void {
  const shown = process.stdout.isTTY ? printableLines(value) : value;
  process.stdout.write(shown.endsWith("\n") ? shown : `${shown}\n`);
}

/** A remark for the person, out of the way of what a script reads. */
export function printNote(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

export type Warning = { readonly code: string; readonly message: string };

const warnings: Warning[] = [];

/** Something that the person should look at, though the command does what it was asked to. */
export function printWarning(warning: Warning): void {
  warnings.push(warning);
  printNote(`dormouse: warning: ${warning.code}: ${warning.message}.`);
}

/** The one JSON document of a command called with `--json`, with what was warned of until now. */
export function printJson(document: object): void {
  const whole = warnings.length === 0 ? document : { ...document, warnings };
  process.stdout.write(`${printableJson(whole)}\n`);
}

/** Columns under headings, without lines or colours, so that it pastes well. Every cell is one line. */
export async function printTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<void> {
  await printColumns(
    headings,
    rows.map((row) => row.map(printable)),
  );
}

/** Names and values below each other; a value may have several lines. */
export async function printPairs(pairs: readonly (readonly [string, string])[]): Promise<void> {
  await printColumns(
    [],
    pairs.map(([name, value]) => [printable(name), printableLines(value)]),
  );
}

async function printColumns(headings: readonly string[], rows: readonly string[][]): Promise<void> {
  const { default: Table } = await import("cli-table3");
  const style = { head: [], border: [], "padding-left": 0, "padding-right": 2 };
  const table = new Table({ head: [...headings], chars: noLines, style });
  table.push(...rows);
  process.stdout.write(`${trimLineEnds(table.toString())}\n`);
}

function trimLineEnds(text: string): string {
  return text.replace(/[ \t]+$/gm, "");
}

const noLines = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};
