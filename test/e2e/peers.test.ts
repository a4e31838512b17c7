import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemRandom } from "../../src/app/system-ports.ts";
import { AdminClient } from "../../src/cli/admin-client.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { formatToken, newToken } from "../../src/crypto/token.ts";
import { Middleman } from "../support/middleman.ts";
import { initLoneSite, Inviting, pairSites } from "../support/pairing.ts";
import { call, type CommandResult, dormouse, type SiteProcess, Sites } from "../support/processes.ts";

/** Adding and removing real sites as peers, and changing the secret of a pair that is at work. */

// Several processes start in each test, and the machine may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

let sites: Sites;
beforeEach(async () => {
  sites = await Sites.inTemporaryFolder();
});
afterEach(() => sites[Symbol.asyncDispose]());

type PeerStatus = {
  readonly site: string;
  readonly state: string;
  readonly acked: string | null;
  readonly dirty: number;
  readonly last_error: string | null;
};
type Alert = {
  readonly severity: string;
  readonly ended_at: string | null;
  readonly details: { readonly backup?: string };
};
type Alerts = { readonly alerts: readonly Alert[] };
type Status = { readonly head: string; readonly dirty: number; readonly peers: readonly PeerStatus[] };

async function statusOf(site: SiteProcess): Promise<Status> {
  return (await call(site, { path: "/api/replication" })).body as Status;
}

async function statusWhere(site: SiteProcess, isThere: (status: Status) => boolean): Promise<Status> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const status = await statusOf(site);
    if (isThere(status)) return status;
    if (performance.now() > deadline) throw new Error(`it came to ${JSON.stringify(status)}\n${site.output}`);
    // Another process is at work: there is no event to wait for.
    await new Promise((done) => setTimeout(done, 30));
  }
}

const peerOf = (status: Status, site: string) => status.peers.find((peer) => peer.site === site);
const isCurrent = (site: string) => (status: Status) => peerOf(status, site)?.acked === status.head;

function peerCommand(site: SiteProcess, ...args: readonly string[]): Promise<CommandResult> {
  return dormouse(["peer", ...args, "--config", site.configPath]);
}

