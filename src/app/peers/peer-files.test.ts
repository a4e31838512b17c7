import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SiteName } from "../../core/ids.ts";
import { formatToken, newToken } from "../../crypto/token.ts";
import { readSiteConfig } from "../site-config.ts";
import { systemRandom } from "../system-ports.ts";
import { removeUnusedSecret, savePeer } from "./peer-files.ts";

const newSecret = () => formatToken(newToken("peer", systemRandom));
const zurich = { site: "zurich" as SiteName, url: "http://127.0.0.1:8201", fingerprint: null };

let folder: string;
let configPath: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-peer-files-"));
  configPath = join(folder, "calgary.yaml");
  await mkdir(join(folder, "data"), { mode: 0o700 });
  await writeFile(
    configPath,
    "edition: commercial\nsite: calgary\ndata: ./data\nreplication: { peers: [] }\n",
  );
});
afterEach(() => rm(folder, { recursive: true }));

const filesOf = async () => (await readdir(folder)).toSorted();

/** Runs `savePeer` in a process that ends by SIGKILL as soon as `isThere` names a file that is there. */
async function saveAndKill(token: string, isThere: string): Promise<void> {
  const code = `
    import { readdirSync } from "node:fs";
    import { savePeer } from ${JSON.stringify(resolve(import.meta.dirname, "peer-files.ts"))};
    const look = () => {
      if (readdirSync(${JSON.stringify(folder)}).some((name) => ${isThere}.test(name))) process.kill(process.pid, "SIGKILL");
      setImmediate(look);
    };
    look();
    await savePeer(${JSON.stringify(configPath)}, ${JSON.stringify({ ...zurich, token })});
    process.exit();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], { stdio: "inherit" });
  expect(await once(child, "exit")).toEqual([null, "SIGKILL"]);
}

describe("a process that is killed between the secret's file and the configuration", () => {
  it("leaves a secret that nobody uses, which the next pairing takes away", async () => {
    await saveAndKill(newSecret(), "/\\.token$/");
    expect(await filesOf()).toContain("zurich.token");
    expect(await readFile(configPath, "utf8")).toContain("peers: []");
    const token = newSecret();
    expect(await savePeer(configPath, { ...zurich, token })).toBe(join(folder, "zurich.token"));
    expect(await readFile(join(folder, "zurich.token"), "utf8")).toBe(`${token}\n`);
    expect(await filesOf()).toEqual(["calgary.yaml", "data", "zurich.token"]);
    expect(await readdir(join(folder, "data"))).toEqual([]);
  });

  it("leaves a secret that the next start takes away and names", async () => {
    await saveAndKill(newSecret(), "/\\.token$/");
    expect(await removeUnusedSecret(await readSiteConfig(configPath))).toBe(join(folder, "zurich.token"));
    expect(await filesOf()).toEqual(["calgary.yaml", "data"]);
    expect(await removeUnusedSecret(await readSiteConfig(configPath))).toBeUndefined();
  });

  it("leaves no draft of a secret or a configuration that outlasts the next write", async () => {
    await saveAndKill(newSecret(), "/\\.partial$/");
    expect((await filesOf()).join()).toMatch(/\.partial/);
    await savePeer(configPath, { ...zurich, token: newSecret() });
    expect(await filesOf()).toEqual(["calgary.yaml", "data", "zurich.token"]);
  });
});

describe("a secret's file that is not of a pairing that was cut off", () => {
  it("is left where it is: of a known peer, of one that was replaced, and whoever else's it is", async () => {
    await writeFile(join(folder, "oslo.token"), "somebody's", { mode: 0o600 });
    await savePeer(configPath, { ...zurich, token: newSecret() });
    await savePeer(configPath, { ...zurich, token: newSecret() });
    expect(await removeUnusedSecret(await readSiteConfig(configPath))).toBeUndefined();
    expect(await filesOf()).toEqual(["calgary.yaml", "data", "oslo.token", "zurich-2.token", "zurich.token"]);
  });

  it("is left where the configuration came to name it before the process was killed", async () => {
    const tokenFile = await savePeer(configPath, { ...zurich, token: newSecret() });
    await writeFile(join(folder, "data", "pairing.partial"), `${tokenFile}\n`, { mode: 0o600 });
    expect(await removeUnusedSecret(await readSiteConfig(configPath))).toBeUndefined();
    expect(await filesOf()).toContain("zurich.token");
    expect(await readdir(join(folder, "data"))).toEqual([]);
  });
});
