import { once } from "node:events";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { entryTypes } from "../../src/core/entry.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { parseInviteCode } from "../../src/crypto/invite-code.ts";
import { peerCredential } from "../../src/crypto/peer-credential.ts";
import { parseToken } from "../../src/crypto/token.ts";
import { initLoneSite, Inviting } from "../support/pairing.ts";
import { call, dormouse, type SiteProcess, Sites } from "../support/processes.ts";
import { type Finding, filesBelow, plantedWord as word, SecretScan } from "../support/secret-scan.ts";
import { backupWhere } from "../support/tls-pair.ts";

/** Two real sites through everything that touches a secret, and then every byte that they have left behind. */

// Many commands, each a process of its own, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 40_000 });

type Json = Readonly<Record<string, unknown>>;
type Vault = { readonly path: string; readonly token: string };
type Asking = Parameters<typeof call>[1];

let sites: Sites;
let calgary: SiteProcess;
let zurich: SiteProcess;
let webhook: Server;
let scan: SecretScan;
/** What went to the webhook, and what commands and calls have answered. */
let told: string[];

beforeEach(async () => {
  sites = await Sites.inTemporaryFolder();
  scan = new SecretScan();
  told = [];
  webhook = createServer((request, response) => {
    request.on("data", (chunk) => told.push(String(chunk))).on("end", () => response.end());
  });
  webhook.listen(0, "127.0.0.1");
  await once(webhook, "listening");
  const url = `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/${word}-hook`;
  await writeFile(join(sites.folder, "webhook.url"), url, { mode: 0o600 });
  const backoff = { base_ms: 50, factor: 2, cap_ms: 400, probe_ms: 400 };
  const settings = {
    replication: { peers: [], max_retries: 1, backoff },
    alerts: { webhook_file: "./webhook.url" },
  };
  calgary = await initLoneSite(sites, "calgary", "primary", settings);
  zurich = await initLoneSite(sites, "zurich", "backup", settings);
  for (const { operatorToken, site } of [calgary, zurich])
    scan.addToken(`operator of ${site}`, operatorToken);
});
afterEach(async () => {
  await sites[Symbol.asyncDispose]();
  webhook.closeAllConnections();
  webhook.close();
});

/** Files that may hold secrets, for whoever owns them alone: the pair's, and the webhook's URL. */
const credentialFiles = ["calgary.token", "zurich.token", "webhook.url"];

async function findings(): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for (const [path, bytes] of filesBelow(sites.folder)) {
    if (!credentialFiles.includes(path)) found.push(...scan.find(path, bytes));
    else expect((await stat(join(sites.folder, path))).mode & 0o777).toBe(0o600);
  }
  for (const { site, output } of [calgary, zurich]) found.push(...scan.find(`the log of ${site}`, output));
  for (const text of told) found.push(...scan.find("an answer, an alert or a command's output", text));
  return found;
}

/** A call whose answer is meant for whoever may read secrets. */
async function ask(site: SiteProcess, asking: Asking, status: number): Promise<Json> {
  const answer = await call(site, asking);
  expect([asking.method, asking.path, answer.status]).toEqual([asking.method, asking.path, status]);
  return answer.body as Json;
}

type Telling = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** A call whose answer may hold no secret, nor the header lines of it. */
async function tell(site: SiteProcess, path: string, init: Telling = {}): Promise<number> {
  const answer = await fetch(`${site.url}${path}`, {
    ...init,
    headers: { connection: "close", ...init.headers },
  });
  told.push(await answer.text(), JSON.stringify([...answer.headers]));
  return answer.status;
}

/** A command whose output may hold no secret. */
async function run(site: SiteProcess, args: readonly string[], stdin = ""): Promise<number> {
  const { status, stdout, stderr } = await dormouse([...args, "--config", site.configPath], { stdin });
  told.push(stdout, stderr);
  return status;
}

async function pairUp(): Promise<void> {
  await calgary.start();
  await using inviting = await Inviting.begin(calgary);
  scan.addText("invitation", inviting.code);
  scan.addBytes("invitation", Buffer.from(parseInviteCode(inviting.code).secret));
  expect(await run(zurich, ["peer", "join"], `${inviting.code}\n`)).toBe(0);
  await inviting.result();
  told.push(inviting.errors());
  await zurich.start();
  await addPairSecrets();
}