async function makeVault(primary: SiteProcess) {
  const made = await call(primary, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  const { vault_id: vaultId, token } = made.body as { vault_id: string; token: string };
  let count = 0;
  const write = async (prefer?: string) => {
    count += 1;
    const path = `${primary.url}/api/vaults/${vaultId}/entries`;
    const answer = await fetch(path, {
      method: "POST",
      headers: {
        connection: "close",
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        ...(prefer !== undefined && { prefer }),
      },
      body: JSON.stringify({ type: "note", title: `Note ${count}` }),
    });
    expect(answer.status).toBe(201);
    return (await answer.json()) as { readonly replication: { readonly backups?: Record<string, boolean> } };
  };
  const titlesAt = async (site: SiteProcess): Promise<readonly string[]> => {
    const answer = await call(site, { path: `/api/vaults/${vaultId}/entries?limit=500`, token });
    return (answer.body as { entries: { title: string }[] }).entries.map(({ title }) => title);
  };
  return { write, titlesAt, written: () => count };
}

/** `dormouse peer invite` with a terminal, on which somebody types an answer when asked. */
function inviteAtTerminal(primary: SiteProcess, typed: string) {
  const command = `'${resolve("bin/dormouse")}' peer invite --config '${primary.configPath}'`;
  const code = Promise.withResolvers<string>();
  const shown = new Promise<string>((done) => {
    let text = "";
    const child = execFile("script", ["-qec", command, "/dev/null"], () => done(text));
    child.stdout?.on("data", (part) => {
      const isAsked = text.includes("[y/N]");
      text += String(part);
      const [found] = /dmi_[\w-]+(?=\s)/.exec(text) ?? [];
      if (found !== undefined) code.resolve(found);
      if (!isAsked && text.includes("[y/N]")) child.stdin?.write(typed);
    });
  });
  return { code: code.promise, shown };
}

/** Listens, takes every connection and never says a word. */
async function openSilence() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

describe("peers of a running primary", () => {
  it("are added and filled, are apart from each other when one hangs, and count no longer when removed", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary", {
      replication: {
        peers: [],
        request_timeout_ms: 500,
        backoff: { base_ms: 50, cap_ms: 400, probe_ms: 400 },
      },
      alerts: { lag_after_ms: 300 },
    });
    const zurich = await initLoneSite(sites, "zurich", "backup");
    await calgary.start();
    await zurich.start();
    const vault = await makeVault(calgary);
    await vault.write();
    await pairSites(calgary, zurich);
    await statusWhere(calgary, isCurrent("zurich"));

    await using silence = await openSilence();
    const tokenFile = join(sites.folder, "oslo.token");
    const added = await peerCommand(calgary, "add", "oslo", silence.url, "--token-file", tokenFile, "--json");
    expect(JSON.parse(added.stdout)).toMatchObject({ site: "oslo", token_made: true, running: true });
    const waiting = await statusWhere(calgary, (status) => (peerOf(status, "oslo")?.dirty ?? 0) > 0);
    expect(waiting.peers.map(({ site }) => site)).toEqual(["zurich", "oslo"]);

    for (let times = 0; times < 3; times += 1) await vault.write();
    const apart = await statusWhere(calgary, isCurrent("zurich"));
    expect(silence.connections()).toBeGreaterThan(0);
    expect(apart.dirty).toBeGreaterThan(0);
    expect(peerOf(apart, "zurich")).toMatchObject({ dirty: 0, last_error: null });
    expect(peerOf(apart, "oslo")?.acked).toBeNull();
    expect(await vault.titlesAt(zurich)).toEqual(["Note 4", "Note 3", "Note 2", "Note 1"]);

    const again = await peerCommand(calgary, "add", "oslo", silence.url, "--token-file", tokenFile);
    expect(again).toMatchObject({ status: 7 });
    const openAbout = async (): Promise<readonly unknown[]> => {
      const { alerts } = (await call(calgary, { path: "/api/alerts" })).body as Alerts;
      const open = alerts.filter((alert) => alert.severity !== "info" && alert.ended_at === null);
      return open.map(({ details }) => details.backup);
    };
    await expect.poll(openAbout, { timeout: 10_000 }).toContain("oslo");
    expect((await peerCommand(calgary, "remove", "oslo", "--yes")).status).toBe(0);
    expect(await openAbout()).toEqual([]);
    const left = await statusOf(calgary);
    expect(left).toMatchObject({ dirty: 0, peers: [{ site: "zurich", dirty: 0 }] });
    const listed = await peerCommand(calgary, "list", "--json");
    expect(JSON.parse(listed.stdout)).toMatchObject({
      peers: [{ site: "zurich", state: "asleep", secrets: 1 }],
    });
    expect((await peerCommand(calgary, "remove", "oslo", "--yes")).status).toBe(6);
  });

  it("are two by a second invitation; one that was lost and made anew is paired again under its name, when that is meant, with a new secret, and filled from the beginning", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary");
    const lost = await initLoneSite(sites, "zurich", "backup");
    const oslo = await initLoneSite(sites, "oslo", "backup");
    await Promise.all([calgary, lost, oslo].map((site) => site.start()));
    const vault = await makeVault(calgary);
    await vault.write();
    for (const backup of [lost, oslo]) await pairSites(calgary, backup);
    await vault.write();
    await statusWhere(calgary, (status) => isCurrent("zurich")(status) && isCurrent("oslo")(status));
    for (const backup of [lost, oslo]) expect(await vault.titlesAt(backup)).toEqual(["Note 2", "Note 1"]);
    await lost.stop();
    await rm(lost.dataPath, { recursive: true });

    const anew = await initLoneSite(sites, "zurich", "backup");
    await anew.start();
    const before = await readFile(calgary.configPath, "utf8");
    await using unmeant = await Inviting.begin(calgary);
    const joining = ["peer", "join", "--config", anew.configPath];
    const declined = await dormouse(joining, { stdin: unmeant.code });
    expect(declined).toMatchObject({ status: 1, stderr: expect.stringMatching(/declined/) });
    const { status: ended, stderr } = await unmeant.result();
    expect(ended).toBe(1);
    expect(stderr).toMatch(/zurich is a peer already[^]*If that is meant, add --replace/);
    expect(stderr).toContain(`${lost.url} → ${anew.url}`);
    expect(await readFile(calgary.configPath, "utf8")).toBe(before);

    const asked = inviteAtTerminal(calgary, "n\n");
    expect(await dormouse(joining, { stdin: await asked.code })).toMatchObject({ status: 1 });
    expect(await asked.shown).toContain("Have it take the place of the known zurich? [y/N]");
    expect(await readFile(calgary.configPath, "utf8")).toBe(before);

    await pairSites(calgary, anew, "--replace");
    // What the lost site had acknowledged stands until the new one has answered.
    const { head } = await statusOf(calgary);
    await statusWhere(anew, (status) => status.head === head);
    const status = await statusWhere(calgary, isCurrent("zurich"));
    expect(status.peers).toMatchObject([
      { site: "zurich", url: anew.url, dirty: 0 },
      { site: "oslo", url: oslo.url, dirty: 0 },
    ]);
    expect(await vault.titlesAt(anew)).toEqual(["Note 2", "Note 1"]);
    const [first, second] = await Promise.all(
      ["zurich.token", "zurich-2.token"].map((name) => readFile(join(sites.folder, name), "utf8")),
    );
    expect(second).not.toBe(first);
    expect(await readFile(calgary.configPath, "utf8")).toContain("zurich-2.token");
  });

  it("that a configuration cannot have are refused, and nothing of it or of the running site changes", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary");
    await calgary.start();
    const before = await readFile(calgary.configPath, "utf8");
    const tokenFile = join(sites.folder, "oslo.token");
    const beyond = await peerCommand(
      calgary,
      "add",
      "oslo",
      "http://oslo.example",
      "--token-file",
      tokenFile,
    );
    expect(beyond.stderr).toMatch(/must begin with https:/);
    const self = await peerCommand(calgary, "add", "calgary", "https://a.example", "--token-file", tokenFile);
    expect(self.stderr).toMatch(/is this very site/);
    expect([beyond.status, self.status]).toEqual([3, 3]);
    expect(await readFile(calgary.configPath, "utf8")).toBe(before);
    await expect(readFile(tokenFile)).rejects.toThrow(/ENOENT/);
    expect((await statusOf(calgary)).peers).toEqual([]);
  });
});

