import { once } from "node:events";
import { chmod, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { openSqliteStore } from "../store/sqlite/open.ts";
import { examine, type Finding } from "./doctor.ts";
import type { Machine } from "./doctor/machine.ts";
import { init } from "./init.ts";
import { systemClock, systemHash, systemRandom } from "./system-ports.ts";

const machine: Machine = {
  nodeVersion: "24.22.1",
  execArgv: ["--no-memory-reducer", "--disable-sigusr1"],
  coreBytesMax: 0,
  nowMs: Date.UTC(2026, 11, 1),
};

let folder: string;
let configPath: string;
let peer: Server;
let peerHealth: string;
let peerDateMs: number;
let port: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-doctor-"));
  configPath = join(folder, "calgary.yaml");
  peerHealth = '{"status":"ok","site":"zurich","role":"backup","edition":"commercial","version":"0"}';
  peerDateMs = machine.nowMs + 2_000;
  peer = createServer((_, response) => {
    response.setHeader("date", new Date(peerDateMs).toUTCString());
    response.end(peerHealth);
  });
  const peerPort = await listen(peer);
  port = await freePort();
  await writeFile(
    configPath,
    `edition: commercial
site: calgary
data: ./data
listen: { port: ${port} }
replication: { peers: [ { site: zurich, url: "http://127.0.0.1:${peerPort}", token_file: pair.token } ] }
disk_free_min_bytes: 1
`,
  );
  await init({ configPath, role: "primary" });
});

afterEach(async () => {
  await close(peer);
  await rm(folder, { recursive: true });
});