async function addPairSecrets(): Promise<void> {
  for (const line of (await readFile(join(sites.folder, "zurich.token"), "utf8")).trim().split("\n")) {
    const token = parseToken(line);
    if (token === undefined) throw new Error("the pair's file holds no token");
    scan.addToken("pair", line);
    for (const [from, to] of [["calgary", "zurich"] as const, ["zurich", "calgary"] as const]) {
      scan.addToken("credential", peerCredential(token, from as SiteName, to as SiteName));
    }
  }
}

async function settled(): Promise<void> {
  await backupWhere(calgary, ({ state, acked }, head) => state === "asleep" && acked === head);
}

async function createVault(name: string): Promise<Vault> {
  const body = { name, recovery: true };
  const made = await ask(calgary, { method: "POST", path: "/api/vaults", body }, 201);
  scan.addToken("owner", String(made["token"]));
  scan.addToken("recovery", String((made["recovery"] as Json)["token"]));
  return { path: `/api/vaults/${String(made["vault_id"])}`, token: String(made["token"]) };
}

const chosen = `zäune "${word}" mühle\\quendel fünfzig wanderstab`;

type Members = { readonly machine: Json; readonly person: Json; readonly session: string };

/** A machine, a person with a passphrase of the site's, and one with their own; both log in, on either site. */
async function admit({ path, token }: Vault): Promise<Members> {
  const add = (body: object) => ask(calgary, { method: "POST", path: `${path}/access`, token, body }, 201);
  const machine = await add({ kind: "machine", name: "deploy", scope: "write" });
  scan.addToken("machine", String(machine["token"]));
  const person = await add({ kind: "person", login: "anna", scope: "read" });
  const passphrase = String(person["passphrase"]);
  scan.addText("passphrase", passphrase);
  await add({ kind: "person", login: "berta", scope: "owner", passphrase: chosen });
  await settled();
  const attempts = [
    [calgary, { login: "berta", passphrase: chosen }, 201],
    [zurich, { login: "anna", passphrase }, 201],
    [calgary, { login: "anna", passphrase: `${word} wrong` }, 401],
    [zurich, { login: "nobody", passphrase: chosen }, 401],
    [calgary, { login: `${word} as a login`, passphrase: chosen }, 400],
  ] as const;
  const tokens: string[] = [];
  for (const [site, body, status] of attempts) {
    const answer = await ask(site, { method: "POST", path: "/api/sessions", body }, status);
    if (status !== 201) told.push(JSON.stringify(answer));
    else tokens.push(String(answer["token"]));
  }
  for (const each of tokens) scan.addToken("session", each);
  return { machine, person, session: tokens[0] ?? "" };
}

/** Something of the planted word in every place that an entry has. */
function entryOf(type: string, number = 0) {
  return {
    type,
    title: `${word} title ${type} ${number}`,
    urls: [`https://${word}.example/${type}`],
    tags: [`${word} tag`],
    fields: [
      { label: `${word} text`, value: `${word} "value" \u00fc`, kind: "text" },
      { label: `${word} concealed`, value: `${word} concealed`, kind: "concealed" },
      { label: `${word} code`, value: `${word.toUpperCase()}${"A".repeat(20)}`, kind: "totp" },
      {
        label: `${word} uri`,
        value: `otpauth://totp/${word}?secret=${word.toUpperCase()}AAAA`,
        kind: "totp",
      },
      { label: `${word} url`, value: `https://${word}.example`, kind: "url" },
      { label: `${word} email`, value: `${word}@example.org`, kind: "email" },
      { label: `${word} date`, value: "2026-02-28", kind: "date" },
    ],
    notes: `${word} notes`.repeat(20),
  };
}