describe("a configuration that was edited", () => {
  it("is taken over by a reload, and one with a mistake changes nothing and says what would be right", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary");
    await calgary.start();
    const before = await readFile(calgary.configPath, "utf8");
    const oslo = '{ "site": "oslo", "url": "http://127.0.0.1:1", "token_file": "oslo.token" }';
    await writeFile(calgary.configPath, before.replace('"peers": []', `"peers": [${oslo}]`));
    const reload = () => dormouse(["reload", "--config", calgary.configPath]);
    const missing = await reload();
    expect(missing).toMatchObject({ status: 3 });
    expect(missing.stdout).toMatch(/^nothing of the peers: .*names a file that does not exist/);
    expect((await statusOf(calgary)).peers).toEqual([]);

    await writeFile(join(sites.folder, "oslo.token"), `${formatToken(newToken("peer", systemRandom))}\n`, {
      mode: 0o600,
    });
    expect(await reload()).toMatchObject({ status: 0, stdout: "the peers: oslo added\n" });
    expect((await statusOf(calgary)).peers).toMatchObject([{ site: "oslo" }]);
    process.kill(calgary.pid, "SIGHUP");
    await writeFile(calgary.configPath, before);
    process.kill(calgary.pid, "SIGHUP");
    await statusWhere(calgary, ({ peers }) => peers.length === 0);
  });
});

/** Each message of a change on its way, and who is killed before it gets further. */
const killings = (["offer", "confirm"] as const).flatMap((action) =>
  (["request", "answer"] as const).flatMap((way) =>
    (["calgary", "zurich"] as const).map((victim) => ({ action, way, victim })),
  ),
);

