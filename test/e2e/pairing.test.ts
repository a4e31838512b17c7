import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { AdminClient } from "../../src/cli/admin-client.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { formatInviteCode, parseInviteCode } from "../../src/crypto/invite-code.ts";
import { fingerprintOf, type Identity, makeAuthority, makeIdentity } from "../support/certificates.ts";
import { type Meddling, Middleman } from "../support/middleman.ts";
import { initLoneSite, Inviting, startJoin } from "../support/pairing.ts";
import {
  call,
  type CommandResult,
  dormouse,
  freePort,
  type SiteProcess,
  Sites,
} from "../support/processes.ts";
import { backupWhere, trust, writeIdentity, writeVault } from "../support/tls-pair.ts";

/** Two real sites become a pair by the commands that an operator types, or do not. */

// Several processes start in each test, and the machine may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

let sites: Sites;
beforeEach(async () => {
  sites = await Sites.inTemporaryFolder();
});
afterEach(() => sites[Symbol.asyncDispose]());

const asleep = (peer: { state: string; acked: string | null }, head: string) =>
  peer.state === "asleep" && peer.acked === head;

/** A site over TLS without peers, initialised and not started, with its certificate in its files. */
async function initTlsSite(
  site: string,
  role: "primary" | "backup",
  identity: Identity,
): Promise<SiteProcess> {
  await writeIdentity(sites, site, identity);
  const port = await freePort();
  const config = {
    edition: "commercial",
    site,
    replication: { peers: [], backoff: { base_ms: 50, cap_ms: 400 } },
    listen: { host: "127.0.0.1", port, tls: { cert: `${site}.crt`, key: `${site}.key` } },
  };
  return await sites.init(config, { scheme: "https", port, role });
}

function joinWith(backup: SiteProcess, code: string): Promise<CommandResult> {
  // The code comes from standard input: an argument could be read by other users of the machine.
  return dormouse(["peer", "join", "--config", backup.configPath, "--json"], { stdin: `${code}\n` });
}

/** The same without a process of its own, at a site that runs and refuses it. */
function joinRunning(backup: SiteProcess, code: string): Promise<unknown> {
  return adminOf(backup)
    .call({ command: "join", body: { code } })
    .then(
      (joined) => expect.fail(`joined: ${JSON.stringify(joined)}`),
      (error: unknown) => error,
    );
}

function refused(result: CommandResult, status: number, text: RegExp): void {
  expect(result.stderr).toMatch(text);
  expect(result.stdout).toBe("");
  expect(result.status).toBe(status);
}

/** Every secret that lies in a token file of the folder. */
async function secretsIn(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".token"));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
  return texts.flatMap((text) => text.trim().split("\n"));
}

/** Whether any part of a secret that matters stands in a text. */
function expectNoSecretIn(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) expect(text.includes(secret.slice(40, 75))).toBe(false);
}

type Progress = Readonly<Record<string, unknown>>;

function adminOf({ configPath, site, dataPath }: SiteProcess): AdminClient {
  return new AdminClient({ configPath, site: site as SiteName, dataFolder: dataPath });
}

async function configOf(site: SiteProcess): Promise<string> {
  return await readFile(site.configPath, "utf8");
}

