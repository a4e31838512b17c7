import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ErrorCode } from "../core/errors.ts";
import { formatTokenId, isSameVerifier, parseToken, verifierOf } from "../crypto/token.ts";
import { lockDataFolder } from "../store/sqlite/folder-lock.ts";
import { openSqliteStore } from "../store/sqlite/open.ts";
import { init } from "./init.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-init-"));
  await writeConfig("calgary", "zurich");
  await writeConfig("zurich", "calgary");
});
afterEach(() => rm(folder, { recursive: true }));

const path = (...names: string[]): string => join(folder, ...names);

async function writeConfig(site: string, peer: string): Promise<void> {
  await writeFile(
    path(`${site}.yaml`),
    `edition: commercial
site: ${site}
data: ./deep/${site}
replication: { peers: [ { site: ${peer}, url: https://${peer}.example, token_file: pair.token } ] }
`,
  );
}

/** Everything under the folder, with modes: what "changed nothing" is measured by. */
async function tree(): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const lines = names.map(async (name) => `${name} ${((await stat(path(name))).mode & 0o777).toString(8)}`);
  return (await Promise.all(lines)).toSorted();
}

async function expectRefusal(role: "primary" | "backup", site: string, code: ErrorCode): Promise<void> {
  const before = await tree();
  await expect(init({ configPath: path(`${site}.yaml`), role })).rejects.toMatchObject({ code });
  expect(await tree()).toEqual(before);
}

const modeOf = async (name: string): Promise<string> => ((await stat(name)).mode & 0o777).toString(8);

test("a primary gets a private data folder, a site, the pair's secret and an operator token", async () => {
  const made = await init({ configPath: path("calgary.yaml"), role: "primary" });
  expect(made).toMatchObject({ site: "calgary", role: "primary" });
  expect(made.createdFiles).toEqual([path("deep", "calgary", "dormouse.db"), path("pair.token")]);
  expect(await modeOf(path("deep", "calgary"))).toBe("700");
  expect(await modeOf(path("deep", "calgary", "dormouse.db"))).toBe("600");
  expect(await modeOf(path("pair.token"))).toBe("600");
  expect(parseToken((await readFile(path("pair.token"), "utf8")).trim())?.kind).toBe("peer");
});

test("the operator token is one that the site knows, and the site keeps no more than what checks it", async () => {
  const { operatorToken } = await init({ configPath: path("calgary.yaml"), role: "primary" });
  const token = parseToken(operatorToken);
  if (token?.kind !== "operator") throw new Error("no operator token");
  const file = path("deep", "calgary", "dormouse.db");
  const { store } = openSqliteStore({
    path: file,
    clock: systemClock,
    random: systemRandom,
    hash: systemHash,
  });
  const stored = await store.read((r) => r.operators.find(formatTokenId(token)));
  const { role, site } = await store.read((r) => r.site.record());
  await store.close();
  expect([site, role]).toEqual(["calgary", "primary"]);
  expect(isSameVerifier(verifierOf(token), stored?.verifier)).toBe(true);
  const bytes = await readFile(file);
  expect(bytes.includes(Buffer.from(token.secret))).toBe(false);
  expect(bytes.includes(operatorToken)).toBe(false);
});

test("a backup takes the pair's secret from its file and never makes one", async () => {
  await expectRefusal("backup", "zurich", "config_invalid");
  await init({ configPath: path("calgary.yaml"), role: "primary" });
  const made = await init({ configPath: path("zurich.yaml"), role: "backup" });
  expect(made.createdFiles).toEqual([path("deep", "zurich", "dormouse.db")]);
});

test("a primary uses a pair's secret that is there", async () => {
  await init({ configPath: path("calgary.yaml"), role: "primary" });
  const secret = await readFile(path("pair.token"), "utf8");
  const made = await init({ configPath: path("zurich.yaml"), role: "primary" });
  expect(made.createdFiles).toHaveLength(1);
  expect(await readFile(path("pair.token"), "utf8")).toBe(secret);
});

test("a data folder with a site, or with anything else, is refused and left as it is", async () => {
  await mkdir(path("deep", "calgary"), { recursive: true });
  await writeFile(path("deep", "calgary", "notes.txt"), "mine");
  await chmod(path("deep", "calgary"), 0o755);
  await expectRefusal("primary", "calgary", "data_exists");
  await init({ configPath: path("zurich.yaml"), role: "primary" });
  await expectRefusal("primary", "zurich", "data_exists");
});

test("an empty data folder is used and made private", async () => {
  await mkdir(path("deep", "calgary"), { recursive: true, mode: 0o755 });
  await init({ configPath: path("calgary.yaml"), role: "primary" });
  expect(await modeOf(path("deep", "calgary"))).toBe("700");
});

test("what a killed init left behind does not stop the next one", async () => {
  await mkdir(path("deep", "calgary", "init.partial"), { recursive: true });
  await writeFile(path("deep", "calgary", "init.partial", "dormouse.db"), "half a database");
  await init({ configPath: path("calgary.yaml"), role: "primary" });
  expect((await readdir(path("deep", "calgary"))).toSorted()).toEqual(["dormouse.db", "site.lock"]);
});

test("a configuration with mistakes changes nothing", async () => {
  await writeFile(path("pair.token"), "no token", { mode: 0o600 });
  await expectRefusal("primary", "calgary", "config_invalid");
});

test("a token file that others can read changes nothing", async () => {
  await writeFile(path("pair.token"), "no token", { mode: 0o644 });
  await expectRefusal("primary", "calgary", "file_exposed");
});

test("a pair's secret that cannot be written takes back everything that was made", async () => {
  const config = path("calgary.yaml");
  await writeFile(
    config,
    (await readFile(config, "utf8")).replace("pair.token", "no/such/folder/pair.token"),
  );
  await expectRefusal("primary", "calgary", "config_invalid");
  await mkdir(path("deep", "calgary"), { recursive: true, mode: 0o755 });
  await expectRefusal("primary", "calgary", "config_invalid");
});

test("a data folder that cannot be made is refused by its path", async () => {
  await writeFile(path("deep"), "a file in the way");
  await expectRefusal("primary", "calgary", "config_invalid");
});

test("a data folder that another process uses is refused", async () => {
  await mkdir(path("deep", "calgary"), { recursive: true, mode: 0o700 });
  using lock = lockDataFolder(path("deep", "calgary"));
  await expectRefusal("primary", "calgary", "data_in_use");
  void lock;
});
