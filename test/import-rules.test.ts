import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");

type Violation = { readonly rule: string; readonly from: string };

/** The cruiser's arguments in `npm run imports`. */
function importsScript(): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: { imports: string };
  };
  return scripts.imports.split(" ").slice(1);
}

function runCruiser(folder: string, args: readonly string[]) {
  const cruiser = join(root, "node_modules/.bin/depcruise");
  const options = { cwd: folder, encoding: "utf8", maxBuffer: 256 * 1024 * 1024 } as const;
  return spawnSync(process.execPath, [cruiser, ...args], options);
}

function violationsIn(folder: string): readonly Violation[] {
  const result = runCruiser(folder, [...importsScript(), "--output-type", "json"]);
  const report = JSON.parse(result.stdout) as {
    summary: { violations: { rule: { name: string }; from: string }[] };
  };
  return report.summary.violations.map(({ rule, from }) => ({ rule: rule.name, from }));
}

/** A file that breaks one rule, and the rule it breaks. */
const forbidden: readonly { readonly rule: string; readonly file: string; readonly text: string }[] = [
  { rule: "core-sees", file: "src/core/a.ts", text: `import "../ops/ok.ts";` },
  { rule: "core-imports-nothing", file: "src/core/b.ts", text: `import "node:crypto";` },
  { rule: "core-imports-nothing", file: "src/core/c.ts", text: `import { z } from "zod"; z;` },
  { rule: "protocol-sees", file: "src/protocol/a.ts", text: `import "../crypto/ok.ts";` },
  { rule: "crypto-sees", file: "src/crypto/a.ts", text: `import "../protocol/ok.ts";` },
  { rule: "store-sees", file: "src/store/a.ts", text: `import "../http/ok.ts";` },
  { rule: "ops-sees", file: "src/ops/a.ts", text: `import "../store/ok.ts";` },
  { rule: "replication-sees", file: "src/replication/a.ts", text: `import "../store/ok.ts";` },
  {
    rule: "replication-sees",
    file: "src/replication/b.ts",
    text: `import type { Ok } from "../http/ok.ts"; export type A = Ok;`,
  },
  { rule: "http-sees", file: "src/http/a.ts", text: `import "../editions/ok.ts";` },
  { rule: "editions-sees", file: "src/editions/a.ts", text: `import "../http/ok.ts";` },
  { rule: "app-sees", file: "src/app/a.ts", text: `import "../cli/ok.ts";` },
  { rule: "cli-sees", file: "src/cli/a.ts", text: `import "../store/ok.ts";` },
  { rule: "web-sees", file: "src/web/a.ts", text: `import "../app/ok.ts";` },
  {
    rule: "replication-only-through-commercial",
    file: "src/app/b.ts",
    text: `import "../replication/ok.ts";`,
  },
  {
    rule: "replication-only-through-commercial",
    file: "src/editions/b.ts",
    text: `await import("../replication/ok.ts");`,
  },
  { rule: "commercial-only-on-demand", file: "src/app/c.ts", text: `import "../editions/commercial.ts";` },
  { rule: "sql-only-in-the-store", file: "src/app/d.ts", text: `import d from "better-sqlite3"; d;` },
  { rule: "sql-only-in-the-store", file: "src/app/e.ts", text: `import "node:sqlite";` },
  {
    rule: "fastify-only-in-http",
    file: "src/replication/c.ts",
    text: `import { fastify } from "fastify"; fastify;`,
  },
  {
    rule: "terminal-only-in-the-command",
    file: "src/app/f.ts",
    text: `import { Command } from "commander"; Command;`,
  },
  { rule: "no-circles", file: "src/ops/b.ts", text: `import { c } from "./c.ts"; export const b = () => c;` },
  { rule: "no-tests-in-production", file: "src/ops/d.ts", text: `import "../../test/ok.ts";` },
  { rule: "no-dev-packages-in-production", file: "src/ops/e.ts", text: `import fc from "fast-check"; fc;` },
  { rule: "no-unknown-imports", file: "src/ops/f.ts", text: `import "./nowhere.ts";` },
];

const allowed: readonly { readonly file: string; readonly text: string }[] = [
  { file: "src/editions/commercial.ts", text: `import "../replication/ok.ts";` },
  { file: "src/app/on-demand.ts", text: `await import("../editions/commercial.ts");` },
  { file: "src/core/ok.test.ts", text: `import "node:crypto"; import "../ops/ok.ts";` },
  { file: "src/ops/c.ts", text: `import { b } from "./b.ts"; export const c = () => b;` },
];

let folder: string;
let violations: readonly Violation[];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dormouse-imports-"));
  for (const name of [".dependency-cruiser.mjs", "tsconfig.json", "package.json"])
    cpSync(join(root, name), join(folder, name));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const parts = [
    "core",
    "protocol",
    "crypto",
    "store",
    "ops",
    "replication",
    "http",
    "editions",
    "app",
    "cli",
    "web",
  ];
  const plain = [
    ...parts.map((part) => `src/${part}/ok.ts`),
    "test/ok.ts",
    "bench/ok.ts",
    "docs/ok.ts",
    "build/ok.ts",
  ];
  const files = [...plain.map((file) => ({ file, text: "export type Ok = 1;" })), ...allowed, ...forbidden];
  for (const { file, text } of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${text}\n`);
  }
  violations = violationsIn(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the import rules", () => {
  it.each(forbidden)("$rule refuses $file: $text", ({ rule, file }) => {
    expect(violations).toContainEqual({ rule, from: file });
  });

  it("a forbidden import fails the build", () => {
    expect(runCruiser(folder, importsScript()).status).not.toBe(0);
  });

  it("have each a planted file that breaks them", async () => {
    const config = (await import(join(root, ".dependency-cruiser.mjs"))) as {
      default: { forbidden: { name: string; comment: string }[] };
    };
    const names = config.default.forbidden.map((rule) => rule.name);
    expect([...new Set(forbidden.map(({ rule }) => rule))].sort()).toEqual(names.sort());
    expect(config.default.forbidden.filter((rule) => rule.comment.length < 20)).toEqual([]);
  });

  it("leave alone what the map of imports allows", () => {
    const files = ["src/editions/commercial.ts", "src/app/on-demand.ts", "src/core/ok.test.ts"];
    expect(violations.filter(({ from }) => files.includes(from))).toEqual([]);
  });
});

describe("this repository", () => {
  it("keeps the import rules", () => {
    expect(violationsIn(root)).toEqual([]);
  });
});