async function writeEntry(primary: SiteProcess): Promise<{ readonly path: string; readonly token: string }> {
  const made = await call(primary, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  const { vault_id: vaultId, token } = made.body as { vault_id: string; token: string };
  const body = { type: "note", title: "Where the spare key is" };
  const entry = await call(primary, { method: "POST", path: `/api/vaults/${vaultId}/entries`, token, body });
  const { entry_id: entryId } = entry.body as { entry_id: string };
  return { path: `/api/vaults/${vaultId}/entries/${entryId}`, token };
}

describe("from two empty folders", () => {
  it("an invitation and a join lead to an entry that is readable on the backup, and no secret is anywhere but in its file", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary");
    const zurich = await initLoneSite(sites, "zurich", "backup");
    await calgary.start();
    await using inviting = await Inviting.begin(calgary);
    const joined = await joinWith(zurich, inviting.code);
    expect(joined.status).toBe(0);
    expect(JSON.parse(joined.stdout)).toEqual({
      site: "calgary",
      url: calgary.url,
      token_file: join(sites.folder, "calgary.token"),
      certificate: "none",
      own_certificate: "none",
      running: false,
    });
    const invited = await inviting.result();
    expect(invited).toMatchObject({
      status: 0,
      joined: { site: "zurich", url: zurich.url, address: "127.0.0.1" },
    });
    await zurich.start();
    const { path, token } = await writeEntry(calgary);
    await backupWhere(calgary, asleep);
    expect((await call(zurich, { path, token })).body).toMatchObject({ title: "Where the spare key is" });

    const secrets = await secretsIn(sites.folder);
    expect(secrets).toHaveLength(2);
    expect(secrets[0]).toBe(secrets[1]);
    for (const name of ["zurich.token", "calgary.token"]) {
      expect((await stat(join(sites.folder, name))).mode & 0o777).toBe(0o600);
    }
    const written = [calgary.output, zurich.output, joined.stderr, joined.stdout, invited.stderr];
    const texts = [...written, await configOf(calgary), await configOf(zurich)];
    for (const text of texts) expectNoSecretIn(text, [...secrets, inviting.code.padEnd(80)]);
    expect(await readdir(zurich.dataPath)).not.toContain("join.partial");
  });

  it("a backup that runs joins too, and is filled at once; then it holds data, and like a primary it may not join any more", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary");
    const zurich = await initLoneSite(sites, "zurich", "backup");
    const oslo = await initLoneSite(sites, "oslo", "primary");
    await Promise.all([calgary.start(), zurich.start()]);
    const { path, token } = await writeEntry(calgary);
    await using first = await Inviting.begin(calgary);
    expect(JSON.parse((await joinWith(zurich, first.code)).stdout)).toMatchObject({ running: true });
    await backupWhere(calgary, asleep);
    expect((await call(zurich, { path, token })).status).toBe(200);

    await using second = await Inviting.begin(calgary);
    refused(await joinWith(zurich, second.code), 7, /this backup holds another primary's data already/);
    refused(await joinWith(oslo, second.code), 7, /this site is a primary/);
    await zurich.stop();
    refused(await joinWith(zurich, second.code), 7, /this backup holds another primary's data already/);
    expect(await secretsIn(sites.folder)).toHaveLength(2);
  });

  it("over TLS, each pins a certificate that no authority vouches for, and is told so", async () => {
    const identities = { calgary: await makeIdentity("calgary"), zurich: await makeIdentity("zurich") };
    trust(identities.calgary, identities.zurich);
    const calgary = await initTlsSite("calgary", "primary", identities.calgary);
    const zurich = await initTlsSite("zurich", "backup", identities.zurich);
    await Promise.all([calgary.start(), zurich.start()]);
    // Renewed and not reloaded: what the server shows is the old one, and the code is to be of that.
    await writeIdentity(sites, "calgary", await makeIdentity("calgary"));
    await using inviting = await Inviting.begin(calgary);
    const code = parseInviteCode(inviting.code);
    expect(code.fingerprint).toBe(fingerprintOf(identities.calgary));

    const before = await configOf(zurich);
    const wrong = formatInviteCode({ ...code, fingerprint: fingerprintOf(identities.zurich) });
    const result = await joinWith(zurich, wrong);
    refused(result, 4, /the peer's certificate is not the pinned one/);
    expect(await configOf(zurich)).toBe(before);

    expect(JSON.parse((await joinWith(zurich, inviting.code)).stdout)).toMatchObject({
      certificate: "pinned",
      own_certificate: "pinned",
    });
    const invited = await inviting.result();
    expect(invited.joined).toMatchObject({ certificate: "pinned", own_certificate: "pinned" });
    expect(invited.stderr).toMatch(/of zurich is pinned:[^]*zurich has pinned this site's certificate/);
    expect(await configOf(zurich)).toContain(fingerprintOf(identities.calgary));
    expect(await configOf(calgary)).toContain(fingerprintOf(identities.zurich));
    await writeVault(calgary);
    await backupWhere(calgary, asleep);
  });

  it("over TLS, none pins a certificate of a known authority, also of a site that does not run, and the pair outlives the next ones", async () => {
    const authority = await makeAuthority("a public authority");
    await writeFile(join(sites.folder, "ca.crt"), authority.cert);
    // What the processes that are started here know beside the system's.
    vi.stubEnv("NODE_EXTRA_CA_CERTS", join(sites.folder, "ca.crt"));
    trust(authority);
    const identityOf = (name: string) => makeIdentity(name, { ca: authority });
    const calgary = await initTlsSite("calgary", "primary", await identityOf("calgary"));
    const zurich = await initTlsSite("zurich", "backup", await identityOf("zurich"));
    await calgary.start();
    await using inviting = await Inviting.begin(calgary);
    const joined = await joinWith(zurich, inviting.code);
    expect(joined).toMatchObject({ status: 0, stderr: expect.stringMatching(/calgary is of a known auth/) });
    expect(JSON.parse(joined.stdout)).toMatchObject({ certificate: "verified", own_certificate: "verified" });
    const invited = await inviting.result();
    expect(invited).toMatchObject({ joined: { certificate: "verified", own_certificate: "verified" } });
    expect(invited.stderr).toMatch(/certificate of zurich is of a known authority: it is not pinned/);
    for (const site of [calgary, zurich]) expect(await configOf(site)).not.toContain("fingerprint");

    for (const name of ["calgary", "zurich"]) await writeIdentity(sites, name, await identityOf(name));
    process.kill(calgary.pid, "SIGHUP");
    await zurich.start();
    await writeVault(calgary);
    await backupWhere(calgary, asleep);
  });
});

describe("two sites that run, and are as they were after each of these", () => {
  let folder: Sites;
  let calgary: SiteProcess;
  let zurich: SiteProcess;
  let before: readonly string[];
  beforeAll(async () => {
    folder = await Sites.inTemporaryFolder();
    calgary = await initLoneSite(folder, "calgary", "primary");
    zurich = await initLoneSite(folder, "zurich", "backup");
    await Promise.all([calgary.start(), zurich.start()]);
    before = [await configOf(calgary), await configOf(zurich)];
  });
  afterAll(() => folder[Symbol.asyncDispose]());
  afterEach(async () => {
    expect([await configOf(calgary), await configOf(zurich)]).toEqual(before);
    expect(await secretsIn(folder.folder)).toEqual([]);
  });

  it("a site that was not made is told what to run first; and a code is never taken for another", async () => {
    const configPath = join(sites.folder, "oslo.yaml");
    const config = "edition: commercial\nsite: oslo\ndata: ./none\nreplication: { peers: [] }\n";
    await writeFile(configPath, config);
    const code = formatInviteCode({
      url: "http://127.0.0.1:1",
      secret: new Uint8Array(16),
      fingerprint: null,
    });
    const unmade = await dormouse(["peer", "join", "--config", configPath], { stdin: code });
    refused(unmade, 3, /run dormouse init --config .* --role backup first/);
    refused(await joinWith(zurich, code.slice(0, -1)), 2, /checksum does not fit/);
    expect(await joinRunning(zurich, "hello")).toMatchObject({
      message: expect.stringMatching(/begins with dmi_/),
    });
  });

  it("there is no joining without an invitation, and no inviting at a backup or where nobody can be asked", async () => {
    const code = formatInviteCode({ url: calgary.url, secret: new Uint8Array(16), fingerprint: null });
    refused(await joinWith(zurich, code), 6, /No invitation is open here/);
    const invite = ["peer", "invite", "--yes", "--config", zurich.configPath];
    refused(await dormouse(invite), 8, /only a primary invites/);
    refused(await dormouse(["peer", "invite", "--config", calgary.configPath]), 2, /nobody can be asked/);
  });

  it("an invitation ends after five wrong codes, which the operator sees, and the right one comes too late", async () => {
    await using inviting = await Inviting.begin(calgary);
    const code = parseInviteCode(inviting.code);
    const wrong = formatInviteCode({ ...code, secret: new Uint8Array(16) });
    refused(await joinWith(zurich, wrong), 5, /The code is not the one of the open invitation/);
    for (let times = 2; times <= 5; times += 1) {
      expect(await joinRunning(zurich, wrong)).toMatchObject({ code: "invite_refused" });
    }
    const { status, stderr } = await inviting.result();
    expect(status).toBe(5);
    expect(stderr).toMatch(/A proof from 127.0.0.1 was wrong \(5 of 5\)[^]*five proofs were wrong/);
    refused(await joinWith(zurich, inviting.code), 6, /No invitation is open here/);
  });

  it("an invitation whose operator answers no lets nobody in, and says so on both sides", async () => {
    const progress: Progress[] = [];
    // What the command does on a terminal where somebody types "n".
    const invited = adminOf(calgary).call({
      command: "invite",
      onProgress: (event) => {
        progress.push(event);
        const body = { invite_id: progress[0]?.["invite_id"], accept: false };
        if (event["joiner"] !== undefined) void adminOf(calgary).call({ command: "invite-answer", body });
      },
    });
    const outcome = invited.catch((error: unknown) => error);
    await expect.poll(() => progress).toHaveLength(1);
    const second = await dormouse(["peer", "invite", "--yes", "--config", calgary.configPath]);
    refused(second, 7, /An invitation is open at this site already/);
    refused(await joinWith(zurich, String(progress[0]?.["code"])), 1, /has declined/);
    expect(await outcome).toMatchObject({ code: "invite_declined" });
    expect(progress[1]).toEqual({
      joiner: {
        site: "zurich",
        url: zurich.url,
        address: "127.0.0.1",
        fingerprint: null,
        certificate: "none",
        replaces: null,
      },
    });
  });

  it("a primary whose configuration has a mistake by then tells it to its operator, and the joiner only that it failed", async () => {
    {
      await using inviting = await Inviting.begin(calgary);
      await writeFile(calgary.configPath, before[0]?.replace('"backoff"', '"bakcoff"') ?? "");
      const failed = await joinRunning(zurich, inviting.code);
      await writeFile(calgary.configPath, before[0] ?? "");
      expect(failed).toMatchObject({ code: "pairing_failed" });
      expect(JSON.stringify(failed)).not.toContain("bakcoff");
      await expect
        .poll(() => inviting.errors())
        .toMatch(/zurich \(.*, from 127.0.0.1\) cannot be a peer.*bakcoff/);
    }
    // It has ended with the command, and the next one may begin.
    const begin = { method: "POST", path: "/api/pairing", body: { protocol: 1, step: "begin" } };
    await expect.poll(async () => (await call(calgary, begin)).status).toBe(404);
  });
});

describe("somebody in the middle", () => {
  /** A primary whose public URL is the middleman's. */
  async function pairThrough(middleman: Middleman) {
    const calgary = await initLoneSite(sites, "calgary", "primary", { public_url: middleman.url });
    const zurich = await initLoneSite(sites, "zurich", "backup");
    middleman.target = calgary.url;
    await calgary.start();
    return { calgary, zurich, inviting: await Inviting.begin(calgary) };
  }

  const flip = (text: string, name: string) =>
    text.replace(new RegExp(`"${name}":"(.)`), (_, digit) => `"${name}":"${digit === "0" ? "1" : "0"}`);
  it("who changes one byte of anything is found out; who only passes on learns neither the code nor the pair's secret; and what was recorded does nothing a second time", async () => {
    await using middleman = await Middleman.listen();
    const { calgary, zurich, inviting } = await pairThrough(middleman);
    await using _ = inviting;
    await zurich.start();
    const configs = async () => [await configOf(calgary), await configOf(zurich)];
    const before = await configs();
    const meddlings: readonly Meddling[] = [
      { answer: ({ body }) => flip(body, "key") },
      { request: ({ body }) => flip(body, "key") },
      { request: ({ body }) => body.replace('"url":"http://127.0.0.1', '"url":"http://127.0.0.2') },
      { request: ({ body }) => flip(body, "proof") },
    ];
    for (const meddling of meddlings) {
      middleman.meddling = meddling;
      expect(await joinRunning(zurich, inviting.code)).toMatchObject({
        code: "invite_refused",
        message: expect.stringMatching(/was changed on (the|its) way/),
      });
      expect(await configs()).toEqual(before);
    }
    middleman.meddling = { answer: ({ body }) => flip(body, "proof") };
    refused(await joinWith(zurich, inviting.code), 5, /not the primary's/);
    expect(await configOf(zurich)).toBe(before[1]);

    middleman.meddling = {};
    expect((await joinWith(zurich, inviting.code)).status).toBe(0);
    await inviting.result();
    expect(new Set(await secretsIn(sites.folder)).size).toBe(1);
    const { secret } = parseInviteCode(inviting.code);
    const seen = middleman.seen.join("\n");
    expect(seen).toContain('"step":"prove"');
    for (const form of ["hex", "base64url", "base64"] as const) {
      expect(seen).not.toContain(Buffer.from(secret).toString(form));
    }
    expectNoSecretIn(seen, await secretsIn(sites.folder));

    const paired = await configOf(calgary);
    const recorded = middleman.seen.findLast((text) => text.includes('"step":"prove"')) ?? "";
    const replayed = await fetch(`${calgary.url}/api/pairing`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: recorded,
    });
    expect(await replayed.json()).toMatchObject({ state: "joined" });
    const oslo = await initLoneSite(sites, "oslo", "backup");
    refused(await joinWith(oslo, inviting.code), 6, /No invitation is open here/);
    expect(await configOf(calgary)).toBe(paired);
  });

  it("who loses the answer changes nothing: the same command, run again, has the same result", async () => {
    await using middleman = await Middleman.listen();
    const { calgary, zurich, inviting } = await pairThrough(middleman);
    await using _ = inviting;
    let cuts = 0;
    middleman.meddling = {
      answer: ({ body }) => {
        if (!body.includes('"joined"')) return body;
        cuts += 1;
        return undefined;
      },
    };
    // Killed in the middle: what it needs for asking again is in the data folder.
    await using lost = startJoin(zurich, inviting.code);
    expect((await inviting.result()).status).toBe(0);
    while (cuts === 0) await new Promise((done) => setTimeout(done, 20));
    await lost.kill();
    expect(await configOf(zurich)).toContain('"peers": []');

    middleman.meddling = {};
    expect((await joinWith(zurich, inviting.code)).status).toBe(0);
    expect(new Set(await secretsIn(sites.folder)).size).toBe(1);
    await zurich.start();
    await writeVault(calgary);
    await backupWhere(calgary, asleep);
  });
});