async function fill({ path, token }: Vault): Promise<readonly string[]> {
  const entries: string[] = [];
  for (const type of entryTypes) {
    const made = await ask(
      calgary,
      { method: "POST", path: `${path}/entries`, token, body: entryOf(type) },
      201,
    );
    entries.push(`${path}/entries/${String(made["entry_id"])}`);
  }
  const few = Array.from({ length: 3 }, (_, number) => entryOf("note", number));
  // Above 1 MiB an import is read in a thread of its own.
  const many = Array.from({ length: 20 }, (_, number) => ({
    ...entryOf("custom", number),
    notes: `${word} `.repeat(5_000),
  }));
  for (const imported of [few, many]) {
    await ask(
      calgary,
      { method: "POST", path: `${path}/entries/import`, token, body: { entries: imported } },
      201,
    );
  }
  return entries;
}

/** Every change that an entry can go through, and every way to read it. */
async function work({ path, token }: Vault, entries: readonly string[], session: string): Promise<void> {
  const [edited = "", trashed = "", purged = ""] = entries;
  for (const title of [`${word} second title`, `${word} third title`])
    await ask(calgary, { method: "PATCH", path: edited, token, body: { title } }, 200);
  await ask(calgary, { method: "POST", path: `${edited}/versions/1/restore`, token: session }, 200);
  await ask(calgary, { method: "DELETE", path: trashed, token }, 200);
  await ask(calgary, { method: "PATCH", path: purged, token, body: { notes: `${word} more` } }, 200);
  await ask(calgary, { method: "DELETE", path: `${purged}?purge=true`, token, prefer: "wait=20" }, 200);
  for (const site of [calgary, zurich]) {
    await ask(site, { path: `${edited}/versions`, token }, 200);
    await ask(site, { path: `${edited}/totp`, token }, 200);
    const found = await ask(
      site,
      { method: "POST", path: `${path}/entries/search`, token, body: { query: word } },
      200,
    );
    expect(found["entries"]).not.toEqual([]);
    await ask(site, { path: `${path}/entries?tag=${word}%20tag&limit=500`, token }, 200);
  }
}

/** Secrets where they do not belong. None of it may be repeated to anybody. */
async function misplace({ path, token }: Vault): Promise<void> {
  const json = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const post = (to: string, body: string) => tell(calgary, to, { method: "POST", headers: json, body });
  const statuses = [
    await tell(calgary, `/api/vaults?token=${token}&passphrase=${word}`, { headers: json }),
    await tell(calgary, `${path}/entries?cursor=${token}&type=${word}`, { headers: json }),
    await tell(calgary, `/api/vaults/${token}/entries/${word}`, { headers: json }),
    await tell(calgary, `/${word}/${token}`, { headers: json }),
    await tell(calgary, `/%zz${word}`, { headers: json }),
    await tell(calgary, `${path}/entries`, { headers: { authorization: `Basic ${token}` } }),
    await tell(calgary, `${path}/entries`, {
      headers: { authorization: `Bearer ${token}x`, "x-note": word, cookie: token },
    }),
    await tell(calgary, `${path}/entries/${token}`, {
      method: "PUT",
      headers: { ...json, "if-match": word, prefer: `wait=${word}` },
      body: "{}",
    }),
    await post(`${path}/entries`, `{"type": "note", "title": "${word}`),
    await post(
      `${path}/entries`,
      JSON.stringify({ ...entryOf("note"), type: word, favourite: word, fields: [{ kind: word }] }),
    ),
    await post(`${path}/entries`, JSON.stringify({ ...entryOf("note"), notes: word.repeat(40_000) })),
    await post(`${path}/entries/import`, JSON.stringify({ entries: [word, { title: word }, token] })),
    await post(
      `${path}/entries/import`,
      JSON.stringify({ entries: Array.from({ length: 100 }, () => word.repeat(1_000)) }),
    ),
    await post(`${path}/access`, JSON.stringify({ kind: "machine", name: [word], scope: token })),
    await post(
      `${path}/access`,
      JSON.stringify({ kind: "person", login: "carl", scope: "read", passphrase: word }),
    ),
    await post("/api/sessions", JSON.stringify({ login: chosen, passphrase: [chosen] })),
    await post("/api/replication/apply", JSON.stringify({ protocol: word, rows: [token] })),
    await tell(calgary, "/metrics"),
  ];
  expect(statuses.every((status) => status >= 400 && status < 500)).toBe(true);
  const socket = connect(Number(new URL(calgary.url).port), "127.0.0.1");
  socket.on("data", (chunk) => told.push(String(chunk)));
  socket.end(`GET /${word} HTTP/9.9\r\nAuthorization: ${token}\r\n\r\n${word}`);
  await once(socket, "close");
}

