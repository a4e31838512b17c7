import { existsSync, globSync } from "node:fs";
import { mkdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { type InputOptions, type OutputOptions, rolldown } from "rolldown";
import { sourceFolders } from "../src/cli/freshness.ts";
import { moduleUrls } from "./module-urls.ts";
import { nodeModules } from "./node-modules.ts";

const root = resolve(import.meta.dirname, "..");
const nodeMajorMin = 24;

/**
 * Makes `dist/` of the source: `main.js` is the command, `start-pair.js` what `npm start` runs, and each thread has its script. Code
 * that only one command needs is in a file of its own. The old folder is replaced when the new one is whole, so that a build
 * that fails, or two at once, leave a program that runs.
 */
export async function buildProgram(): Promise<void> {
  if (Number.parseInt(process.versions.node, 10) < nodeMajorMin) {
    throw new Error(`Dormouse needs Node ${nodeMajorMin} or newer; this is ${process.versions.node}`);
  }
  const begun = new Date();
  const made = join(root, `.dist-${process.pid}`);
  try {
    await using bundle = await rolldown(inputOptions());
    await bundle.write(outputOptions(made));
    await addOwnFiles(made, begun);
    await replaceFolder(made, join(root, "dist"));
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

function entries(): Readonly<Record<string, string>> {
  const threads = globSync("src/**/*-thread.ts", { cwd: root });
  const scripts = ["src/cli/main.ts", "src/cli/start-pair.ts", "build/source-lines.ts", ...threads];
  const named = Object.fromEntries(scripts.map((path) => [basename(path, ".ts"), join(root, path)]));
  if (Object.keys(named).length < scripts.length) throw new Error("two scripts have one name");
  return named;
}

/** Native code stays where npm has put it. */
const native = ["better-sqlite3"];

/** The community edition may be built of a checkout without the commercial files: it imports them on demand, and never does. */
function missing(): RegExp[] {
  return existsSync(join(root, "src/editions/commercial.ts")) ? [] : [/\/editions\/commercial\.ts$/];
}

function inputOptions(): InputOptions {
  const input = entries();
  return {
    input,
    cwd: root,
    platform: "node",
    external: [...native, ...missing()],
    plugins: [moduleUrls(Object.keys(input)), nodeModules()],
    onLog: (level, log) => {
      if (level !== "warn") return;
      throw new Error(`${log.code ?? "warning"}: ${log.message}`);
    },
  };
}

function outputOptions(folder: string): OutputOptions {
  return {
    dir: folder,
    format: "esm",
    // Side by side: `module-urls.ts` relies on it.
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    // What every command loads, and what every command that calls a site loads besides, is one file each: opening files takes time.
    codeSplitting: {
      groups: [
        { name: "command", test: /\/src\/cli\/(run|freshness)\.ts$/, priority: 2 },
        { name: "client", test: /\/src\/cli\/(connection|entry-output)\.ts$/, priority: 1 },
      ],
    },
    sourcemap: true,
    // Names and lines stay: stack traces show them.
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: false } },
    banner: ({ isEntry, name }) => (isEntry && name !== "source-lines" ? 'import "./source-lines.js";' : ""),
  };
}

/**
 * `cache/`, for compiled code, is the builder's alone: who could write there could change what others run. `node` names the Node that
 * has shown here that it runs, for `bin/dormouse`. `folders` is what a look at the age of the source begins with.
 */
async function addOwnFiles(folder: string, begun: Date): Promise<void> {
  await mkdir(join(folder, "cache"), { mode: 0o700 });
  const inCheckout = relative(root, process.execPath);
  const node = inCheckout.startsWith("..") ? process.execPath : inCheckout;
  await writeFile(join(folder, "node"), `${node}\n`);
  const stamp = join(folder, "folders");
  await writeFile(stamp, `${sourceFolders().join("\n")}\n`);
  await utimes(stamp, begun, begun);
}

async function replaceFolder(made: string, folder: string): Promise<void> {
  const old = `${made}-old`;
  await rename(folder, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(made, folder);
  await rm(old, { recursive: true, force: true });
}
