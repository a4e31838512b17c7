import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { generate } from "selfsigned";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { askAdmin } from "../support/admin-socket.ts";
import { SeededRandom } from "../support/ports.ts";
import {
  call,
  type Config,
  dormouse,
  initCommunitySite,
  initPair,
  type SiteProcess,
  Sites,
  writeConfig,
} from "../support/processes.ts";
import { type Vault, Writers } from "../support/writers.ts";

/** What the owner of a machine does with a site, on real processes. */

let sites: Sites;
beforeEach(async () => {
  sites = await Sites.inTemporaryFolder();
});
afterEach(() => sites[Symbol.asyncDispose]());

const on = (site: SiteProcess, ...args: readonly string[]) =>
  dormouse([...args, "--config", site.configPath]);
const socketOf = (site: SiteProcess): string => join(site.dataPath, "admin.sock");

async function newVault(site: SiteProcess): Promise<Vault> {
  const { body } = await call(site, { method: "POST", path: "/api/vaults", body: { name: "team" } });
  const { vault_id: vaultId, token } = body as { vault_id: string; token: string };
  return { vaultId, token };
}

async function addEntry(site: SiteProcess, vault: Vault, title: string, notes = ""): Promise<string> {
  const path = `/api/vaults/${vault.vaultId}/entries`;
  const { body } = await call(site, {
    method: "POST",
    path,
    token: vault.token,
    body: { type: "note", title, notes },
  });
  return (body as { entry_id: string }).entry_id;
}

async function readTitle(site: SiteProcess, vault: Vault, entryId: string): Promise<unknown> {
  const path = `/api/vaults/${vault.vaultId}/entries/${entryId}`;
  const { status, body } = await call(site, { path, token: vault.token });
  return status === 200 ? (body as { title: string }).title : status;
}

describe("the admin socket of a site", () => {
  it("is its owner's only, survives a second process and a kill, and goes with the site", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    expect(((await stat(socketOf(site))).mode & 0o777).toString(8)).toBe("600");
    expect(((await stat(site.dataPath)).mode & 0o777).toString(8)).toBe("700");

    const second = await on(site, "serve");
    expect(second.stderr).toMatch(/another process uses/);
    expect(second.status).toBe(3);
    expect((await on(site, "status")).stdout).toMatch(/^role +primary$/m);

    await site.kill();
    expect((await stat(socketOf(site))).isSocket()).toBe(true);
    const dead = await on(site, "status");
    expect(dead.stderr).toMatch(/^dormouse: calgary does not run — start it: /);
    expect(dead.status).toBe(4);
    await site.start();
    expect((await on(site, "status", "--json")).status).toBe(0);

    expect(await site.stop()).toBe(0);
    expect(await readdir(site.dataPath)).not.toContain("admin.sock");
  });

  it("takes the commands of the community edition, and of no other", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    const ask = (name: string, body: object = {}) => askAdmin(socketOf(site), `/admin/${name}`, body);
    expect((await ask("status")).lines).toMatchObject([
      { result: { site: "calgary", edition: "community" } },
    ]);
    expect((await ask("reload")).lines).toEqual([{ result: { reloaded: [] } }]);
    for (const name of ["promote", "verify", "signal"]) expect((await ask(name)).status).toBe(404);
    const strange = await ask("reload", { force: true });
    expect(strange.lines).toMatchObject([
      { problem: { code: "invalid_request", errors: [{ path: "force" }] } },
    ]);
    const near = await ask("snapshot", { path: "near.snapshot" });
    expect(near.lines).toMatchObject([{ problem: { code: "invalid_request", errors: [{ path: "path" }] } }]);
  });

  it("has its commands over HTTP only where the configuration says so, for an operator", async () => {
    const status = { method: "POST", path: "/api/admin/status", body: {} };
    const closed = await initCommunitySite(sites);
    await closed.start();
    expect((await call(closed, status)).status).toBe(404);
    await closed.stop();
    const config = { admin_over_http: true, data: "./open" };
    const open = await initCommunitySite(sites, config);
    await open.start();
    expect((await call(open, status)).body).toMatchObject({ result: { site: "calgary" } });
    const vault = await newVault(open);
    expect((await call(open, { ...status, token: vault.token })).status).toBe(403);
  });

  it("is there under a long path too", async () => {
    const site = await initCommunitySite(sites, { data: `./${"calgary-".repeat(20)}` });
    await site.start();
    expect((await on(site, "status")).status).toBe(0);
  });
});