/** Accesses end, and keys and secrets are changed. */
async function renew({ path, token }: Vault, { machine, person }: Members): Promise<void> {
  await ask(
    calgary,
    { method: "DELETE", path: `${path}/access/${String(machine["access_id"])}`, token },
    200,
  );
  const keeping = `${path}/access/${String(person["access_id"])}?keep_key=true`;
  await ask(calgary, { method: "DELETE", path: keeping, token }, 200);
  await ask(calgary, { method: "POST", path: `${path}/rotation`, token }, 200);
  expect(await run(calgary, ["peer", "rotate", "zurich"])).toBe(0);
  await addPairSecrets();
  await settled();
}

/** The backup is gone for a while, then the primary; what neither has from the other is stranded. */
async function failOver({ path, token }: Vault): Promise<void> {
  await zurich.kill();
  await ask(calgary, { method: "POST", path: `${path}/entries`, token, body: entryOf("login", 7) }, 201);
  await vi.waitUntil(() => told.some((text) => text.includes("replication_failed")), { timeout: 20_000 });
  await zurich.start();
  await settled();
  await zurich.kill();
  await ask(calgary, { method: "POST", path: `${path}/entries`, token, body: entryOf("card", 8) }, 201);
  await calgary.kill();
  await zurich.start();
  expect(await run(zurich, ["promote", "--force", "--yes"])).toBe(0);
  await ask(zurich, { method: "POST", path: `${path}/entries`, token, body: entryOf("note", 9) }, 201);
  await calgary.start();
  await vi.waitUntil(async () => (await run(calgary, ["rejoin"])) === 0, { timeout: 20_000, interval: 200 });
  await vi.waitUntil(() => told.some((text) => text.includes("rows_stranded")), { timeout: 20_000 });
}

/** Everything that a site shows to whoever looks after it. */
async function inspect(): Promise<void> {
  const commands = ["status", "check", "verify", "doctor", "stranded list", "peer list", "access blocked"];
  const audits = ["audit list --limit 1000", "audit verify"];
  for (const site of [calgary, zurich]) {
    for (const command of [...commands, ...audits]) await run(site, [...command.split(" "), "--json"]);
    const file = join(sites.folder, `${site.site}.snapshot`);
    expect(await run(site, ["snapshot", "create", file])).toBe(0);
    const headers = { authorization: `Bearer ${site.operatorToken}` };
    for (const path of ["/healthz", "/readyz", "/api/vaults", "/api/replication", "/api/alerts?limit=100"])
      await tell(site, path, { headers });
    await tell(site, "/api/audit?limit=1000", { headers });
    await tell(site, "/api/alerts/test", { method: "POST", headers });
    told.push(await readFile(`/proc/${site.pid}/cmdline`, "utf8"));
    told.push(await readFile(`/proc/${site.pid}/environ`, "utf8"));
  }
}

describe("after everything that a vault goes through", () => {
  it("no title, value, passphrase, token or key stands in a file of either site, a snapshot, a log, an alert, an answer or an argument; no crash leaves a report", async () => {
    await pairUp();
    const vault = await createVault("Family");
    const members = await admit(vault);
    const entries = await fill(vault);
    await work(vault, entries, members.session);
    await misplace(vault);
    await renew(vault, members);
    await failOver(vault);
    await inspect();
    expect(await findings()).toEqual([]);
    // The log of the database is gone when a site has stopped: what was in it is in the database now.
    for (const site of [calgary, zurich]) expect(await site.stop()).toBe(0);
    expect(await findings()).toEqual([]);
    const paths = [...filesBelow(sites.folder).keys()];
    expect(
      paths.filter((path) => /(^|\/)(core|report|node_trace|isolate)|\.(heapsnapshot|log)$/.test(path)),
    ).toEqual([]);
    // What was looked at is what it is called: the audit's list, an alert, an answer.
    for (const text of ["changeVaultKey", "replication_failed", "invalid_request"])
      expect(told.some((each) => each.includes(text))).toBe(true);
    expect(scan.size).toBeGreaterThan(200);
  });
});

