import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, type Table } from "./table.ts";

const readmePath = join(import.meta.dirname, "../../README.md");
const begin = "<!-- figures: from `npm run bench` -->";
const end = "<!-- /figures -->";
/** Titles of the tables that everybody sees; the others unfold. */
const first = /^(What a pair weighs|The event loop|A day with 10|Asleep)/;

/**
 * Replaces the figures of README by the tables that this run has printed, all of them.
 * @param machine where and when they were measured
 */
export function writeReadme(machine: string): void {
  const text = readFileSync(readmePath, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error("README.md has no place for figures");
  const shown = printed.filter(({ title }) => first.test(title));
  const folded = printed.filter((table) => !shown.includes(table));
  const parts = [
    begin,
    machine,
    ...shown.map(markdownOf),
    "<details>\n<summary>Everything else that <code>npm run bench</code> prints</summary>",
    ...folded.map(markdownOf),
    "</details>\n",
  ];
  writeFileSync(readmePath, text.slice(0, from) + parts.join("\n\n") + text.slice(to));
}

function markdownOf({ title, headings, rows, notes }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const dashes = headings.map((_, column) => (column === 0 ? "---" : "---:"));
  const table = [line(headings), line(dashes), ...rows.map(line)].join("\n");
  const listed = notes.map((note) => `- ${note}`).join("\n");
  return [`**${title}**`, table, ...(listed === "" ? [] : [listed])].join("\n\n");
}