describe("dormouse operator and alerts", () => {
  it("makes operators' tokens on the machine alone, and ends them at once", async () => {
    const site = await initCommunitySite(sites, { admin_over_http: true });
    await site.start();
    const out = join(site.dataPath, "..", "night.token");
    const added = await on(site, "operator", "add", "night shift", "--token-out", out, "--json");
    const { operator_id: id } = JSON.parse(added.stdout) as { operator_id: string };
    const token = (await readFile(out, "utf8")).trim();
    expect(added.stdout).not.toContain(token);
    const vaults = { path: "/api/vaults", token };
    expect((await call(site, vaults)).status).toBe(200);
    expect((await on(site, "operator", "list")).stdout).toMatch(/night shift/);
    const asked = { method: "POST", path: "/api/admin/operator", body: { action: "list" } };
    expect((await call(site, asked)).status).toBe(404);
    const late = await on(site, "operator", "add", "late", "--expires", "2020-01-01T00:00:00Z");
    expect([late.status, late.stderr]).toEqual([1, expect.stringMatching(/expires_at/)]);
    expect((await on(site, "operator", "remove", id, "--yes")).status).toBe(0);
    expect((await call(site, vaults)).status).toBe(401);
    expect((await on(site, "operator", "remove", id, "--yes")).status).toBe(6);
  });

  it("ends an incident whose end no site can know, and no other", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    expect((await on(site, "alerts", "end", "access_forged")).stdout).toMatch(/told again/);
    expect((await on(site, "alerts", "end", "disk_low")).status).toBe(2);
  });
});

