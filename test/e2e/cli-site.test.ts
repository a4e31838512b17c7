import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CommandResult,
  dormouse,
  freePort,
  initCommunitySite,
  initPair,
  type SiteProcess,
  Sites,
  writeConfig,
} from "../support/processes.ts";

/** The commands that act on a site's own files. */

let sites: Sites;
beforeEach(async () => {
  sites = await Sites.inTemporaryFolder();
});
afterEach(() => sites[Symbol.asyncDispose]());

function refused(result: CommandResult, status: number, text: RegExp): void {
  expect(result.stderr).toMatch(text);
  expect(result.stderr).toMatch(/^dormouse: [^\n]* — [^\n]+\n( {2}[^\n]+\n)*$/);
  expect(result.stderr).not.toMatch(/dm[vos]_[0-9a-f]/);
  expect(result.stdout).toBe("");
  expect(result.status).toBe(status);
}

async function writeSiteConfig(settings: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const path = join(sites.folder, "calgary.yaml");
  const listen = { host: "127.0.0.1", port: await freePort() };
  await writeConfig(path, { edition: "community", site: "calgary", data: "./calgary", listen, ...settings });
  return path;
}

const replication = { peers: [{ site: "zurich", url: "http://127.0.0.1:1", token_file: "./pair.token" }] };

function serve(site: SiteProcess): Promise<CommandResult> {
  return dormouse(["serve", "--config", site.configPath]);
}

