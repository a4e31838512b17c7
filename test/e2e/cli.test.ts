import { execFile } from "node:child_process";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CommandResult, dormouse, initPair, type Pair, Sites } from "../support/processes.ts";

/** The command against a real pair. Every test has a vault of its own. */

const command = resolve(import.meta.dirname, "../../bin/dormouse");
let sites: Sites;
let pair: Pair;
let operatorFile: string;

beforeAll(async () => {
  sites = await Sites.inTemporaryFolder();
  pair = await initPair(sites);
  // The backup first: a primary that finds nobody waits a second before it looks again.
  await pair.zurich.start();
  await pair.calgary.start();
  operatorFile = await secretFile("calgary.operator.token", pair.calgary.operatorToken);
});
afterAll(() => sites[Symbol.asyncDispose]());

let folder: string;
let vault: string;
let tokenFile: string;

beforeEach(async () => {
  folder = await mkdtemp(join(sites.folder, "test-"));
  tokenFile = join(folder, "vault.token");
  const args = ["vault", "create", "team", "--token-out", tokenFile, "--id-only"];
  vault = done(await asOperator(args)).stdout.trim();
});

async function secretFile(name: string, text: string): Promise<string> {
  const path = join(sites.folder, name);
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
}

function asOperator(args: readonly string[], site = pair.calgary): Promise<CommandResult> {
  return dormouse([...args, "--url", site.url, "--token-file", operatorFile]);
}

function asOwner(args: readonly string[], stdin = "", site = pair.calgary): Promise<CommandResult> {
  return dormouse([...args, "--url", site.url, "--token-file", tokenFile], { stdin });
}

function entry(args: readonly string[], stdin = "", site = pair.calgary): Promise<CommandResult> {
  return asOwner(["entry", ...args, "--vault", vault], stdin, site);
}

/** The result of a command that must have gone well. */
function done(result: CommandResult): CommandResult {
  expect({ status: result.status, stderr: result.stderr }).toEqual({ status: 0, stderr: "" });
  return result;
}

function json(result: CommandResult): Record<string, unknown> {
  return JSON.parse(done(result).stdout) as Record<string, unknown>;
}

function refused(result: CommandResult, status: number, line: RegExp): void {
  expect(result.stderr).toMatch(line);
  expect(result.stderr).toMatch(/^dormouse: [^\n]* — [^\n]+\n/);
  expect(result.stderr).not.toMatch(/\n {4}at |dm[vos]_[0-9a-f]/);
  expect(result.status).toBe(status);
}

async function addEntry(...args: readonly string[]): Promise<string> {
  return json(await entry(["add", "--title", "Mail", "--field", "username=joe", ...args, "--json"]))
    .entry_id as string;
}

