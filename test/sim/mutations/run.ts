import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { type Mutation, mutations, occurrences } from "./table.ts";

const usage = `Plants one bug after another in a copy of the program, and shows what finds it: a seed of the simulator, or the
test that the table names where no seed can.

  npm run test:mutations                     all of them
  npm run test:mutations -- --promise I7     those of one promise
  npm run test:mutations -- --bug flush      those whose description says so
  npm run test:mutations -- --seeds 2000     looks at so many seeds before a bug counts as not caught
`;

const { values } = parseArgs({
  options: {
    promise: { type: "string" },
    bug: { type: "string", default: "" },
    seeds: { type: "string", default: "3000" },
    from: { type: "string", default: "1" },
    jobs: { type: "string", default: String(Math.min(2, availableParallelism())) },
    help: { type: "boolean", default: false },
  },
});

const root = resolve(import.meta.dirname, "../../..");
const copied = ["src", "build", "test", "docs", "package.json", "tsconfig.json", "vitest.config.ts"];

/** No bug makes the seeds so slow: one of them goes round in circles. */
const endlessMs = 600_000;

type Verdict = { readonly mutation: Mutation; readonly caughtBy: string | null; readonly seconds: number };
type Ended = { readonly status: number | null; readonly output: string };

/** A copy of the program with one bug in it; the work tree is never touched. */
function plant({ file, find, replace }: Mutation): string {
  const folder = mkdtempSync(join(tmpdir(), "dormouse-mutation-"));
  for (const name of copied) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const path = join(folder, file);
  const mutated = readFileSync(path, "utf8").replace(find, () => replace);
  writeFileSync(path, mutated);
  return folder;
}

function run(folder: string, args: readonly string[]): Promise<Ended> {
  const process_ = spawn(process.execPath, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: endlessMs,
    killSignal: "SIGKILL",
  });
  let output = "";
  process_.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  process_.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((ended) => process_.on("close", (status) => ended({ status, output })));
}

async function judge(mutation: Mutation): Promise<Verdict> {
  const begunMs = performance.now();
  const folder = plant(mutation);
  try {
    const caughtBy = mutation.test ? await byTest(folder, mutation.test) : await bySeeds(folder);
    return { mutation, caughtBy, seconds: Math.round((performance.now() - begunMs) / 1000) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function bySeeds(folder: string): Promise<string | null> {
  const limits = ["--first", "--seeds", values.seeds, "--from", values.from];
  const { status, output } = await run(folder, ["test/sim/run.ts", ...limits]);
  if (status === 0) return null;
  if (status === null) return "a seed that does not end";
  const [, seed, what] = /^seed (\d+): (.*)$/m.exec(output) ?? [];
  // A program that does not run at all shows nothing of the bug.
  if (seed === undefined) return null;
  return `seed ${seed}, after ${Number(seed) - Number(values.from) + 1}: ${what}`;
}

/** What no seed can show is shown by a test that the table names. */
async function byTest(
  folder: string,
  { file, title }: NonNullable<Mutation["test"]>,
): Promise<string | null> {
  const { status } = await run(folder, ["node_modules/vitest/vitest.mjs", "run", file, "-t", title]);
  return status === 0 ? null : `${file}: "${title}"`;
}

function print(verdicts: readonly Verdict[]): void {
  const table = new Table({
    head: ["promise", "the bug", "caught by"],
    colWidths: [9, 60, 70],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { mutation, caughtBy } of verdicts)
    table.push([mutation.promise, mutation.bug, caughtBy ?? "NOT CAUGHT"]);
  const missed = verdicts.filter(({ caughtBy }) => caughtBy === null).length;
  process.stdout.write(`${table.toString()}\n${verdicts.length} bugs, ${missed} not caught\n`);
}

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(usage);
  const chosen = mutations.filter(
    ({ promise, bug }) => (!values.promise || promise === values.promise) && bug.includes(values.bug),
  );
  const stale = chosen.filter((row) => occurrences(row, readFileSync(join(root, row.file), "utf8")) !== 1);
  for (const { bug, file, find } of stale)
    process.stderr.write(`"${bug}": ${file} does not hold exactly once: ${find}\n`);
  if (stale.length > 0) throw new Error(`${stale.length} rows of the table are of a program that is no more`);
  const verdicts: Verdict[] = [];
  const waiting = chosen.entries();
  const work = async () => {
    for (const [at, mutation] of waiting) {
      verdicts[at] = await judge(mutation);
      const { caughtBy, seconds } = verdicts[at];
      process.stderr.write(
        `${mutation.promise} ${mutation.bug}: ${caughtBy ?? "NOT CAUGHT"} (${seconds} s)\n`,
      );
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  print(verdicts);
  if (verdicts.some(({ caughtBy }) => caughtBy === null)) process.exitCode = 1;
}

await main();
