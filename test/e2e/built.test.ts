import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dormouse-built-"));
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true, preserveTimestamps: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

function run(...args: readonly string[]) {
  return spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
}

describe("the built program", () => {
  it("says where it is older than its source, and runs all the same", () => {
    const stamp = statSync(join(folder, "dist/folders")).mtimeMs / 1000;
    const file = join(folder, "src/cli/main.ts");
    for (const name of ["src/cli", "build"]) mkdirSync(join(folder, name), { recursive: true });
    for (const [ageSeconds, isOld] of [
      [-60, false],
      [60, true],
    ] as const) {
      writeFileSync(file, "");
      utimesSync(file, stamp + ageSeconds, stamp + ageSeconds);
      const { status, stdout, stderr } = run("dist/main.js", "--version");
      expect([status, stdout]).toEqual([0, "0.1.0\n"]);
      expect(stderr.includes("older than its source")).toBe(isOld);
    }
  });

  it("says nothing of its age where no source is beside it", () => {
    expect(run("dist/main.js", "--version").stderr).toBe("");
  });

  it("names lines of the source in stack traces", () => {
    // Outside of a thread it is given no database.
    const { stderr } = run(join(root, "dist/checkpoint-thread.js"));
    expect(stderr).toMatch(/at .*\/src\/store\/sqlite\/checkpoint-thread\.ts:\d+:\d+/);
  });
});
