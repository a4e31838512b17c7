import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dormouse } from "../support/processes.ts";

/** Nothing here reaches a site: port 1 is one that nobody listens on. */
const nowhere = ["--url", "http://127.0.0.1:1"];
const token = `dmv_${"0a".repeat(16)}_${"x".repeat(49)}`;
const uuid = "0199a0a0-0000-7000-8000-000000000000";

let folder: string;
let tokenFile: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-usage-"));
  tokenFile = join(folder, "token");
  await writeFile(tokenFile, `${token}\n`, { mode: 0o600 });
  await writeFile(join(folder, "entry.json"), "{");
  await writeFile(join(folder, "site.yaml"), "{ edition: commercial, site: calgary, data: ./calgary }");
});
afterAll(() => rm(folder, { recursive: true }));

function site(...args: readonly string[]): string[] {
  return [...args, ...nowhere, "--token-file", tokenFile];
}

describe.concurrent("wrong usage ends with status 2, one line and nothing on stdout", () => {
  it.each<[string, () => readonly string[], RegExp]>([
    [
      "an unknown command",
      () => ["statsu"],
      /unknown command 'statsu' \(Did you mean status\?\) — see dormouse --help/,
    ],
    ["an unknown command of a group", () => ["vault", "craete"], /see dormouse vault --help/],
    [
      "an unknown option",
      () => ["status", "--jsn"],
      /unknown option '--jsn' \(Did you mean --json\?\) — see dormouse status/,
    ],
    [
      "a missing argument",
      () => ["vault", "rename", "x"],
      /missing required argument 'name' — see dormouse vault rename/,
    ],
    ["an argument too many", () => site("status", "x"), /too many arguments/],
    ["no vault", () => site("entry", "list"), /required option '--vault/],
    ["an unknown role", () => ["init", "--config", "x", "--role", "king"], /primary, backup/],
    ["an unknown form of log", () => ["serve", "--config", "x", "--log", "xml"], /auto, json, pretty/],
    [
      "no configuration: init",
      () => ["init"],
      /no configuration file is named — give --config or set DORMOUSE_CONFIG/,
    ],
    ["no configuration: serve", () => ["serve"], /no configuration file is named/],
    ["no configuration: doctor", () => ["doctor"], /no configuration file is named/],
    ["no configuration: promote", () => ["promote"], /no configuration file is named/],
    ["no configuration: snapshot", () => ["snapshot", "create", "x"], /no configuration file is named/],
    ["no file for a snapshot", () => ["snapshot", "create"], /missing required argument 'file'/],
    ["a stranded row without an id", () => ["stranded", "show"], /missing required argument 'id'/],
    [
      "a stranded row and all of them",
      () => ["stranded", "discard", "x", "--all", "--config", "x"],
      /one row is to be named, or all of them — give an id, or --all/,
    ],
    [
      "a grant given back and more",
      () => ["promote", "--decline", "--force", "--config", join(folder, "site.yaml")],
      /--decline stands alone/,
    ],
    ["no site", () => ["status"], /no site is named — give --url or set DORMOUSE_URL/],
    [
      "an address that is none",
      () => ["status", "--url", "calgary"],
      /the address of the site does not begin with https/,
    ],
    [
      "an address of another kind",
      () => ["status", "--url", "ftp://calgary"],
      /the address of the site does not begin with https/,
    ],
    [
      "a password in the address",
      () => ["status", "--url", "http://a:hunter2@b"],
      /has a user name or a password in it/,
    ],
    [
      "no token",
      () => ["status", ...nowhere],
      /no token is given — name its file with --token-file, or set DORMOUSE_TOKEN/,
    ],
    ["no token file there", () => ["status", ...nowhere, "--token-file", "/none"], /there is no such file/],
    ["a token as an option", () => ["status", ...nowhere, "--token", token], /unknown option '--token'/],
    [
      "a password as an argument",
      () => site("entry", "add", "--vault", uuid, "--title", "x", "--secret", "pw", "hunter2"),
      /too many arguments for 'add'. Expected 0 arguments but got 1 — /,
    ],
    [
      "a password as an option",
      () => site("entry", "list", "--vault", uuid, "--password=hunter2"),
      /unknown option '--password=…'/,
    ],
    [
      "a type that is none",
      () => site("entry", "list", "--vault", uuid, "--type", "hunter2"),
      /has an argument that is invalid. Allowed choices are login/,
    ],
    ["a token as an argument", () => site("status", token), /too many arguments/],
    ["a limit that is none", () => site("entry", "list", "--vault", uuid, "--limit", "0"), /a number from 1/],
    [
      "an unknown type",
      () => site("entry", "list", "--vault", uuid, "--type", "car"),
      /Allowed choices are login/,
    ],
    ["an entry without a title", () => site("entry", "add", "--vault", uuid), /no title/],
    [
      "a concealed value as an argument",
      () => site("entry", "add", "--vault", uuid, "--title", "x", "--field", "pw:concealed=hunter2"),
      /not taken from the command line — use --secret/,
    ],
    [
      "a value beside --secret",
      () => site("entry", "add", "--vault", uuid, "--title", "x", "--secret", "pw=hunter2"),
      /takes a label and no value/,
    ],
    [
      "no line of stdin for --secret",
      () => site("entry", "add", "--vault", uuid, "--title", "x", "--secret", "pw"),
      /holds 0 lines for 1 --secret/,
    ],
    [
      "two readers of stdin",
      () => site("entry", "add", "--vault", uuid, "--title", "x", "--secret", "pw", "--notes-file", "-"),
      /for one option only/,
    ],
    [
      "a whole entry and parts of it",
      () => site("entry", "add", "--vault", uuid, "--json-file", "-", "--title", "x"),
      /holds the whole entry/,
    ],
    [
      "an entry that is not JSON",
      () => site("entry", "add", "--vault", uuid, "--json-file", join(folder, "entry.json")),
      /entry\.json is not JSON/,
    ],
    ["an edit of nothing", () => site("entry", "edit", uuid, "--vault", uuid), /nothing to change/],
    [
      "a purge that nobody can confirm",
      () => site("entry", "rm", uuid, "--vault", uuid, "--purge"),
      /give --yes/,
    ],
    [
      "a purge of more that nobody can confirm",
      () => site("entry", "purge", uuid, "--vault", uuid),
      /give --yes/,
    ],
    [
      "a wait that no site takes",
      () => site("entry", "purge", uuid, "--vault", uuid, "--wait", "61"),
      /a number from 1 to 60/,
    ],
    ["no version", () => site("entry", "show", uuid, "--vault", uuid), /required option '--version/],
    [
      "a version that is none",
      () => site("entry", "restore-version", uuid, "x", "--vault", uuid),
      /a number/,
    ],
    ["nothing to search for", () => site("entry", "search", "--vault", uuid), /missing required argument/],
    [
      "a file of lines that is missing",
      () => site("import", "/none", "--vault", uuid),
      /there is no such file/,
    ],
    ["a folder of lines", () => site("import", folder, "--vault", uuid), /it is a folder/],
    [
      "a line number that is none",
      () => site("import", "-", "--vault", uuid, "--from-line", "x"),
      /number of a line/,
    ],
    [
      "an access of nobody",
      () => site("access", "add", "--vault", uuid, "--scope", "read"),
      /give --name or --login/,
    ],
    [
      "an access of two",
      () => site("access", "add", "--vault", uuid, "--scope", "read", "--name", "a", "--login", "b"),
      /give --name or --login/,
    ],
    ["an access without a scope", () => site("access", "add", "--vault", uuid, "--name", "a"), /--scope/],
    [
      "a time that is none",
      () => site("access", "add", "--vault", uuid, "--name", "a", "--scope", "read", "--expires", "tomorrow"),
      /It is like 90d/,
    ],
    [
      "a machine with a passphrase",
      () =>
        site(
          "access",
          "add",
          "--vault",
          uuid,
          "--name",
          "a",
          "--scope",
          "read",
          "--passphrase-file",
          "token",
        ),
      /a machine has a token/,
    ],
    [
      "a passphrase as an argument",
      () =>
        site("access", "add", "--vault", uuid, "--login", "a", "--scope", "read", "--passphrase", "hunter2"),
      /unknown option '--passphrase'/,
    ],
    [
      "a revocation that nobody can confirm",
      () => site("access", "revoke", uuid, "--vault", uuid),
      /give --yes/,
    ],
    [
      "a token that would be lost",
      () => site("vault", "create", "x", "--id-only"),
      /would lose the owner token/,
    ],
    [
      "a token file where none can be",
      () => site("vault", "create", "x", "--token-out", "/none/x"),
      /cannot be written/,
    ],
  ])("%s", async (_name, args, line) => {
    const { status, stdout, stderr } = await dormouse(args());
    expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^dormouse: [^\n]* — [^\n]+\n$/);
    expect(stderr).not.toMatch(/hunter2|x{20}| at /);
    expect(stdout).toBe("");
    expect(status).toBe(2);
  });

  it("a group of commands called without one shows its help", async () => {
    for (const args of [[], ["vault"], ["entry"], ["snapshot"]]) {
      const { status, stderr } = await dormouse(args);
      expect(stderr).toMatch(/^Usage: dormouse/);
      expect(status).toBe(2);
    }
  });
});

describe("help", () => {
  it("names the commands, tells of each with examples, and ends with status 0", async () => {
    const { stdout } = await dormouse(["--help"]);
    for (const name of ["init", "serve", "status", "entry", "profile"]) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
    }
    for (const command of ["", "stranded", "entry search", "help check"]) {
      const args = command.startsWith("help") ? command.split(" ") : [...command.split(" "), "--help"];
      const { status, stdout: help } = await dormouse(args.filter((word) => word !== ""));
      expect([command, status]).toEqual([command, 0]);
      expect(help).toContain("Examples:\n  dormouse ");
    }
  });

  it("tells the version of the package", async () => {
    const { status, stdout } = await dormouse(["--version"]);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(status).toBe(0);
  });
});