describe("dormouse snapshot", () => {
  it("of a site under load is a state it was in, and becomes that site again", {
    timeout: 60_000,
  }, async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    const vault = await newVault(site);
    const before = await addEntry(site, vault, "before");
    await using writers = new Writers(site, await newVault(site), new SeededRandom(5));
    await writers.acknowledged(100);
    const file = join(sites.folder, "one.snapshot");
    const made = await on(site, "snapshot", "create", file, "--json");
    expect(made.status).toBe(0);
    await writers.acknowledged(20);
    const after = await addEntry(site, vault, "after");
    const { path, bytes, position, sha256 } = JSON.parse(made.stdout) as Record<string, unknown>;
    expect({ path, bytes }).toEqual({ path: file, bytes: (await stat(file)).size });
    expect(position).toMatch(/^1:\d+$/);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(((await stat(file)).mode & 0o777).toString(8)).toBe("600");
    const again = await on(site, "snapshot", "create", file);
    expect(again.stderr).toBe(`dormouse: ${file} exists — Name a new file\n`);
    expect(again.status).toBe(7);
    expect((await writers.stop()).disagreements(new Map()).filter((text) => text.includes("HTTP"))).toEqual(
      [],
    );

    const refused = await on(site, "snapshot", "restore", file);
    expect(refused.stderr).toMatch(/holds a site already/);
    expect(refused.status).toBe(3);
    await site.stop();
    await rm(site.dataPath, { recursive: true });
    const restored = await on(site, "snapshot", "restore", file);
    expect(restored.stdout).toBe(`${site.dataPath} holds calgary, a primary at ${String(position)}.\n`);
    expect(restored.status).toBe(0);
    await site.start();
    expect(await readTitle(site, vault, before)).toBe("before");
    expect(await readTitle(site, vault, after)).toBe(404);
    expect(await addEntry(site, vault, "anew")).toBeTruthy();
  });

  it("is made of a site that does not run, and names a relative file from where it is called", async () => {
    const site = await initCommunitySite(sites);
    const made = await dormouse(["snapshot", "create", "cold", "--config", site.configPath], {
      cwd: sites.folder,
    });
    expect(made.stdout).toMatch(new RegExp(`^path +${join(sites.folder, "cold")}$`, "m"));
    expect(made.status).toBe(0);
    expect(await readdir(site.dataPath)).toEqual(["dormouse.db", "site.lock"]);
  });

  it("refuses what it cannot write or read, says what would be right, and leaves nothing behind", async () => {
    const site = await initCommunitySite(sites, { disk_free_min_bytes: 0 });
    await site.start();
    const cases: readonly (readonly [readonly string[], RegExp, number])[] = [
      [["create", "/sys/one"], /no snapshot can be written at \/sys\/one \(E[A-Z]+\) — /, 1],
      [["create", join(sites.folder, "none", "one")], /\(ENOENT\) — Name one in a folder that /, 1],
      [["restore", join(sites.folder, "none")], /cannot be read \(ENOENT\) — /, 1],
    ];
    for (const [args, text, status] of cases) {
      const result = await on(site, "snapshot", ...args);
      expect(result.stderr).toMatch(text);
      expect([args, result.status]).toEqual([args, status]);
    }
    await site.stop();
    await rm(site.dataPath, { recursive: true });
    const damaged = join(sites.folder, "damaged");
    await writeFile(damaged, "SQLite format 3\0 and no more", { mode: 0o600 });
    const result = await on(site, "snapshot", "restore", damaged);
    expect(result.stderr).toMatch(new RegExp(`${damaged} .* — .*snapshot create`));
    expect(result.status).toBe(3);
    expect(await readdir(sites.folder)).toEqual(["calgary.yaml", "damaged"]);
  });

  it("whose writing fails in the middle leaves nothing behind", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    const vault = await newVault(site);
    const notes = "x".repeat(200_000);
    for (const title of ["one", "two", "three", "four"]) await addEntry(site, vault, title, notes);
    await site.stop();
    const before = await readdir(sites.folder);
    const command = resolve("bin/dormouse");
    const args = ["snapshot", "create", join(sites.folder, "one"), "--config", site.configPath];
    // No file of this process may grow over 256 KiB: a write fails, as on a disk that is full.
    const limited = `trap '' XFSZ; ulimit -f 512; exec "$0" "$@"`;
    const { status, stderr } = await dormouse(["-c", limited, command, ...args], { command: "/bin/sh" });
    expect(stderr).toMatch(/^dormouse: no snapshot could be made at [^\n]+\/one: [^\n]+ — [^\n]+\n$/);
    expect(status).toBe(1);
    expect(await readdir(sites.folder)).toEqual(before);
  });

  it("does not fill the disk that the site works on", async () => {
    const site = await initCommunitySite(sites, { disk_free_min_bytes: 2 ** 50 });
    await site.start();
    const { status, stderr } = await on(site, "snapshot", "create", join(sites.folder, "one"));
    expect(stderr).toMatch(/^dormouse: there is too little room for a snapshot at [^\n]+ — [^\n]+\n$/);
    expect(status).toBe(1);
    expect(await readdir(sites.folder)).toEqual(["calgary", "calgary.yaml"]);
  });
});

const replication: Config = {
  backoff: { base_ms: 50, factor: 2, cap_ms: 400, probe_ms: 400 },
  max_retries: 1,
};

