import { execFile } from "node:child_process";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  call,
  type CommandResult,
  dormouse,
  initCommunitySite,
  type SiteProcess,
  Sites,
} from "../support/processes.ts";

/** `dormouse login` and `logout` against a real site. Every test has a folder, and profiles, of its own. */

const command = resolve(import.meta.dirname, "../../bin/dormouse");
const passphrase = "travesty divided aching glorify jasmine stomp";
let sites: Sites;
let site: SiteProcess;
let vault: string;

beforeAll(async () => {
  sites = await Sites.inTemporaryFolder();
  site = await initCommunitySite(sites);
  await site.start();
  const made = await call(site, { method: "POST", path: "/api/vaults", body: { name: "Family" } });
  const { vault_id: vaultId, token } = made.body as { readonly vault_id: string; readonly token: string };
  vault = vaultId;
  const person = { kind: "person", login: "anna", passphrase, scope: "write" };
  const access = { method: "POST", path: `/api/vaults/${vault}/access`, body: person } as const;
  expect((await call(site, { ...access, token })).status).toBe(201);
});
afterAll(async () => {
  await site.stop();
  for (const secret of [passphrase, "something wrong", "dml_"]) expect(site.output).not.toContain(secret);
  await sites[Symbol.asyncDispose]();
});

let folder: string;
let passphraseFile: string;
beforeEach(async () => {
  folder = await mkdtemp(join(sites.folder, "test-"));
  passphraseFile = join(folder, "anna.passphrase");
  await writeFile(passphraseFile, `${passphrase}\n`, { mode: 0o600 });
});

function run(args: readonly string[], stdin = ""): Promise<CommandResult> {
  return dormouse(args, { stdin, env: { XDG_CONFIG_HOME: join(folder, "config") } });
}

function logIn(...args: readonly string[]): Promise<CommandResult> {
  return run(["login", "--login", "anna", "--passphrase-file", passphraseFile, ...args]);
}

describe("dormouse login", () => {
  it("keeps the session under a profile, which other commands then use until logout", async () => {
    const { status, stdout } = await logIn("--url", site.url, "--profile", "home");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Logged in as anna until 20.*\nVAULT .*\n[0-9a-f-]{36} +Family +write\n$/);
    expect(stdout).not.toContain("dml_");
    const file = join(folder, "config/dormouse/sessions/home");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toMatch(/^dml_.{82}\n$/);

    const added = await run(["entry", "add", "--vault", vault, "--title", "Mail"]);
    expect({ status: added.status, stderr: added.stderr }).toEqual({ status: 0, stderr: "" });
    const again = await logIn();
    expect(again.status).toBe(0);
    expect((await run(["entry", "list", "--vault", vault, "--profile", "home"])).stdout).toContain("Mail");

    expect(await run(["logout"])).toEqual({ status: 0, stdout: "Logged out.\n", stderr: "" });
    await expect(stat(file)).rejects.toThrow("ENOENT");
    expect((await run(["entry", "list", "--vault", vault])).status).toBe(2);
  });

  it("keeps it in a file that is named, and nowhere else", async () => {
    const file = join(folder, "anna.session");
    const { status, stdout } = await logIn("--url", site.url, "--token-out", file, "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      login: "anna",
      idle_expires_at: expect.any(String) as unknown,
      expires_at: expect.any(String) as unknown,
      vaults: [{ vault_id: vault, name: "Family", scope: "write" }],
      token_file: file,
    });
    const connection = ["--url", site.url, "--token-file", file];
    const first = await readFile(file, "utf8");
    // A second login takes the place of the first one's token.
    expect((await logIn("--url", site.url, "--token-out", file)).status).toBe(0);
    expect(await readFile(file, "utf8")).not.toBe(first);
    expect((await run(["logout", ...connection])).stdout).toBe("Logged out.\n");
    await writeFile(file, first, { mode: 0o600 });
    await call(site, { method: "DELETE", path: "/api/sessions", token: first.trim() });
    expect((await run(["logout", ...connection])).stdout).toBe("The session was over already.\n");
    await expect(stat(file)).rejects.toThrow("ENOENT");
  });

  it("never takes the place of a token that is no session's", async () => {
    const file = join(folder, "team.token");
    await writeFile(file, "dmv_of-a-machine\n", { mode: 0o600 });
    const refused = await logIn("--url", site.url, "--token-out", file);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain("something else than the token of a session");
    await run(["profile", "add", "team", "--url", site.url, "--token-file", file]);
    expect((await logIn("--profile", "team")).stderr).toContain("has a token of its own");
    expect(await readFile(file, "utf8")).toBe("dmv_of-a-machine\n");
  });

  it("says that login or passphrase is wrong, and not which", async () => {
    await writeFile(passphraseFile, "something wrong\n");
    const { status, stderr } = await logIn("--url", site.url, "--profile", "home");
    expect(status).toBe(5);
    expect(stderr).toMatch(/^dormouse: There is no such login, or the passphrase is wrong — /);
    expect((await run(["profile", "list"])).stdout).toBe("");
  });

  it.each([
    [["--url", "http://127.0.0.1:9"], /no place to be kept in — give --profile NAME or --token-out FILE/],
    [["--profile", "home"], /no site is named/],
    [["--profile", "home", "--token-out", "x", "--url", "http://127.0.0.1:9"], /two places/],
    [["--profile", "../home", "--url", "http://127.0.0.1:9"], /cannot be a profile's name/],
  ])("called with %j is refused", async (args, line) => {
    const { status, stderr } = await logIn(...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(line);
  });

  it("takes the passphrase from standard input, and asks nobody where nobody is", async () => {
    const connection = ["--url", site.url, "--profile", "home"];
    const piped = await run(
      ["login", "--login", "Anna", "--passphrase-file", "-", ...connection],
      `${passphrase}\n`,
    );
    expect(piped.status).toBe(0);
    const { status, stderr } = await run(["login", "--login", "anna", ...connection]);
    expect(status).toBe(2);
    expect(stderr).toContain("nobody can be asked for the passphrase — give --passphrase-file FILE");
  });

  it("asks for it at a terminal, where it is not seen", async () => {
    const words = [command, "login", "--login", "anna", "--url", site.url, "--profile", "home"];
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const env = { ...process.env, XDG_CONFIG_HOME: join(folder, "config") };
    const shown = await new Promise<string>((done) => {
      const child = execFile("script", ["-qec", quoted, "/dev/null"], { env }, (_, stdout) => done(stdout));
      // The terminal echoes what is typed before the question comes, so type when it is there.
      child.stdout?.once("data", () => child.stdin?.write(`${passphrase}\r`));
    });
    expect(shown).toMatch(/^Passphrase: /);
    expect(shown).toContain("Logged in as anna");
    expect(shown).not.toContain("travesty");
  });
});
