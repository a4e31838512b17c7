/** A table that was printed, as it goes into README. */
export type Table = {
  readonly title: string;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
};

/** Everything that this run has printed. */
export const printed: Table[] = [];

/** Prints rows under a title, columns aligned: numbers to the right, text to the left. Notes follow, a line each. */
export function printTable(
  title: string,
  headings: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  notes: readonly string[] = [],
): void {
  printed.push({ title, headings, rows: rows.map((row) => row.map(String)), notes });
  const lines = [headings, ...rows.map((row) => row.map(String))];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const isText = headings.map((_, column) =>
    rows.some((row) => typeof row[column] === "string" && !isFigure(row[column])),
  );
  const format = (line: readonly string[]): string =>
    line
      .map((cell, column) =>
        isText[column] ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  const [first = [], ...others] = lines;
  console.log(`\n${title}\n`);
  console.log(`  ${format(first)}`);
  console.log(`  ${widths.map((width) => "-".repeat(width)).join("  ")}`);
  for (const line of others) console.log(`  ${format(line)}`);
  for (const note of notes) console.log(`  ${note}`);
}

function isFigure(cell: string | number | undefined): boolean {
  return /^[\d.,<>-]/.test(String(cell));
}

/** A duration, with as many digits as it is worth. */
export function showMs(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 10 ? 3 : ms < 100 ? 1 : 0)} ms`;
}

export function showRatio(ratio: number): string {
  return ratio.toFixed(2);
}

export function showCount(count: number): string {
  return Math.round(count).toLocaleString("en");
}

export function showBytes(bytes: number): string {
  return bytes < 10_000
    ? `${Math.round(bytes)} B`
    : bytes < 1e6
      ? `${(bytes / 1e3).toFixed(1)} kB`
      : `${(bytes / 1e6).toFixed(1)} MB`;
}
