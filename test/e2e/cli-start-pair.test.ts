import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childrenOf } from "../support/proc.ts";
import { freePort } from "../support/processes.ts";

const checkout = resolve(import.meta.dirname, "../..");
const launcher = join(checkout, "dist/start-pair.js");

let folder: string;
let ports: readonly number[];
let started: Launched[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-pair-"));
  ports = [await freePort(), await freePort()];
  started = [];
});
afterEach(async () => {
  for (const launched of started) await launched.end();
  await rm(folder, { recursive: true });
});

/** The launcher in a process group of its own, as a shell starts it. */
class Launched {
  readonly child: ChildProcess;
  output = "";
  #sites: readonly number[] = [];
  #told: (() => void)[] = [];

  constructor(args: readonly string[] = []) {
    const command = [launcher, "--data", join(folder, "data"), "--ports", ports.join(","), ...args];
    this.child = spawn(process.execPath, command, {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        for (const tell of this.#told.splice(0)) tell();
      });
    }
    started.push(this);
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("the launcher did not start");
    return this.child.pid;
  }

  /** The process ids of calgary and zurich, as long as the launcher lives; from then on those it had last. */
  get sites(): readonly number[] {
    const found = ["calgary.yaml", "zurich.yaml"].map(
      (config) => childrenOf(this.pid).find(({ command }) => command.includes(config))?.pid,
    );
    const running = found.filter((pid) => pid !== undefined);
    if (running.length > 0) this.#sites = running;
    return this.#sites;
  }

  async says(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`it ended without saying ${text}:\n${this.output}`);
      await new Promise<void>((tell) => {
        this.#told.push(tell);
        this.child.once("exit", tell);
      });
    }
  }

  async ready(): Promise<this> {
    await this.says("Ctrl-C stops both.");
    return this;
  }

  async exit(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "exit");
    return this.child.exitCode;
  }

  /** For a test that failed: nothing may be left. */
  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGKILL");
      await once(this.child, "exit");
    }
    for (const pid of this.#sites.filter(isAlive)) process.kill(pid, "SIGKILL");
    await untilGone(this.#sites);
  }
}

/** Whether a process still is the site that it was: its id may belong to somebody else by now. */
function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
  } catch {
    return false;
  }
}

async function untilGone(pids: readonly number[]): Promise<void> {
  await expect.poll(() => pids.filter(isAlive), { timeout: 15_000 }).toEqual([]);
}

describe("npm start", () => {
  it("runs both sites, makes private files, and what it says to type works", {
    timeout: 60_000,
  }, async () => {
    const pair = await new Launched().ready();
    const data = join(folder, "data");
    expect((await stat(data)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(data)) {
      const isFolder = name === "calgary" || name === "zurich";
      expect([name, (await stat(join(data, name))).mode & 0o777]).toEqual([name, isFolder ? 0o700 : 0o600]);
    }
    const script = pair.output
      .slice(pair.output.indexOf("in this folder:"), pair.output.indexOf("Ctrl-C"))
      .split("\n")
      .slice(1)
      // A backup has the entry a moment later; a person types slower than a script.
      .map((line) => (line.includes("entry list") ? `sleep 1\n${line}` : line))
      .join("\n");
    const { stdout, stderr } = await promisify(execFile)("/bin/sh", ["-euc", script], { cwd: folder });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^Added [0-9a-f-]{36}\.\nENTRY .*\n[0-9a-f-]{36} +login +Mail /m);
    expect(stdout).toMatch(/"value":"correct horse"/);
    expect(stdout).toMatch(/^zurich +asleep /m);
    pair.child.kill("SIGINT");
    expect(await pair.exit()).toBe(0);
  });

  it("goes on with the data at a second start", { timeout: 60_000 }, async () => {
    const first = await new Launched().ready();
    const create = /VAULT=\$\((.*)\)/.exec(first.output)?.[1] ?? "";
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", create], { cwd: folder });
    first.child.kill("SIGTERM");
    expect(await first.exit()).toBe(0);

    const second = await new Launched().ready();
    // The first try's token file is there, so the guide names another vault.
    expect(second.output).toContain("vault create demo-2 ");
    const list = create.replace(/vault create .* --url/, "vault list --url");
    expect((await promisify(execFile)("/bin/sh", ["-c", list], { cwd: folder })).stdout).toContain(
      stdout.trim(),
    );
    // As a closed terminal does.
    second.child.kill("SIGHUP");
    expect(await second.exit()).toBe(0);
  });

  it("stops both cleanly when a terminal sends Ctrl-C to the whole group", { timeout: 60_000 }, async () => {
    const pair = await new Launched().ready();
    const { sites } = pair;
    expect(sites).toHaveLength(2);
    process.kill(-pair.pid, "SIGINT");
    expect(await pair.exit()).toBe(0);
    expect(sites.filter(isAlive)).toEqual([]);
  });

  it("says so when one site dies, stops the other and fails", { timeout: 60_000 }, async () => {
    const pair = await new Launched().ready();
    const { sites } = pair;
    process.kill(sites[1] ?? expect.fail("zurich does not run"), "SIGKILL");
    expect(await pair.exit()).toBe(1);
    expect(pair.output).toContain("zurich was ended by SIGKILL; stopping the other site.");
    expect(sites.filter(isAlive)).toEqual([]);
  });

  it("leaves no site behind when the launcher itself is killed", { timeout: 60_000 }, async () => {
    const pair = await new Launched().ready();
    const { sites } = pair;
    expect(sites).toHaveLength(2);
    pair.child.kill("SIGKILL");
    await untilGone(sites);
  });

  it("stops at once when it is told to while it starts", { timeout: 60_000 }, async () => {
    const pair = new Launched();
    await expect.poll(() => pair.sites.length, { timeout: 20_000, interval: 10 }).toBe(2);
    pair.child.kill("SIGTERM");
    expect(await pair.exit()).toBe(0);
    expect(pair.sites).toHaveLength(2);
    await untilGone(pair.sites);
  });

  it("names the port that is in use, and starts nothing", { timeout: 60_000 }, async () => {
    const other = createServer().listen(ports[1], "127.0.0.1");
    await once(other, "listening");
    const pair = new Launched();
    expect(await pair.exit()).toBe(3);
    expect(pair.output).toMatch(
      new RegExp(`^dormouse: zurich cannot listen on 127\\.0\\.0\\.1:${ports[1]} — stop what listens there`),
    );
    other.close();
    await once(other, "close");
  });

  it("names every mistake in a configuration that somebody edited", { timeout: 60_000 }, async () => {
    const first = await new Launched().ready();
    first.child.kill("SIGINT");
    await first.exit();
    const config = join(folder, "data/zurich.yaml");
    await writeFile(config, "edition: comercial\nsite: Zürich\n");
    const second = new Launched();
    expect(await second.exit()).toBe(3);
    expect(second.output).toContain(`dormouse: ${config} has `);
    expect(second.output).toMatch(/\n {2}line 1, edition: /);
    expect(second.output).toMatch(/\n {2}line 2, site: /);
  });

  it.each([
    ["--ports", "8200"],
    ["--ports", "8200,8200"],
    ["--ports", "a,b"],
    ["--prots", "1,2"],
  ])("refuses %s %s as wrong usage", async (...args) => {
    const pair = new Launched(args);
    expect(await pair.exit()).toBe(2);
    expect(pair.output).toMatch(/^dormouse: [^\n]+ — [^\n]+\n$/);
  });
});