describe("dormouse vault", () => {
  it("create shows the owner token once, or keeps it in a new file that only its owner can read", async () => {
    const created = json(await asOperator(["vault", "create", "ops", "--json"]));
    expect(Object.keys(created).toSorted()).toEqual(["name", "token", "vault_id"]);
    expect(created.token).toMatch(/^dmv_.{82}$/);
    expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
    expect(await readFile(tokenFile, "utf8")).toMatch(/^dmv_.{82}\n$/);
    refused(await asOperator(["vault", "create", "x", "--token-out", tokenFile]), 2, /exists already/);
  });

  it("list names every vault with its number of entries", async () => {
    await addEntry();
    const { vaults } = json(await asOperator(["vault", "list", "--json"])) as {
      vaults: Record<string, unknown>[];
    };
    expect(vaults.find(({ vault_id }) => vault_id === vault)).toMatchObject({ name: "team", entries: 1 });
    const { stdout } = done(await asOperator(["vault", "list"]));
    expect(stdout).toMatch(/^VAULT +NAME +ENTRIES +CREATED\n/);
    expect(stdout).toMatch(new RegExp(`^${vault} +team +1 `, "m"));
  });

  it("rename renames it", async () => {
    done(await asOwner(["vault", "rename", vault, "Team keys"]));
    const { stdout } = done(await asOperator(["vault", "list"]));
    expect(stdout).toMatch(new RegExp(`^${vault} +Team keys `, "m"));
  });

  it("delete asks first, and leaves nothing", async () => {
    await addEntry();
    refused(await asOwner(["vault", "delete", vault]), 2, /nobody can be asked — give --yes/);
    expect(json(await asOwner(["vault", "delete", vault, "--yes", "--json"]))).toMatchObject({
      vault_id: vault,
    });
    const left = json(await asOperator(["vault", "list", "--json"])) as { vaults: { vault_id: string }[] };
    expect(left.vaults.map(({ vault_id }) => vault_id)).not.toContain(vault);
    expect((await entry(["list"])).status).toBe(5);
  });

  it("is refused with a token that may not: status 5; with an unknown vault: status 6", async () => {
    refused(await asOwner(["vault", "list"]), 5, /^dormouse: /);
    refused(await asOperator(["vault", "rename", vault, "x"]), 5, /^dormouse: /);
    const other = join(folder, "other.token");
    const otherId = done(
      await asOperator(["vault", "create", "b", "--token-out", other, "--id-only"]),
    ).stdout.trim();
    refused(await asOwner(["entry", "list", "--vault", otherId]), 5, /another vault/);
  });

  it("is refused with a mistyped token: status 5", async () => {
    const wrong = await secretFile("wrong.token", `dmo_${"0a".repeat(16)}_${"x".repeat(49)}`);
    refused(
      await dormouse(["vault", "list", "--url", pair.calgary.url, "--token-file", wrong]),
      5,
      /^dormouse: /,
    );
  });
});