describe("the secret of a pair at work", () => {
  it("is changed three times, from either side, without a push that is lost or an alert", async () => {
    const calgary = await initLoneSite(sites, "calgary", "primary");
    const zurich = await initLoneSite(sites, "zurich", "backup");
    await Promise.all([calgary.start(), zurich.start()]);
    await pairSites(calgary, zurich);
    const vault = await makeVault(calgary);
    const secret = () => readFile(join(sites.folder, "zurich.token"), "utf8");
    const seen = [await secret()];

    let isOver = false;
    const writing = (async () => {
      while (!isOver) await vault.write();
    })();
    for (const [site, peer] of [
      [calgary, "zurich"],
      [zurich, "calgary"],
      [calgary, "zurich"],
    ] as const) {
      const rotated = await peerCommand(site, "rotate", peer);
      expect(rotated).toMatchObject({ status: 0, stderr: "" });
      expect(await secret()).toBe(await readFile(join(sites.folder, "calgary.token"), "utf8"));
      seen.push(await secret());
    }
    isOver = true;
    await writing;
    expect(new Set(seen).size).toBe(4);
    for (const text of seen) expect(text.trim().split("\n")).toHaveLength(1);

    const status = await statusWhere(calgary, isCurrent("zurich"));
    expect(peerOf(status, "zurich")).toMatchObject({ dirty: 0, last_error: null });
    expect((await call(calgary, { path: "/api/alerts" })).body).toMatchObject({ alerts: [] });
    expect(await vault.titlesAt(zurich)).toEqual(await vault.titlesAt(calgary));
    expect(vault.written()).toBeGreaterThan(3);
    for (const text of seen) {
      expect(calgary.output + zurich.output).not.toContain(text.slice(40, 75));
    }
    // What the old one was is nothing any more, also after both have read their files anew.
    await zurich.stop();
    await zurich.start();
    await vault.write();
    await statusWhere(calgary, isCurrent("zurich"));
  });

  it("is changed whatever is killed at whatever step: pushes go on before and after the same command has finished it", {
    timeout: 60_000,
  }, async () => {
    await using middleman = await Middleman.listen();
    const calgary = await initLoneSite(sites, "calgary", "primary");
    const zurich = await initLoneSite(sites, "zurich", "backup", { public_url: middleman.url });
    middleman.target = zurich.url;
    await Promise.all([calgary.start(), zurich.start()]);
    await pairSites(calgary, zurich);
    const vault = await makeVault(calgary);
    const { configPath, dataPath } = calgary;
    const admin = new AdminClient({ configPath, site: "calgary" as SiteName, dataFolder: dataPath });
    const rotate = () => admin.call({ command: "rotate", body: { peer: "zurich" } });
    const secretOf = (peer: string) => readFile(join(sites.folder, `${peer}.token`), "utf8");
    const seen = new Set([await secretOf("zurich")]);
    const current = async () => {
      await vault.write();
      await statusWhere(calgary, isCurrent("zurich"));
    };
    for (const { victim, way, action } of killings) {
      const site = victim === "calgary" ? calgary : zurich;
      const killed = Promise.withResolvers<void>();
      const kill = async (sent: string, body: string): Promise<string> => {
        if (!sent.includes(`"action":"${action}"`)) return body;
        middleman.meddling = {};
        await site.kill();
        killed.resolve();
        return body;
      };
      middleman.meddling =
        way === "request"
          ? { request: ({ body }) => kill(body, body) }
          : { answer: ({ sent, body }) => kill(sent, body) };
      // What the killed site had answered already may be all that was missing.
      await rotate().catch(() => undefined);
      await killed.promise;
      await site.start();
      await current();
      await rotate();
      await current();
      const secret = await secretOf("zurich");
      expect(secret.trim().split("\n")).toHaveLength(1);
      expect(await secretOf("calgary")).toBe(secret);
      expect(seen).not.toContain(secret);
      seen.add(secret);
    }
    expect(await vault.titlesAt(zurich)).toEqual(await vault.titlesAt(calgary));
    expect(await vault.titlesAt(zurich)).toHaveLength(2 * killings.length);
  });
});