/** With a channel, as `npm start` starts it. Its first line says that it listens. */
function startServe(configPath: string) {
  const command = resolve(import.meta.dirname, "../../bin/dormouse");
  const child = spawn(command, ["serve", "--config", configPath], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  if (child.stdout === null) throw new Error("it has no output");
  return Object.assign(child, { stdout: child.stdout });
}

describe("dormouse init", () => {
  it("makes a private data folder and prints what the design says, as JSON and for people", async () => {
    const config = await writeSiteConfig();
    const { status, stdout, stderr } = await dormouse(["init", "--config", config, "--json"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      site: "calgary",
      role: "primary",
      operator_token: expect.stringMatching(/^dmo_.{82}$/),
    });
    expect((await stat(join(sites.folder, "calgary"))).mode & 0o777).toBe(0o700);
    refused(await dormouse(["init", "--config", config]), 3, /holds a site already/);
  });

  it("takes its configuration from DORMOUSE_CONFIG", async () => {
    const env = { DORMOUSE_CONFIG: await writeSiteConfig() };
    const { status, stdout } = await dormouse(["init"], { env });
    expect(stdout).toMatch(/^site +calgary\nrole +primary\noperator token +dmo_.{82}\n$/);
    expect(status).toBe(0);
  });

  it("of a primary makes the pair's secret and says where it belongs; of a backup it wants that", async () => {
    const config = await writeSiteConfig({ edition: "commercial", replication });
    const secret = join(sites.folder, "pair.token");
    refused(await dormouse(["init", "--config", config, "--role", "backup"]), 3, /token_file/);
    expect(await readdir(sites.folder)).toEqual(["calgary.yaml"]);
    const { status, stderr } = await dormouse(["init", "--config", config]);
    expect(stderr).toContain(`Copy ${secret} to the peer`);
    expect((await stat(secret)).mode & 0o777).toBe(0o600);
    expect(status).toBe(0);
  });

  it("names every mistake of the configuration with its line, and makes nothing", async () => {
    const config = join(sites.folder, "bad.yaml");
    await writeFile(config, "edition: comercial\nsite: Zürich\nlisten: { port: 99999 }\ndatta: x\n");
    const result = await dormouse(["init", "--config", config]);
    refused(result, 3, /bad\.yaml has \d mistakes/);
    for (const line of ["line 1, edition", "line 2, site", "line 3, listen.port", "line 4, datta"]) {
      expect(result.stderr).toContain(`\n  ${line}: `);
    }
    expect(await readdir(sites.folder)).toEqual(["bad.yaml"]);
  });

  it("refuses a configuration that is missing or no YAML", async () => {
    refused(await dormouse(["init", "--config", join(sites.folder, "none.yaml")]), 3, /does not exist/);
    const config = join(sites.folder, "bad.yaml");
    await writeFile(config, "site: [\n");
    refused(await dormouse(["init", "--config", config]), 3, /bad\.yaml has a mistake/);
  });
});

describe("dormouse serve", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("ends with 0 on %s", async (signal) => {
    const child = startServe((await initCommunitySite(sites)).configPath);
    await once(child.stdout, "data");
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  it("is refused where init was not run: status 3", async () => {
    refused(await dormouse(["serve", "--config", await writeSiteConfig()]), 3, /dormouse init/);
  });

  it("is refused while another process uses the folder, and while another listens on the port: status 3", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    refused(await serve(site), 3, /^dormouse: .*in use|another process/);
    const other = join(sites.folder, "other.yaml");
    const listen = { host: "127.0.0.1", port: Number(new URL(site.url).port) };
    await writeConfig(other, { edition: "community", site: "other", data: "./other", listen });
    expect((await dormouse(["init", "--config", other])).status).toBe(0);
    const result = await dormouse(["serve", "--config", other]);
    expect(result.stderr).toMatch(/^dormouse: another process listens on 127\.0\.0\.1 port \d+ — [^\n]+\n$/);
    expect(result.status).toBe(3);
  });

  it("is refused with a data folder of another site, and with a database that is cut off: status 3", async () => {
    const site = await initCommunitySite(sites);
    const text = await readFile(site.configPath, "utf8");
    await writeFile(site.configPath, text.replaceAll('"calgary"', '"toronto"'));
    refused(await serve(site), 3, /calgary/);
    await writeFile(site.configPath, text);
    const database = join(site.dataPath, "dormouse.db");
    await writeFile(database, (await readFile(database)).subarray(0, 20_000));
    refused(await serve(site), 3, /dormouse\.db|database/);
  });

  it("is refused when others can read the pair's secret: status 3", async () => {
    const { calgary } = await initPair(sites);
    await chmod(join(sites.folder, "pair.token"), 0o644);
    refused(await serve(calgary), 3, /has a mistake[^\n]*\n.*pair\.token.*0644|0644/s);
  });

  it("stops when the channel closes over which it was started", async () => {
    const site = await initCommunitySite(sites);
    const child = startServe(site.configPath);
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    child.disconnect();
    expect(await ended).toEqual([0, null]);
  });
});

describe("a community site", () => {
  it("has a status without replication, and says which channel did not take a test alert", async () => {
    const webhook = `http://127.0.0.1:${await freePort()}/secret-path`;
    const site = await initCommunitySite(sites, { alerts: { webhook } });
    await site.start();
    const connection = ["--url", site.url, "--token-file", join(sites.folder, "operator.token")];
    await writeFile(join(sites.folder, "operator.token"), site.operatorToken, { mode: 0o600 });
    const { status, stdout } = await dormouse(["status", "--json", ...connection]);
    expect(JSON.parse(stdout)).toMatchObject({ site: "calgary", role: "primary", edition: "community" });
    expect(status).toBe(0);
    const test = await dormouse(["alerts", "test", ...connection]);
    expect(test.stdout).toMatch(/^log: delivered\nwebhook: [^\n]+\n$/);
    expect(test.stderr).toMatch(/^dormouse: the test alert was not taken by webhook — [^\n]+\n$/);
    expect(test.stdout + test.stderr).not.toContain("secret-path");
    expect(test.status).toBe(4);
  });
});

describe("dormouse doctor", () => {
  it("finds nothing wrong with a site that runs: status 0", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    const { status, stdout, stderr } = await dormouse(["doctor", "--config", site.configPath]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^ok {3}runtime: /m);
    expect(stdout).not.toMatch(/^BAD/m);
    expect(status).toBe(0);
    const asJson = await dormouse(["doctor", "--config", site.configPath, "--json"]);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ ok: true });
  });

  it("names what is wrong and what would be right, and ends with 3", async () => {
    const { calgary } = await initPair(sites);
    await chmod(calgary.dataPath, 0o755);
    const { status, stdout, stderr } = await dormouse(["doctor", "--config", calgary.configPath]);
    expect(stdout).toMatch(/^BAD {2}data folder: .*\n {5}\S/m);
    expect(stdout).toMatch(/^BAD {2}peer zurich: .*does not answer/m);
    expect(stderr).toBe("dormouse: 2 things are wrong with this site — see the findings\n");
    expect(status).toBe(3);
  });
});