describe("dormouse entry", () => {
  it("add takes the open parts as arguments and secrets from stdin; get hides them until asked", async () => {
    const args = ["add", "--title", "Mail", "--website", "https://m.example", "--tag", "a", "--tag", "b"];
    const fields = ["--field", "username=joe", "--field", "mail:email=j@m.example", "--secret", "password"];
    const added = json(
      await entry([...args, ...fields, "--secret", "otp:totp", "--json"], "s3cret\nJBSWY3DPEHPK3PXP\n"),
    );
    const id = added.entry_id as string;
    expect(JSON.stringify(added)).not.toMatch(/s3cret|JBSWY/);

    const hidden = done(await entry(["get", id])).stdout;
    expect(hidden).toMatch(/^title +Mail$/m);
    expect(hidden).toMatch(/^username +joe$/m);
    expect(hidden).toMatch(/^password +•+$/m);
    expect(hidden).not.toMatch(/s3cret|JBSWY/);
    expect(done(await entry(["get", id, "--json"])).stdout).not.toMatch(/s3cret|JBSWY/);
    expect(done(await entry(["get", id, "--reveal"])).stdout).toMatch(/^password +s3cret$/m);
    expect(done(await entry(["get", id, "--field", "password"])).stdout).toBe("s3cret\n");
    expect(json(await entry(["get", id, "--json", "--reveal"]))).toMatchObject({
      type: "login",
      urls: ["https://m.example"],
      tags: ["a", "b"],
      fields: [
        { label: "username", kind: "text", value: "joe" },
        { label: "mail", kind: "email", value: "j@m.example" },
        { label: "password", kind: "concealed", value: "s3cret" },
        { label: "otp", kind: "totp", value: "JBSWY3DPEHPK3PXP" },
      ],
    });
    refused(await entry(["get", id, "--field", "pin"]), 2, /no such field/);
  });

  it("add keeps a file of several lines as it is, and gives it back so", async () => {
    const key = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n";
    const file = join(folder, "id");
    await writeFile(file, key);
    const added = await entry([
      "add",
      "--type",
      "ssh_key",
      "--title",
      "deploy",
      "--secret-file",
      `key=${file}`,
      "--json",
    ]);
    expect(done(await entry(["get", json(added).entry_id as string, "--field", "key"])).stdout).toBe(key);
  });

  it("edit changes what is named and nothing else", async () => {
    const id = await addEntry("--tag", "a", "--field", "pin=1");
    done(
      await entry(["edit", id, "--title", "Post", "--secret", "password", "--remove-field", "pin"], "new\n"),
    );
    done(await entry(["edit", id, "--favourite"]));
    expect(json(await entry(["get", id, "--json", "--reveal"]))).toMatchObject({
      title: "Post",
      version: 3,
      favourite: true,
      tags: ["a"],
      fields: [
        { label: "username", value: "joe", kind: "text" },
        { label: "password", value: "new", kind: "concealed" },
      ],
    });
    refused(await entry(["edit", id, "--remove-field", "pin"]), 2, /no field pin/);
  });

  it("edit is refused with status 7 when the entry was changed since", async () => {
    const id = await addEntry();
    const { position } = json(await entry(["get", id, "--json"]));
    done(await entry(["edit", id, "--title", "B", "--if-match", String(position)]));
    refused(await entry(["edit", id, "--title", "C", "--if-match", String(position)]), 7, /changed since/);
    expect(json(await entry(["get", id, "--json"]))).toMatchObject({ title: "B" });
  });

  it("what get prints as JSON can be edited and sent back", async () => {
    const id = await addEntry("--secret-file", `password=${tokenFile}`);
    const hidden = done(await entry(["get", id, "--json"])).stdout;
    refused(await entry(["edit", id, "--json-file", "-"], hidden), 2, /--reveal/);
    const shown = done(await entry(["get", id, "--json", "--reveal"])).stdout;
    done(await entry(["edit", id, "--json-file", "-"], shown.replace("Mail", "Post")));
    const before = JSON.parse(shown) as { fields: unknown };
    expect(json(await entry(["get", id, "--json", "--reveal"]))).toMatchObject({
      title: "Post",
      fields: before.fields,
    });
  });

  it("add with an id that is there: the same content is done, other content is refused with 7", async () => {
    const whole = { entry_id: "0199a0a0-0000-7000-8000-000000000001", type: "note", title: "A" };
    const add = (content: object) => entry(["add", "--json-file", "-", "--json"], JSON.stringify(content));
    done(await add(whole));
    done(await add(whole));
    refused(await add({ ...whole, title: "B" }), 7, /exists with other content/);
  });

  it("names every mistake of an entry by its path, and repeats no value", async () => {
    const bad = { type: "car", title: "", fields: [{ label: "x", value: 5 }], odd: "hunter2" };
    const result = await entry(["add", "--json-file", "-"], JSON.stringify(bad));
    refused(result, 1, /\n {2}type: /);
    for (const path of ["title", "odd", "fields[0].value"]) expect(result.stderr).toContain(`\n  ${path}: `);
    expect(result.stderr).not.toContain("hunter2");
    refused(
      await entry(["add", "--json-file", "-"], `{"__proto__":{},"type":"note"}`),
      1,
      /\n {2}__proto__: /,
    );
  });

  it("list pages through everything, and filters", async () => {
    const lines = Array.from({ length: 620 }, (_, index) =>
      JSON.stringify({ type: "note", title: `n${index}`, tags: index % 100 === 0 ? ["round"] : [] }),
    );
    done(await asOwner(["import", "-", "--vault", vault], lines.join("\n")));
    type Listed = { entries: { entry_id: string }[]; next_cursor: string | null };
    const list = async (...args: readonly string[]) =>
      json(await entry(["list", ...args, "--json"])) as unknown as Listed;
    // Not whole: the backup takes them meanwhile, and what is said of that changes.
    const idsOf = ({ entries }: Listed) => entries.map(({ entry_id }) => entry_id);
    const all = await list("--all");
    expect([all.entries.length, all.next_cursor]).toEqual([620, null]);
    const first = await list("--limit", "3");
    const rest = await list("--limit", "999", "--cursor", String(first.next_cursor));
    expect([...idsOf(first), ...idsOf(rest)]).toEqual(idsOf(all));
    const tagged = json(await entry(["list", "--tag", "round", "--json"])) as { entries: unknown[] };
    expect(tagged.entries).toHaveLength(7);
    const table = await entry(["list", "--limit", "2"]);
    expect(table.stdout.split("\n")).toHaveLength(4);
    expect(table.stderr).toMatch(/^There are more: --all, or go on with --cursor /);
    expect(done(await entry(["list", "--type", "card", "--json"])).stdout).toContain('"entries": []');
  });

  it("rm moves to the trash, restore takes it out, --purge removes for good", async () => {
    const id = await addEntry();
    done(await entry(["rm", id]));
    expect(done(await entry(["list", "--trash"])).stdout).toContain(id);
    expect((await entry(["list"])).stdout).toBe("");
    done(await entry(["restore", id]));
    expect(done(await entry(["list"])).stdout).toContain(id);
    refused(await entry(["rm", id, "--purge"]), 2, /give --yes/);
    done(await entry(["rm", id, "--purge", "--yes"]));
    refused(await entry(["get", id]), 6, /no such entry/);
    refused(await entry(["restore", id]), 6, /no such entry/);
  });

  it("shows control characters of a title instead of obeying them", async () => {
    const title = "\u001b[2Jred\u009b\u202e\u0007";
    const added = await entry(["add", "--json-file", "-"], JSON.stringify({ type: "note", title }));
    if (added.status === 0) {
      const table = done(await entry(["list"])).stdout;
      expect(table).toContain("\\x1b[2Jred\\x9b\\u202e\\x07");
      const text = done(await entry(["list", "--json"])).stdout;
      expect(text).not.toMatch(/[^\n -~]/);
      expect((JSON.parse(text) as { entries: { title: string }[] }).entries[0]?.title).toBe(title);
    } else {
      refused(added, 1, /title: /);
    }
  });

  it("reads from the backup with the same token; a write there ends with 8 and says where to write", async () => {
    const id = await addEntry();
    await expect
      .poll(async () => (await entry(["get", id], "", pair.zurich)).status, { timeout: 10_000 })
      .toBe(0);
    refused(await entry(["edit", id, "--title", "x"], "", pair.zurich), 8, /write to http:\/\/127/);
    refused(await entry(["add", "--title", "x"], "", pair.zurich), 8, /write to http:\/\/127/);
  });

  it("ends in silence when its reader goes away", async () => {
    const lines = `${JSON.stringify({ type: "note", title: "n".repeat(400) })}\n`.repeat(1_000);
    done(await asOwner(["import", "-", "--vault", vault], lines));
    const pipeline = `"${command}" entry list --all --vault ${vault} --url ${pair.calgary.url} --token-file "${tokenFile}" --json | head -c 5`;
    const { stdout, stderr } = await promisify(execFile)("/bin/sh", ["-c", pipeline]);
    expect([stdout.length, stderr]).toEqual([5, ""]);
  });
});