describe("dormouse profile", () => {
  let env: Readonly<Record<string, string>>;
  beforeEach(async () => {
    env = { XDG_CONFIG_HOME: await mkdtemp(join(folder, "config-")) };
  });
  const profile = (...args: readonly string[]) => dormouse(["profile", ...args], { env, cwd: folder });
  const add = (name: string, ...more: readonly string[]) =>
    profile("add", name, ...nowhere, "--token-file", "token", ...more);

  it("keeps addresses and paths under names, never a token", async () => {
    expect((await profile("list")).stderr).toBe("There is no profile yet.\n");
    expect((await add("team")).stdout).toBe("Added team.\n");
    expect((await add("ops")).status).toBe(0);
    expect((await add("team")).status).toBe(7);
    expect((await add("team", "--replace")).stdout).toBe("Changed team.\n");
    const { profiles } = JSON.parse((await profile("list", "--json")).stdout) as { profiles: object[] };
    const shown = { url: "http://127.0.0.1:1/", token_file: tokenFile, position: null };
    expect(profiles).toEqual([
      { name: "ops", ...shown, default: false },
      { name: "team", ...shown, default: true },
    ]);
    const file = join(String(env.XDG_CONFIG_HOME), "dormouse", "profiles.json");
    expect(await readFile(file, "utf8")).not.toContain(token);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await profile("use", "ops")).stdout).toBe("Commands that name no site use ops.\n");
    expect((await profile("list")).stdout).toMatch(/^\* +ops +http/m);
    expect((await profile("remove", "ops")).stdout).toBe("Removed ops.\n");
    expect((await profile("list")).stdout).not.toMatch(/ops|\*/);
  });

  it("refuses what could not be used later", async () => {
    await chmod(tokenFile, 0o600);
    for (const [args, status] of [
      [["add", "../x", ...nowhere, "--token-file", "token"], 2],
      [["add", "x", "--url", "ftp://a", "--token-file", "token"], 2],
      [["add", "x", ...nowhere, "--token-file", "nowhere"], 2],
      [["add", "x", ...nowhere], 2],
      [["use", "x"], 2],
      [["remove", "x"], 2],
    ] as const) {
      const result = await profile(...args);
      expect([args, result.status]).toEqual([args, status]);
      expect(result.stderr).toMatch(/^dormouse: [^\n]* — [^\n]+\n$/);
    }
  });

  it("is where a command finds its site: --url before --profile before the environment before the default", async () => {
    const reach = async (args: readonly string[], more: Readonly<Record<string, string>> = {}) => {
      const { stderr } = await dormouse(["status", ...args], { env: { ...env, ...more } });
      return /http:\/\/127\.0\.0\.1:(\d)\S* nothing listens/.exec(stderr)?.[1] ?? stderr;
    };
    const at = (port: number) => `http://127.0.0.1:${port}`;
    for (const [name, port] of [
      ["one", 1],
      ["two", 2],
      ["three", 3],
    ] as const) {
      await profile("add", name, "--url", at(port), "--token-file", "token");
    }
    const environment = { DORMOUSE_URL: at(9), DORMOUSE_TOKEN: token };
    expect(await reach([])).toBe("1");
    expect(await reach([], { DORMOUSE_PROFILE: "two" })).toBe("2");
    expect(await reach([], { ...environment, DORMOUSE_PROFILE: "two" })).toBe("9");
    expect(await reach(["--profile", "three"], { ...environment, DORMOUSE_PROFILE: "two" })).toBe("3");
    expect(await reach(["--profile", "three", "--url", at(7)])).toBe("7");
    expect(await reach(["--profile", "four"])).toMatch(/no such profile/);
    // The default's token is for the default's site.
    expect(await reach(["--url", at(7)])).toMatch(/no token is given/);
    expect(await reach([], { DORMOUSE_URL: at(9) })).toMatch(/no token is given/);
  });
});

