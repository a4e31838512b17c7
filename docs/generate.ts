import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { exitStatusOf } from "../src/cli/exit-status.ts";
import { type ErrorCode, errorCodes } from "../src/core/errors.ts";
import { type WorkerEvent, type WorkerState, workerTransitions } from "../src/core/worker-state.ts";
import { problemStatus } from "../src/http/problem-status.ts";
import { type RouteSpec, routeTable } from "../src/http/route-table.ts";

/**
 * The pages, and parts of pages, that are made from the code (`npm run docs`), so that the two cannot say different things.
 * test/repository.test.ts compares them.
 */

const root = resolve(import.meta.dirname, "..");

export type GeneratedPage = { readonly path: string; readonly text: string };

/** What each generated page should hold now. */
export function generatedPages(): readonly GeneratedPage[] {
  return [
    { path: "docs/ERRORS.md", text: errorsPage() },
    { path: "docs/ARCHITECTURE.md", text: withPart("docs/ARCHITECTURE.md", "worker-states", workerTable()) },
    { path: "docs/API.md", text: withPart("docs/API.md", "calls", callsTable()) },
  ];
}

function errorsPage(): string {
  const codes = Object.entries(errorCodes) as [ErrorCode, (typeof errorCodes)[ErrorCode]][];
  const rows = codes.map(([code, { meaning, remedy, retry }]) => [
    `\`${code}\``,
    meaning,
    remedy,
    retry ? "yes" : "no",
    String(problemStatus[code]),
    String(exitStatusOf(code)),
  ]);
  return `# Errors

<!-- Made from src/core/errors.ts by \`npm run docs\`; changes here are lost. -->

Every refusal has a code that stays the same from release to release. Over HTTP it stands in \`code\` of the
\`application/problem+json\` answer (RFC 9457), together with the request id; the command prints it on stderr. A refusal has
changed nothing. "Again" says whether the same request can go through later; "HTTP" is the answer's status; "exit" is the command's exit status.

${table(["code", "meaning", "what to do", "again", "HTTP", "exit"], rows)}

## Exit statuses of the command

| exit | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | called wrongly |
| 3 | refused by the configuration or the data folder |
| 4 | the site cannot be reached |
| 5 | the token is not valid, or not for this |
| 6 | there is no such thing |
| 7 | it conflicts with what is there |
| 8 | this site takes no writes |

\`dormouse check\` has statuses of its own, those of Nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
`;
}

/** One row for each state, one column for each event that moves any state but by ending it. */
function workerTable(): string {
  const states = Object.keys(workerTransitions) as WorkerState[];
  const events = Object.keys(workerTransitions.asleep) as WorkerEvent[];
  const rows = states.map((state) => [
    `\`${state}\``,
    ...events.map((event) => {
      const next = workerTransitions[state][event];
      return next === null ? "" : `\`${next}\``;
    }),
  ]);
  return table(["state", ...events.map((event) => `\`${event}\``)], rows);
}

function callsTable(): string {
  const routes: readonly RouteSpec[] = Object.values(routeTable);
  const rows = routes.map(({ method, path, caller, isClientWrite }) => [
    `\`${method} ${path.replaceAll(/:(\w+)/g, (_, name: string) => `{${snakeCase(name)}}`)}\``,
    caller,
    isClientWrite ? "yes" : "",
  ]);
  return table(["call", "who", "write"], rows);
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The page at `path` with what stands between its markers of this name replaced. */
function withPart(path: string, name: string, part: string): string {
  const text = readFileSync(join(root, path), "utf8");
  const [begin, end] = [`<!-- ${name}: made by \`npm run docs\` -->`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`${path} lacks the markers of ${name}`);
  return `${text.slice(0, from + begin.length)}\n\n${part}\n\n${text.slice(to)}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const page of generatedPages()) writeFileSync(join(root, page.path), page.text);
}