describe("what an entry was, and finding it", () => {
  it("versions lists what it was, show shows one, restore-version brings one back", async () => {
    const id = await addEntry("--secret-file", `password=${await secretFile("first", "one")}`);
    done(await entry(["edit", id, "--title", "Post", "--secret", "password"], "two\n"));
    const table = done(await entry(["versions", id])).stdout;
    expect(table).toMatch(/^VERSION +WRITTEN +TITLE\n1 +2\S+Z +Mail\n$/);
    expect(done(await entry(["show", id, "--version", "1", "--field", "password"])).stdout).toBe("one\n");
    expect(done(await entry(["show", id, "--version", "1"])).stdout).not.toContain("one");
    refused(await entry(["show", id, "--version", "9"]), 6, /no such earlier version/);
    expect(done(await entry(["restore-version", id, "1"])).stdout).toBe(`Restored version 1 of ${id}.\n`);
    expect(json(await entry(["get", id, "--json"]))).toMatchObject({ title: "Mail", version: 3 });
    const { versions } = json(await entry(["versions", id, "--limit", "1", "--json"])) as {
      versions: object[];
    };
    expect(versions).toMatchObject([{ version: 2, title: "Post" }]);
  });

  it("search finds by words in any order; totp gives the code of now", async () => {
    const secret = `otp:totp=${await secretFile("otp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")}`;
    const id = await addEntry("--website", "https://zürich.example", "--favourite", "--secret-file", secret);
    done(await entry(["add", "--title", "Other", "--field", "note=mail zurich"]));
    for (const words of [
      ["ZURICH", "mail"],
      ["mail", "--favourite"],
      ["otp", "--type", "login"],
    ]) {
      const found = json(await entry(["search", ...words, "--json"])) as { entries: { entry_id: string }[] };
      expect(found.entries.map(({ entry_id }) => entry_id)).toEqual([id]);
    }
    expect(done(await entry(["search", "-"], "zurich\nmail\n")).stdout).toContain(id);
    expect((await entry(["search", "nowhere"])).stderr).toBe("Nothing was found.\n");
    expect(done(await entry(["list", "--favourite"])).stdout).toContain(id);
    expect(done(await entry(["totp", id, "--field", "otp"])).stdout).toMatch(/^\d{6}\n$/);
    expect(done(await entry(["totp", id])).stdout).toMatch(/^FIELD +CODE +VALID FOR\notp +\d{6} +\d+ s\n$/);
    refused(await entry(["totp", await addEntry()]), 6, /no field with a one-time key/);
  });
});