async function listen(server: Server, at = 0): Promise<number> {
  server.listen(at, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}

async function freePort(): Promise<number> {
  const server = createServer();
  const free = await listen(server);
  await close(server);
  return free;
}

const data = (name: string): string => join(folder, "data", name);

async function badOnes(on: Machine = machine): Promise<readonly Finding[]> {
  return (await examine({ configPath, machine: on })).filter(({ ok }) => !ok);
}

/** The one finding that is not in order, as one text. */
async function ailment(on?: Machine): Promise<string> {
  const found = await badOnes(on);
  expect(found).toHaveLength(1);
  return found.map(({ check, detail, remedy }) => `${check} | ${detail} | ${remedy}`).join("");
}

test("a site in order has nothing but good findings, each check among them, and is not changed", async () => {
  const before = await readFile(data("dormouse.db"));
  const findings = await examine({ configPath, machine });
  expect(findings.filter(({ ok }) => !ok)).toEqual([]);
  expect(new Set(findings.map(({ check }) => check))).toEqual(
    new Set([
      "runtime",
      "sleep",
      "debugger",
      "core",
      "clock",
      "configuration",
      "token files",
      "alerts",
      "data folder",
      "database",
      "disk",
      "port",
      "peer zurich",
      "clock of zurich",
    ]),
  );
  expect(await readFile(data("dormouse.db"))).toEqual(before);
});

test("a site that runs can be examined, and its own port is no finding", async () => {
  const ports = { clock: systemClock, random: systemRandom, hash: systemHash };
  const { store } = openSqliteStore({ path: data("dormouse.db"), ...ports });
  await store.transact((tx) => tx.alerts.add("test", "", "keeps the log of the database busy", {}));
  const own = createServer((_, response) => response.end('{"site":"calgary","role":"primary"}'));
  await listen(own, port);
  const findings = await examine({ configPath, machine });
  await close(own);
  await store.close();
  expect(findings.filter(({ ok }) => !ok)).toEqual([]);
  expect(findings.find(({ check }) => check === "port")?.detail).toMatch(/^this site runs/);
});

test("no finding holds a token or a secret", async () => {
  const token = (await readFile(join(folder, "pair.token"), "utf8")).trim();
  expect(JSON.stringify(await examine({ configPath, machine }))).not.toContain(token.slice(4, 40));
});

describe("the machine", () => {
  test.each(["20.20.2", "22.14.0", "23.9.9"])("Node %s is too old", async (nodeVersion) => {
    expect(await ailment({ ...machine, nodeVersion })).toMatch(/^runtime \| Node .* Use Node 24 or newer/);
  });

  test.each([
    ["24.21.0", true],
    ["24.22.0", true],
    ["24.22.1", false],
    ["24.30.0", false],
    ["25.9.0", true],
    ["26.10.0", true],
    ["26.12.1", false],
    ["28.0.0", false],
  ])("Node %s runs; that production wants a newer one is said: %s", async (nodeVersion, isAdvised) => {
    const findings = await examine({ configPath, machine: { ...machine, nodeVersion } });
    const runtime = findings.find(({ check }) => check === "runtime");
    expect(runtime?.ok).toBe(true);
    expect(runtime?.remedy !== null).toBe(isAdvised);
  });

  test("Node without --no-memory-reducer is found: it would not sleep", async () => {
    expect(await ailment({ ...machine, execArgv: ["--disable-sigusr1"] })).toMatch(/^sleep \| /);
  });

  test("a debugger's port that a signal opens, and core files, are found: both show keys", async () => {
    expect(await ailment({ ...machine, execArgv: ["--no-memory-reducer"] })).toMatch(/^debugger \| /);
    expect(await ailment({ ...machine, coreBytesMax: Number.POSITIVE_INFINITY })).toMatch(/^core \| /);
  });

  test.each([0, Date.UTC(2101, 0, 1)])("a clock at %i is found", async (nowMs) => {
    peerDateMs = nowMs;
    expect(await ailment({ ...machine, nowMs })).toMatch(/^clock \| /);
  });
});

describe("the configuration", () => {
  test("each mistake is a finding with its line, and what depends on it is left out", async () => {
    await writeFile(configPath, "edition: x\nsite: calgary\n");
    const found = await badOnes();
    expect(found.map(({ check, detail }) => `${check}: ${detail}`)).toEqual([
      expect.stringMatching(/^configuration: line 1, edition: must be/),
      expect.stringMatching(/^configuration: line 1, data: is missing/),
    ]);
  });

  test("a missing file is a finding", async () => {
    await rm(configPath);
    expect(await ailment()).toMatch(/^configuration \| .*does not exist/);
  });

  test("a token file that others can read is found", async () => {
    await chmod(join(folder, "pair.token"), 0o644);
    expect(await ailment()).toMatch(/chmod 600/);
  });
});

describe("the data folder", () => {
  test("a folder and files that others can read are found", async () => {
    await chmod(join(folder, "data"), 0o755);
    await chmod(data("dormouse.db"), 0o640);
    const remedies = (await badOnes()).map(({ remedy }) => remedy);
    expect(remedies).toEqual([`chmod 700 ${join(folder, "data")}`, `chmod 600 ${data("dormouse.db")}`]);
  });

  test("a folder that is missing is found, and so is its database", async () => {
    await rm(join(folder, "data"), { recursive: true });
    expect((await badOnes()).map(({ check }) => check)).toEqual(["data folder", "database"]);
  });

  test("a database cut short is found", async () => {
    const { size } = await stat(data("dormouse.db"));
    await using file = await open(data("dormouse.db"), "r+");
    await file.truncate(size - 4_096);
    expect(await ailment()).toMatch(/^database \| .*cut short/);
  });

  test("a database with a damaged page is found", async () => {
    const bytes = await readFile(data("dormouse.db"));
    const pageBytes = bytes.readUInt16BE(16);
    // A page of a table or an index that the site's own record does not lie in.
    const page = bytes.length / pageBytes - 1;
    bytes.fill(0xff, page * pageBytes, page * pageBytes + 64);
    await writeFile(data("dormouse.db"), bytes);
    expect(await ailment()).toMatch(/^database \| /);
  });

  test("an empty file in place of the database is found", async () => {
    await writeFile(data("dormouse.db"), utf8(""));
    expect(await ailment()).toMatch(/^database \| .*empty/);
  });

  test("the database of another site is found", async () => {
    const text = await readFile(configPath, "utf8");
    await writeFile(configPath, text.replace("site: calgary", "site: oslo"));
    expect(await ailment()).toMatch(/^database \| .*belongs to calgary, not to oslo/);
  });

  test("a disk with too little room is found", async () => {
    const text = await readFile(configPath, "utf8");
    await writeFile(
      configPath,
      text.replace("disk_free_min_bytes: 1", "disk_free_min_bytes: 9000000000000000"),
    );
    expect(await ailment()).toMatch(/^disk \| .* free/);
  });
});

describe("the network", () => {
  test("another program on the port is found", async () => {
    const other = createServer((_, response) => response.end("hello"));
    await listen(other, port);
    expect(await ailment()).toMatch(/^port \| another program listens/);
    await close(other);
  });

  test("another site on the port is found", async () => {
    const other = createServer((_, response) => response.end('{"site":"oslo","role":"primary"}'));
    await listen(other, port);
    expect(await ailment()).toMatch(/^port \| the site oslo listens/);
    await close(other);
  });

  test("an address that is not this machine's is found", async () => {
    const text = await readFile(configPath, "utf8");
    const host = "listen: { host: 192.0.2.1, behind_proxy: [10.0.0.0/8],";
    await writeFile(configPath, `${text.replace("listen: {", host)}public_url: https://calgary.example\n`);
    expect(await ailment()).toMatch(/^port \| nothing can listen .*EADDRNOTAVAIL/);
  }, 15_000);

  test("a peer that does not answer is found", async () => {
    await close(peer);
    expect(await ailment()).toMatch(/^peer zurich \| .*does not answer \(ECONNREFUSED\)/);
  });

  test("another site at the peer's URL is found", async () => {
    peerHealth = '{"site":"oslo","role":"backup"}';
    expect(await ailment()).toMatch(/^peer zurich \| .* is oslo, not zurich/);
  });

  test.each(["", "<html>", "[]", "null", '{"site":"\\u001b[2J","role":"x"}', `"${"x".repeat(100_000)}"`])(
    "something else at the peer's URL is found, and not repeated",
    async (text) => {
      peerHealth = text;
      const found = await ailment();
      expect(found).toMatch(/^peer zurich \| .*Correct the peer's `url`/);
      expect(found).not.toContain("\u001b");
    },
  );

  test("a peer whose clock differs is found", async () => {
    peerDateMs = machine.nowMs + 60_000;
    expect(await ailment()).toMatch(/^clock of zurich \| .*60 s.*NTP/);
  });
});

test("a community site has no findings about peers", async () => {
  const text = await readFile(configPath, "utf8");
  await writeFile(configPath, text.replace("edition: commercial", "edition: community"));
  const checks = (await examine({ configPath, machine })).map(({ check }) => check);
  expect(checks.filter((check) => check.includes("zurich") || check === "token files")).toEqual([]);
  expect((await readdir(folder)).toSorted()).toEqual(["calgary.yaml", "data", "pair.token"]);
});