describe("what the scan is worth:", () => {
  it("an entry that is not sealed is found in the database, and one that waits in its log", async () => {
    await pairUp();
    const vault = await createVault("Family");
    const body = entryOf("login");
    await ask(calgary, { method: "POST", path: `${vault.path}/entries`, token: vault.token, body }, 201);
    await settled();
    expect(await findings()).toEqual([]);
    await zurich.stop();
    const database = new Sqlite(join(zurich.dataPath, "dormouse.db"));
    database.prepare("UPDATE rows SET body = ? WHERE kind = 'entry'").run(Buffer.from(JSON.stringify(body)));
    expect((await findings()).map(({ where }) => where)).toContain("zurich/dormouse.db-wal");
    database.close();
    expect((await findings()).map(({ where }) => where)).toContain("zurich/dormouse.db");
  });

  it("a secret is found in every form, wherever it begins", async () => {
    scan.addText("passphrase", chosen);
    scan.addToken("token", calgary.operatorToken);
    const secret = Buffer.from(calgary.operatorToken.slice(37, 80), "base64url");
    const folder = join(sites.folder, "planted");
    await mkdir(folder);
    for (const planted of [Buffer.from(chosen), Buffer.from(word), secret]) {
      for (const before of ["", "x", "xy", "xyz"]) {
        const bytes = Buffer.concat([Buffer.from(before), planted, Buffer.from("z")]);
        const wide = Buffer.from(bytes.toString("utf8"), "utf16le");
        const texts = ["hex", "base64", "base64url"].map((form) => bytes.toString(form as "hex"));
        const forms =
          planted === secret ? [bytes, ...texts] : [bytes, ...texts, wide, JSON.stringify(String(bytes))];
        for (const form of forms) {
          await writeFile(join(folder, "file"), form);
          expect((await findings()).map(({ where }) => where)).toContain("planted/file");
        }
      }
    }
  });
});

/** Nonce, ciphertext and tag of every row of an entry, as they lie in a site's database. */
function sealedBodies({ dataPath }: SiteProcess, entryId: string): readonly Buffer[] {
  const database = new Sqlite(join(dataPath, "dormouse.db"), { readonly: true });
  const headerBytes = 58;
  const bodies = [
    ...database.prepare("SELECT body FROM rows WHERE kind = 'entry' AND item_id = ?").all(entryId),
    ...database
      .prepare("SELECT body FROM rows WHERE kind = 'version' AND item_id LIKE ? || '.%'")
      .all(entryId),
  ] as { body: Buffer | null }[];
  database.close();
  return bodies.flatMap(({ body }) => (body === null ? [] : [body.subarray(headerBytes)]));
}

it("a purge that the backup has acknowledged leaves the sealed bytes in no file of either site", async () => {
  await pairUp();
  const { path, token } = await createVault("Family");
  const made = await ask(
    calgary,
    { method: "POST", path: `${path}/entries`, token, body: entryOf("login") },
    201,
  );
  const entryId = String(made["entry_id"]);
  const entry = `${path}/entries/${entryId}`;
  await ask(calgary, { method: "PATCH", path: entry, token, body: { title: `${word} 2` } }, 200);
  await settled();
  const bodies = sealedBodies(calgary, entryId);
  expect(bodies).toHaveLength(2);
  expect(sealedBodies(zurich, entryId)).toEqual(bodies);
  const left = () =>
    [...filesBelow(sites.folder)]
      .filter(([, bytes]) => bodies.some((body) => pieces(body).some((piece) => bytes.includes(piece))))
      .map(([name]) => name);
  expect(left().map((name) => name.split("/")[0])).toEqual(expect.arrayContaining(["calgary", "zurich"]));
  const purge = { method: "DELETE", path: `${entry}?purge=true`, token, prefer: "wait=20" };
  const { replication } = await ask(calgary, purge, 200);
  expect(replication).toMatchObject({ dirty: false, backups: { zurich: true } });
  expect(left()).toEqual([]);
});

/** Parts of a body short enough to lie whole on one page of a database, whatever page it begins on. */
function pieces(body: Buffer): readonly Buffer[] {
  const pieceBytes = 64;
  return Array.from({ length: Math.floor(body.length / pieceBytes) }, (_, index) =>
    body.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
}