describe("dormouse access", () => {
  const access = (...args: readonly string[]) => asOwner(["access", ...args, "--vault", vault]);
  const listAs = (token: string) =>
    dormouse(["entry", "list", "--vault", vault, "--url", pair.calgary.url, "--token-file", token]);

  it("add makes a token of a scope and an end; revoke ends it on both sites", async () => {
    const out = join(folder, "job.token");
    const add = ["add", "--name", "job", "--scope", "read", "--expires", "90d", "--token-out", out, "--json"];
    const added = json(await access(...add));
    expect(added).toMatchObject({ kind: "machine", name: "job", scope: "read", token_file: out });
    expect(JSON.stringify(added)).not.toContain("dmv_");
    expect((await listAs(out)).status).toBe(0);
    expect(done(await access("list")).stdout).toMatch(/^\S+ +machine +job +read +2\S+Z +2\S+Z +direct$/m);
    refused(await access("revoke", String(added.access_id)), 2, /give --yes/);
    const revoked = await access("revoke", String(added.access_id), "--yes");
    expect(revoked.stdout).toBe(`Revoked ${added.access_id}; the vault's key was changed.\n`);
    expect(revoked.stderr).toMatch(/can still open what was in the vault then/);
    refused(await listAs(out), 5, /token is missing, mistyped, unknown or expired/);
    expect((await entry(["list"])).status).toBe(0);
  });

  it("add makes a passphrase of six words for a person, shown this once", async () => {
    const { stdout, stderr } = await access("add", "--login", "joe", "--scope", "write");
    expect(stdout).toMatch(/^passphrase +(\S+[ -]){5}\S+$/m);
    expect(stderr).toBe("Keep the passphrase: it is shown this once.\n");
    refused(await access("add", "--login", "joe", "--scope", "read"), 7, /has an access/);
  });

  it("a recovery access opens the vault also after its key was changed", async () => {
    const [owner, recovery] = [join(folder, "a.token"), join(folder, "b.token")];
    const create = ["vault", "create", "safe", "--token-out", owner, "--recovery-out", recovery, "--id-only"];
    const id = done(await asOperator(create)).stdout.trim();
    const as = (token: string, ...args: readonly string[]) =>
      dormouse([...args, "--url", pair.calgary.url, "--token-file", token]);
    done(await as(owner, "entry", "add", "--vault", id, "--title", "Kept"));
    expect(done(await as(owner, "vault", "rotate-key", id)).stdout).toBe(`Changed the key of ${id}.\n`);
    expect(done(await as(recovery, "entry", "list", "--vault", id)).stdout).toContain("Kept");
  });
});

describe("a profile", () => {
  it("names site and token, and warns of a site that is older than one it has seen", async () => {
    const env = { XDG_CONFIG_HOME: join(folder, "config") };
    const withProfile = (...args: readonly string[]) => dormouse([...args, "--json"], { env });
    const connection = ["--url", pair.calgary.url, "--token-file", tokenFile];
    await withProfile("profile", "add", "team", ...connection);
    const added = json(await withProfile("entry", "add", "--vault", vault, "--title", "Mail"));
    const seen = async () =>
      (json(await withProfile("profile", "list")) as { profiles: { position: string }[] }).profiles[0]
        ?.position;
    expect(await seen()).toBe(added.position);

    const remembered = join(env.XDG_CONFIG_HOME, "dormouse", "positions", "team");
    await writeFile(remembered, "7:1\n");
    const list = ["entry", "list", "--vault", vault];
    const older = await withProfile(...list);
    expect(older.status).toBe(0);
    expect(older.stderr).toMatch(
      /^dormouse: warning: position_went_back: the site answers from 1:\d+; with the profile team 7:1 was seen before\. [^\n]+\n$/,
    );
    expect(JSON.parse(older.stdout)).toMatchObject({
      entries: [{ title: "Mail" }],
      warnings: [{ code: "position_went_back" }],
    });
    expect(await seen()).toBe("7:1");
    // Who names the site by other means has not asked for it.
    done(await dormouse([...list, ...connection], { env }));
  });
});