describe("without a site", () => {
  it("every command that needs one is unreachable: status 4", async () => {
    const entry = ["--vault", uuid];
    const calls = [
      ["status"],
      ["alerts"],
      ["alerts", "test"],
      ["vault", "create", "x"],
      ["vault", "list"],
      ["vault", "rename", uuid, "x"],
      ["vault", "delete", uuid, "--yes"],
      ["entry", "add", ...entry, "--title", "x"],
      ["entry", "get", uuid, ...entry],
      ["entry", "list", ...entry],
      ["entry", "edit", uuid, ...entry, "--title", "x"],
      ["entry", "rm", uuid, ...entry],
      ["entry", "restore", uuid, ...entry],
      ["entry", "search", "mail", ...entry],
      ["entry", "show", uuid, "--version", "3", ...entry],
      ["entry", "purge", uuid, "--wait", "5", "--yes", ...entry],
    ];
    const results = await Promise.all(calls.map((args) => dormouse(site(...args))));
    for (const [index, { status, stderr }] of results.entries()) {
      expect(stderr).toMatch(/^dormouse: http:\/\/127\.0\.0\.1:1: nothing listens there — [^\n]+\n$/);
      expect([calls[index], status]).toEqual([calls[index], 4]);
    }
  });

  it("a token file that others can read is refused before anything is sent: status 3", async () => {
    const exposed = join(folder, "exposed");
    await writeFile(exposed, token);
    await chmod(exposed, 0o644);
    const { status, stderr } = await dormouse(["status", ...nowhere, "--token-file", exposed]);
    expect(stderr).toBe(`dormouse: ${exposed} can be read by others (mode 0644) — chmod 600 ${exposed}\n`);
    expect(status).toBe(3);
  });

  it("a vault that could not be created leaves no token file", async () => {
    const out = join(folder, "team.token");
    expect((await dormouse(site("vault", "create", "x", "--token-out", out))).status).toBe(4);
    expect((await dormouse(site("vault", "create", "x", "--token-out", out))).status).toBe(4);
  });

  it("address and token may come from the environment", async () => {
    const env = { DORMOUSE_URL: "http://127.0.0.1:1", DORMOUSE_TOKEN: token };
    expect((await dormouse(["status"], { env })).status).toBe(4);
    const { status, stderr } = await dormouse(["status"], { env: { ...env, DORMOUSE_TOKEN: "two words" } });
    expect(stderr).toContain("DORMOUSE_TOKEN does not hold one token");
    expect(status).toBe(2);
  });
});