describe("dormouse check", () => {
  it("of a community site tells whether it runs", async () => {
    const site = await initCommunitySite(sites);
    const dead = await on(site, "check");
    expect(dead.stdout).toMatch(
      /^DORMOUSE CRITICAL: calgary: calgary does not run \| disk_free=\d+B;[\d:;]+\n$/,
    );
    expect(dead.stderr).toBe("");
    expect(dead.status).toBe(2);
    await site.start();
    const well = await on(site, "check");
    expect(well.stdout).toMatch(
      /^DORMOUSE OK: calgary: primary; \d+ MB free on the disk \| disk_free=\d+B;[\d:;]+\n$/,
    );
    expect(well.status).toBe(0);
    const asJson = await on(site, "check", "--json");
    expect(JSON.parse(asJson.stdout)).toMatchObject({ site: "calgary", status: "OK", exit: 0 });
  });

  it("of a site that hangs is critical, and takes no longer than it may", async () => {
    const site = await initCommunitySite(sites);
    await site.start();
    process.kill(site.pid, "SIGSTOP");
    try {
      const hung = await on(site, "check", "--timeout", "0.5");
      expect(hung.stdout).toMatch(/^DORMOUSE CRITICAL: calgary: calgary: does not answer within 0\.5 s \| /);
      expect(hung.status).toBe(2);
    } finally {
      process.kill(site.pid, "SIGCONT");
    }
  });

  it("tells of a certificate that ends soon, and of one that has ended", async () => {
    const cert = join(sites.folder, "tls.crt");
    const key = join(sites.folder, "tls.key");
    const put = async (days: number): Promise<void> => {
      const notAfterDate = new Date(Date.now() + days * 86_400_000 + 60_000);
      const made = await generate([{ name: "commonName", value: "localhost" }], { notAfterDate });
      await writeFile(cert, made.cert);
      await writeFile(key, made.private, { mode: 0o600 });
    };
    await put(30);
    const site = await initCommunitySite(sites);
    const listen = { host: "127.0.0.1", port: Number(new URL(site.url).port), tls: { cert, key } };
    const config = JSON.parse(await readFile(site.configPath, "utf8")) as Config;
    await writeConfig(site.configPath, { ...config, listen });
    const { stdout } = await on(site, "check");
    expect(stdout).toMatch(/ own_certificate_days=30;21:;7:$/m);
    expect(stdout).not.toContain("its certificate");
    await put(10);
    expect((await on(site, "check")).stdout).toMatch(/; its certificate ends in 10 days \|/);
    await put(-1);
    expect((await on(site, "check")).stdout).toMatch(/; its certificate has expired \|/);
  });

  it("tells of wrong usage and of a wrong configuration with 3, on stdout", async () => {
    const site = await initCommunitySite(sites);
    const cases = [
      await on(site, "check", "--proof-max-age", "soon"),
      await on(site, "check", "--nonsense"),
      await dormouse(["check"]),
      await dormouse(["check", "--config", join(sites.folder, "none.yaml")]),
    ];
    await writeConfig(site.configPath, { edition: "comunity" });
    for (const { status, stdout, stderr } of [...cases, await on(site, "check")]) {
      expect(stdout).toMatch(/^DORMOUSE UNKNOWN: [^\n]+\n$/);
      expect({ status, stderr }).toEqual({ status: 3, stderr: "" });
    }
  });

  it("of a pair tells of proof, of a backup that is gone and of a fence", { timeout: 60_000 }, async () => {
    const { calgary, zurich } = await initPair(sites, replication);
    await zurich.start();
    await calgary.start();
    const vault = await newVault(calgary);
    await addEntry(calgary, vault, "one");
    const old = join(sites.folder, "old.snapshot");
    expect((await on(calgary, "snapshot", "create", old)).status).toBe(0);
    await addEntry(calgary, vault, "two");

    const well = await on(calgary, "check");
    expect(well.stdout).toMatch(
      /^DORMOUSE OK: calgary: primary of epoch 1; zurich was proved equal at 1:\d+ \d+ s ago; /,
    );
    expect(well.stdout).toMatch(
      / \| zurich_dirty=0 zurich_lag=0s;120 zurich_proof_age=\d+s;86400 zurich_clock=0s;5 disk_free=/,
    );
    expect(well.status).toBe(0);
    const backup = await on(zurich, "check");
    expect(backup.stdout).toMatch(
      /^DORMOUSE OK: zurich: backup of epoch 1; it was proved equal at 1:\d+ \d+ s ago; /,
    );
    expect(backup.status).toBe(0);

    await zurich.kill();
    const alone = await on(calgary, "check");
    expect(alone.stdout).toMatch(/^DORMOUSE CRITICAL: calgary: .*zurich does not answer \(ECONNREFUSED\)/);
    expect(alone.status).toBe(2);

    await calgary.stop();
    await rm(calgary.dataPath, { recursive: true });
    const restored = await on(calgary, "snapshot", "restore", old);
    expect(restored.stderr).toMatch(/primary_behind[^]*dormouse recover/);
    await zurich.start();
    await calgary.start();
    await fenced(calgary);
    const behind = await on(calgary, "check");
    expect(behind.stdout).toMatch(/^DORMOUSE CRITICAL: calgary: fenced \(primary_behind\)/);
    expect(behind.status).toBe(2);
  });
});

/** Resolves when the site has met its backup and fenced itself. */
async function fenced(site: SiteProcess): Promise<void> {
  for (let n = 0; n < 200; n += 1) {
    const { stdout } = await on(site, "status", "--json");
    if ((JSON.parse(stdout) as { fenced: unknown }).fenced === "primary_behind") return;
  }
  throw new Error(`${site.site} was not fenced:\n${site.output}`);
}