describe("dormouse import", () => {
  const note = (title: string) => JSON.stringify({ type: "note", title });
  const load = (text: string, ...args: readonly string[]) =>
    asOwner(["import", "-", "--vault", vault, ...args], text);

  async function titles(): Promise<readonly string[]> {
    const { entries } = json(await entry(["list", "--all", "--json"])) as { entries: { title: string }[] };
    return entries.map(({ title }) => title).toSorted();
  }

  it("takes a file of JSON lines, more than one call can hold", async () => {
    const file = join(folder, "entries.jsonl");
    const notes = "n".repeat(100_000);
    const lines = Array.from({ length: 200 }, (_, index) =>
      JSON.stringify({ type: "note", title: `t${index}`, notes }),
    );
    await writeFile(file, `${lines.join("\n")}\n`);
    const result = json(await asOwner(["import", file, "--vault", vault, "--json"]));
    expect(result).toEqual({ imported: 200, kept: 0, calls: 2 });
    expect(await titles()).toHaveLength(200);
  });

  it("says how many it imported, and how many were there already", async () => {
    const line = JSON.stringify({
      entry_id: "0199a0a0-0000-7000-8000-000000000002",
      type: "note",
      title: "A",
    });
    expect(done(await load(line)).stdout).toBe("Imported 1 entry.\n");
    expect(done(await load(`${line}\n${note("B")}`)).stdout).toBe(
      "Imported 1 entry; 1 were there already.\n",
    );
  });

  it("stops at a line that is no JSON, names it, and goes on from where it says", async () => {
    const text = `${note("A")}\n\n${note("B")}\n{oops\n`;
    const result = await load(text);
    refused(
      result,
      1,
      /^dormouse: line 4: it is not JSON; 0 entries imported — correct it and go on with --from-line 1\n$/,
    );
    expect(await titles()).toEqual([]);
    expect(json(await load(text.replace("{oops", note("C")), "--from-line", "3", "--json"))).toMatchObject({
      imported: 2,
    });
    expect(await titles()).toEqual(["B", "C"]);
  });

  it("names the lines that the site refuses, and imports nothing of their call", async () => {
    const result = await load(`${note("A")}\n\n{"type":"car","title":"x"}\n{"type":"note"}\n`);
    refused(result, 1, /; 0 entries imported — correct it and go on with --from-line 1\n/);
    expect(result.stderr).toMatch(/\n {2}line 3\.type: /);
    expect(result.stderr).toMatch(/\n {2}line 4\.title: is missing\n/);
    expect(await titles()).toEqual([]);
  });

  it("counts what was imported before a mistake, also as JSON", async () => {
    const lines = `${note("A")}\n`.repeat(10_001);
    const result = await load(`${lines}x`, "--json");
    refused(
      result,
      1,
      /^dormouse: line 10002: it is not JSON; 10000 entries imported — correct it and go on with --from-line 10001\n$/,
    );
    expect(JSON.parse(result.stdout)).toEqual({ imported: 10_000, kept: 0, calls: 1, next_line: 10_001 });
  });

  it("is refused by a backup with 8, however large, and nothing is sent twice", async () => {
    const line = `${JSON.stringify({ type: "note", title: "A", notes: "n".repeat(100_000) })}\n`;
    for (const count of [1, 150]) {
      const result = await asOwner(["import", "-", "--vault", vault], line.repeat(count), pair.zurich);
      refused(
        result,
        8,
        /; 0 entries imported — write to http:\/\/127[^ ]*, then go on with --from-line 1\n$/,
      );
    }
  });

  it("says that nothing was sent when nobody listens", async () => {
    const args = ["import", "-", "--vault", vault, "--url", "http://127.0.0.1:1", "--token-file", tokenFile];
    const result = await dormouse(args, { stdin: note("A") });
    refused(result, 4, /nothing listens there; 0 entries imported — .*, then go on with --from-line 1\n$/);
  });

  it("refuses an empty file", async () => {
    refused(await load("\n"), 2, /no entry to import/);
  });
});

