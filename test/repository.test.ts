import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { generatedPages } from "../docs/generate.ts";
import { alertEvents } from "../src/core/alert-events.ts";
import { errorCodes } from "../src/core/errors.ts";

const root = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** What is in the repository, or would be with the next `git add`. */
const files = execFileSync(
  "git",
  ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
  {
    cwd: root,
  },
)
  .toString()
  .split("\0")
  .filter((path) => path !== "" && existsSync(join(root, path)));

const source = files.filter((path) => /\.(ts|mjs|sh)$|^bin\/|^\.ci\//.test(path));
const pages = files.filter((path) => path.endsWith(".md"));
// This file spells out what it looks for.
const written = files.filter((path) => !path.startsWith("LICENSES/") && path !== "test/repository.test.ts");

/** `path:line` of every line that matches, in the files given. */
function linesThatMatch(paths: readonly string[], pattern: RegExp): readonly string[] {
  return paths.flatMap((path) =>
    read(path)
      .split("\n")
      .flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${line.trim().slice(0, 100)}`] : [])),
  );
}

describe("the source", () => {
  it("leaves nothing for later", () => {
    const others = source.filter((path) => written.includes(path));
    expect(linesThatMatch(others, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  it("runs every test: none alone, none left out, none but where the machine lacks what it needs", () => {
    const tests = source.filter((path) => path.endsWith(".test.ts"));
    expect(linesThatMatch(tests, /\b(it|test|describe)(\.\w+)*\.(only|skip|todo|fails)\b/)).toEqual([]);
  });

  it("silences the compiler and the linter only with a reason", () => {
    expect(linesThatMatch(source, /@ts-(ignore|nocheck)|@ts-expect-error\s*$/)).toEqual([]);
    expect(linesThatMatch(source, /(oxlint|eslint)-disable(?!.* -- \S)|biome-ignore(?!.*: \S)/)).toEqual([]);
  });

  it("has no file of 600 lines or more", () => {
    const long = source.filter((path) => read(path).split("\n").length > 600);
    expect(long).toEqual([]);
  });

  it("has tests beside what they test, and every test file is found by its suffix", () => {
    const strays = files.filter((path) => /(\.spec\.|__tests__)/.test(path));
    expect(strays).toEqual([]);
  });
});

describe("the repository", () => {
  it("names no folder of one machine", () => {
    expect(linesThatMatch(written, /(?<![\w.~-])\/(work|root|Users|home\/[a-z]+)\//)).toEqual([]);
  });

  it("names no package registry or mirror: any may serve the install", () => {
    const hosts = /registry\.[a-z]+|npmjs\.org|npmmirror|verdaccio|artifactory/i;
    expect(linesThatMatch(written, hosts)).toEqual([]);
    expect(read("package-lock.json")).not.toContain('"resolved": "http');
  });

  it("holds neither data nor secrets", () => {
    expect(files.filter((path) => /\.(db|db-wal|db-shm|token|pem|key|lock)$/.test(path))).toEqual([]);
  });
});

type Manifest = Readonly<Record<string, unknown>> & { readonly scripts: Readonly<Record<string, string>> };
type Lock = {
  readonly packages: Readonly<
    Record<
      string,
      { readonly license?: string; readonly hasInstallScript?: boolean; readonly integrity?: string }
    >
  >;
};

describe("the packages", () => {
  const manifest = JSON.parse(read("package.json")) as Manifest;
  const lock = JSON.parse(read("package-lock.json")) as Lock;
  const packages = Object.entries(lock.packages).filter(([path]) => path !== "");

  it("are named with exact versions", () => {
    const kinds = ["dependencies", "devDependencies", "optionalDependencies"];
    const named = kinds.flatMap((kind) => Object.entries((manifest[kind] ?? {}) as Record<string, string>));
    expect(named.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it("run nothing at install", () => {
    expect(packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual([]);
    expect(read(".npmrc")).toMatch(/^strict-allow-scripts=true$/m);
    // A native package without a script of its own is compiled all the same, unless npm 11 and npm 10 are told not to. The second
    // line is lost whenever npm writes the lock file.
    expect(manifest["allowScripts"]).toEqual({ "better-sqlite3": false });
    expect(lock.packages["node_modules/better-sqlite3"]).toHaveProperty("gypfile", false);
  });

  it("are pinned by their content", () => {
    expect(packages.filter(([, { integrity }]) => !integrity?.startsWith("sha512-"))).toEqual([]);
  });

  it("have licences that go with ours", () => {
    const fitting = /^\(?(MIT|ISC|0BSD|BSD-[23]-Clause|Apache-2\.0|MPL-2\.0|BlueOak-1\.0\.0)\b/;
    expect(packages.filter(([, { license }]) => !fitting.test(license ?? "")).map(([path]) => path)).toEqual(
      [],
    );
  });
});

describe("the licence", () => {
  it("holds the official text of the AGPL, byte for byte", () => {
    const digest = createHash("sha256").update(read("LICENSES/AGPL-3.0-only.txt")).digest("hex");
    expect(digest).toBe("8486a10c4393cee1c25392769ddd3b2d6c242d6ec7928e1414efff7dfb2f07ef");
  });

  it("marks the commercial files, and nothing else, as commercial", () => {
    const tables = read("REUSE.toml").split("[[annotations]]").slice(1);
    const marks = tables.map((text) => ({
      paths: [...(/^path = (.*)$/m.exec(text)?.[1] ?? "").matchAll(/"([^"]+)"/g)].map(([, path]) => path),
      licence: /^SPDX-License-Identifier = "(.*)"$/m.exec(text)?.[1],
    }));
    expect(marks).toEqual([
      { paths: ["**"], licence: "AGPL-3.0-only" },
      {
        paths: ["src/replication/**", "src/editions/commercial.ts"],
        licence: "LicenseRef-Dormouse-Commercial",
      },
    ]);
  });

  it("is said in one place: no file carries a mark of its own that could differ", () => {
    const marked = written.filter(
      (path) => !["REUSE.toml", "LICENSE.md"].includes(path) && !path.startsWith("docs/adr/"),
    );
    expect(linesThatMatch(marked, /SPDX-License-Identifier/)).toEqual([]);
  });

  it("exists for every mark", () => {
    for (const licence of ["AGPL-3.0-only", "LicenseRef-Dormouse-Commercial"]) {
      expect(files).toContain(`LICENSES/${licence}.txt`);
    }
  });
});

/** The anchors that a page's headings make, as GitHub makes them. */
function anchorsOf(path: string): readonly string[] {
  return [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    (heading ?? "")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}

/** Links of a page that lead nowhere. */
function deadLinks(page: string): readonly string[] {
  const targets = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? "");
  return targets.filter((target) => {
    if (/^(https?|mailto):/.test(target)) return false;
    const [file = "", anchor] = target.split("#");
    const path = file === "" ? page : normalize(join(dirname(page), file));
    if (!existsSync(join(root, path))) return true;
    return anchor !== undefined && !anchorsOf(path).includes(anchor);
  });
}

describe("the documents", () => {
  it("link to what exists", () => {
    const dead = pages.flatMap((page) => deadLinks(page).map((target) => `${page}: ${target}`));
    expect(dead).toEqual([]);
  });

  it("name only files of the repository that exist", () => {
    const dead = pages
      .filter((page) => page !== "CHANGELOG.md")
      .flatMap((page) =>
        [...read(page).matchAll(/`((?:src|test|bench|docs|packaging|bin)\/[\w./-]*\.[a-z]+)`/g)]
          .map(([, path]) => path ?? "")
          .filter((path) => !existsSync(join(root, path)))
          .map((path) => `${page}: ${path}`),
      );
    expect(dead).toEqual([]);
  });

  it("name only npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as Manifest;
    const dead = pages.flatMap((page) =>
      [...read(page).matchAll(/npm run ([\w:]+)/g)]
        .filter(([, name]) => scripts[name ?? ""] === undefined)
        .map(([text]) => `${page}: ${text}`),
    );
    expect(dead).toEqual([]);
  });

  it.each(generatedPages())("$path is what `npm run docs` makes of the code", ({ path, text }) => {
    expect(read(path)).toBe(text);
  });

  it("say in README.md first how to start it and how to test it", () => {
    const blocks = [...read("README.md").matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block ?? "");
    const commands = (blocks[0] ?? "").split("\n").map((line) => line.replace(/#.*$/, "").trim());
    expect(commands.filter((line) => line !== "").slice(0, 2)).toEqual([
      "npm ci && npm start",
      "npm ci && npm test",
    ]);
  });

  it("say in OPERATIONS.md of each alert what to do, and of no other", () => {
    const described = [...read("docs/OPERATIONS.md").matchAll(/^#### `([a-z_]+)`/gm)].map(
      ([, event]) => event,
    );
    expect(new Set(described)).toEqual(new Set(Object.keys(alertEvents)));
    expect(described.length).toBe(Object.keys(alertEvents).length);
  });

  it("start the service with the memory reducer off", () => {
    expect(read("packaging/dormouse.service")).toMatch(/^ExecStart=\S+ --no-memory-reducer /m);
  });

  it("name in OPERATIONS.md and SPEC.md no error code that there is not", () => {
    const codes = new Set([...Object.keys(errorCodes), ...Object.keys(alertEvents)]);
    const named = ["docs/OPERATIONS.md", "docs/SPEC.md"].flatMap((page) =>
      [...read(page).matchAll(/code `([a-z_]+)`/g)].map(([, code]) => code ?? ""),
    );
    expect(named.filter((code) => !codes.has(code))).toEqual([]);
  });
});

type Section = { readonly id: string; readonly text: string };

describe("the promises of docs/SPEC.md", () => {
  const sections: readonly Section[] = read("docs/SPEC.md")
    .split(/^## (?=I\d+ )/m)
    .slice(1)
    .map((text) => ({ id: text.split(" ")[0] ?? "", text: text.split(/^## /m)[0] ?? "" }));

  it("are I1 to I15, each once and in order", () => {
    expect(sections.map(({ id }) => id)).toEqual(Array.from({ length: 15 }, (_, at) => `I${at + 1}`));
  });

  it.each(sections)("$id names a test that holds it, or says that it is not built yet", ({ text }) => {
    const tests = [...text.matchAll(/^- `((?:src|test)\/[^`]+\.ts)`: "(.+)"$/gm)];
    if (!/^Not built\b/m.test(text)) expect(tests.length).toBeGreaterThan(0);
    for (const [, path = "", title = ""] of tests) {
      expect(files).toContain(path);
      expect(read(path).includes(title), `${path} has no test of this title: ${title}`).toBe(true);
    }
  });
});