describe("dormouse status and alerts", () => {
  it("status shows a primary with its backups, and a backup with its primary", async () => {
    const operator = await secretFile("zurich.operator.token", pair.zurich.operatorToken);
    const here = json(await asOperator(["status", "--json"]));
    expect(here).toMatchObject({ site: "calgary", role: "primary", edition: "commercial", fenced: null });
    expect(here.peers).toMatchObject([{ site: "zurich", quarantined: 0 }]);
    expect(done(await asOperator(["status"])).stdout).toMatch(/^zurich +(asleep|shipping) /m);
    const there = json(
      await dormouse(["status", "--url", pair.zurich.url, "--token-file", operator, "--json"]),
    );
    expect(there).toMatchObject({ site: "zurich", role: "backup", primary: { site: "calgary" } });
  });

  it("alerts test raises an alert that the list shows", async () => {
    expect((await asOperator(["alerts", "test"])).stdout).toBe("log: delivered\n");
    const { alerts } = json(await asOperator(["alerts", "--json"])) as { alerts: { event: string }[] };
    expect(alerts.map(({ event }) => event)).toContain("test");
    expect(done(await asOperator(["alerts", "list", "--limit", "1"])).stdout).toMatch(/ test +/);
  });
});

/** `script` gives a command a terminal, as a person has it. */
describe("at a terminal", () => {
  async function atTerminal(args: readonly string[], typed: string): Promise<CommandResult> {
    const quoted = [command, ...args].map((word) => `'${word}'`).join(" ");
    return await new Promise((done) => {
      const child = execFile("script", ["-qec", quoted, "/dev/null"], (error, stdout, stderr) => {
        done({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      });
      // The terminal echoes what is typed before the question comes, so type when it is there.
      child.stdout?.once("data", () => child.stdin?.write(typed));
    });
  }
  const connection = () => ["--url", pair.calgary.url, "--token-file", tokenFile];

  it("a secret is asked for and not echoed", async () => {
    const args = ["entry", "add", "--vault", vault, "--title", "T", "--secret", "password", ...connection()];
    const { status, stdout } = await atTerminal(args, "s3cret\r");
    expect(stdout).toMatch(/password: /);
    expect(stdout).not.toContain("s3cret");
    expect(status).toBe(0);
    const { entries } = json(await entry(["list", "--json", "--reveal"])) as {
      entries: { fields: unknown }[];
    };
    expect(entries[0]?.fields).toEqual([{ label: "password", kind: "concealed", value: "s3cret" }]);
  });

  it("Ctrl-C at a question leaves everything as it was", async () => {
    const args = ["entry", "add", "--vault", vault, "--title", "T", "--secret", "password", ...connection()];
    expect((await atTerminal(args, "s3c\u0003")).status).toBe(130);
    expect((await entry(["list"])).stdout).toBe("");
  });

  it("a deletion happens only after yes", async () => {
    const args = ["vault", "delete", vault, ...connection()];
    const no = await atTerminal(args, "n\r");
    expect(no.stdout).toMatch(/Delete the vault "team" and everything in it for good\? \[y\/N\]/);
    expect(no.status).toBe(2);
    expect((await atTerminal(args, "y\r")).status).toBe(0);
    expect((await entry(["list"])).status).toBe(5);
  });
});

describe("dormouse entry purge", () => {
  it("ends once every backup has proved it", async () => {
    const id = await addEntry();
    refused(await entry(["purge", id]), 2, /give --yes/);
    expect(done(await entry(["purge", id, "--wait", "30", "--yes"])).stdout).toBe(`Purged ${id}.\n`);
    for (const site of [pair.zurich, pair.calgary])
      refused(await entry(["get", id], "", site), 6, /no such entry/);
  });
});
