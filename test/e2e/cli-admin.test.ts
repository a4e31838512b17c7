import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemRandom } from "../../src/app/system-ports.ts";
import { Refusal } from "../../src/core/errors.ts";
import { formatToken, newToken } from "../../src/crypto/token.ts";
import type {
  PromotionPreflight,
  PromotionResult,
  RecoverResult,
  RejoinResult,
  StrandedItem,
  StrandedSettled,
  StrandedShown,
  VerifyResult,
} from "../../src/protocol/admin-requests.ts";
import { command, openAdminServer } from "../support/admin-socket.ts";
import { type CommandResult, dormouse, writeConfig } from "../support/processes.ts";

/** The commands that act on a site, on a real admin socket whose answers the test gives. */

let folder: string;
let config: readonly string[];
let server: Awaited<ReturnType<typeof openAdminServer>> | undefined;
/** What was asked, as `command` and its body. */
let asked: (readonly [string, unknown])[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dormouse-cli-admin-"));
  const path = join(folder, "zurich.yaml");
  await mkdir(join(folder, "zurich"));
  await writeConfig(path, { edition: "commercial", site: "zurich", data: "./zurich" });
  config = ["--config", path];
  asked = [];
});
afterEach(async () => {
  await server?.app.close();
  server = undefined;
  await rm(folder, { recursive: true });
});

type Answers = Readonly<Record<string, (body: Record<string, unknown>) => object>>;

async function serve(answers: Answers): Promise<void> {
  const commands = Object.entries(answers).map(([name, answer]) =>
    command(name, async ({ body, progress }) => {
      asked.push([name, body]);
      progress({ stage: "comparing", done: 1, total: 4 });
      return answer(body as Record<string, unknown>);
    }),
  );
  server = await openAdminServer(join(folder, "zurich", "admin.sock"), commands);
}

const run = (...args: readonly string[]): Promise<CommandResult> => dormouse([...args, ...config]);

/** With a terminal, as a person has it. */
function atTerminal(args: readonly string[], typed: string): Promise<CommandResult> {
  const quoted = [resolve("bin/dormouse"), ...args, ...config].map((word) => `'${word}'`).join(" ");
  return new Promise((done) => {
    let shown = "";
    const child = execFile("script", ["-qec", quoted, "/dev/null"], (error, stdout, stderr) => {
      done({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
    child.stdout?.on("data", (text) => {
      const before = shown;
      shown += String(text);
      if (!before.includes("[y/N]") && shown.includes("[y/N]")) child.stdin?.write(typed);
    });
  });
}

const preflight: PromotionPreflight = {
  kind: "forced",
  site: "zurich",
  epoch: 1,
  known: { applied: "1:52", "last push": "2026-11-23T08:00:00.000Z" },
  unknown: ["whether calgary has taken writes since\u001b[31m"],
  refused: null,
};
const promoted: PromotionResult = {
  site: "zurich",
  role: "primary",
  epoch: 2,
  from: "1:52",
  result: "promoted",
};
const promotion: Answers = { promote: ({ dry_run: dry }) => (dry === true ? preflight : promoted) };

describe("dormouse promote", () => {
  it("shows what is known and what nobody can know, and acts with --yes", async () => {
    await serve(promotion);
    const { status, stdout, stderr } = await run("promote", "--force", "--yes");
    expect(stderr).toMatch(/applied +1:52\n/);
    expect(stderr).toMatch(
      /What cannot be known from here:\n {2}- whether calgary has taken writes since\\x1b\[31m\n/,
    );
    expect(stdout).toBe("zurich is primary of epoch 2, from 1:52 on.\n");
    expect(status).toBe(0);
    expect(asked).toEqual([
      ["promote", { force: true, dry_run: true }],
      ["promote", { force: true }],
    ]);
  });

  it("does nothing where nobody can be asked: status 2", async () => {
    await serve(promotion);
    const { status, stdout, stderr } = await run("promote", "--force");
    expect(stderr).toMatch(/nobody can be asked — give --yes\n$/);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(asked).toEqual([["promote", { force: true, dry_run: true }]]);
  });

  it("asks at a terminal, and acts only after yes", async () => {
    await serve(promotion);
    const no = await atTerminal(["promote"], "n\r");
    expect(no.stdout).toMatch(/Make zurich the primary\? \[y\/N\]/);
    expect(no.status).toBe(2);
    expect(asked).toHaveLength(1);
    const yes = await atTerminal(["promote"], "y\r");
    expect(yes.stdout).toContain("zurich is primary of epoch 2");
    expect(yes.status).toBe(0);
  });

  it("says with --dry-run what would be, as lines and as JSON, and changes nothing", async () => {
    const refused = "2 rows are quarantined";
    await serve({ promote: () => ({ ...preflight, kind: "planned", refused }) });
    expect((await run("promote", "--dry-run")).stdout).toMatch(/planned.*\n[^]*It would be refused: 2 rows/);
    const { status, stdout } = await run("promote", "--dry-run", "--json");
    expect(JSON.parse(stdout)).toEqual({ ...preflight, kind: "planned", refused });
    expect(status).toBe(0);
    expect(asked.filter(([, body]) => (body as { dry_run?: boolean }).dry_run !== true)).toEqual([]);
  });

  it("does not even ask where the site would refuse: status 7", async () => {
    await serve({ promote: () => ({ ...preflight, kind: "planned", refused: "2 rows are quarantined" }) });
    const { status, stderr } = await run("promote", "--yes");
    expect(stderr).toMatch(/^dormouse: 2 rows are quarantined — --force promotes all the same\n$/m);
    expect(status).toBe(7);
    expect(asked).toHaveLength(1);
  });

  it("is done where the site is primary already, without a question", async () => {
    const answer = { ...promoted, result: "already_primary" };
    await serve({
      promote: ({ dry_run: dry }) => (dry === true ? { ...preflight, kind: "nothing" } : answer),
    });
    const { status, stdout } = await run("promote", "--json");
    expect(JSON.parse(stdout)).toEqual(answer);
    expect(status).toBe(0);
  });

  it("tells a refusal by its code's own status, and names each mistake", async () => {
    await serve({
      promote: ({ dry_run: dry }) => {
        if (dry === true) return preflight;
        throw new Refusal("rows_quarantined", "calgary refuses", [
          { path: "entry/1/2", message: "too_large" },
        ]);
      },
    });
    const { status, stdout, stderr } = await run("promote", "--yes");
    expect(stderr).toMatch(/^dormouse: calgary refuses — [^\n]+\n {2}entry\/1\/2: too_large\n$/m);
    expect({ status, stdout }).toEqual({ status: 7, stdout: "" });
  });

  it("gives a grant back with --decline, which stands alone", async () => {
    await serve({ decline: () => ({ site: "zurich", role: "backup", result: "declined" }) });
    expect((await run("promote", "--decline")).stdout).toMatch(/^The grant was given back/);
    expect((await run("promote", "--decline", "--force")).status).toBe(2);
    expect(asked).toEqual([["decline", {}]]);
  });
});

describe("dormouse rejoin and recover", () => {
  const counts = { site: "zurich", put_aside: 3 };

  const rejoined: RejoinResult = { ...counts, role: "backup", winner: "calgary", common: "1:40" };

  it("rejoin says whose backup the site is now, and what was put aside", async () => {
    await serve({ rejoin: () => rejoined });
    const { status, stdout } = await run("rejoin");
    expect(stdout).toMatch(/^zurich is a backup of calgary now\.\n.*1:40\.\n3 rows were put aside/);
    expect(status).toBe(0);
  });

  it("recover shows its steps, asks, and does them", async () => {
    const steps = ["promote calgary, which is furthest", "come home to it"];
    const result: RecoverResult = { ...counts, role: "primary", epoch: 4, put_aside: 0, steps };
    await serve({ recover: () => result });
    expect((await run("recover")).status).toBe(2);
    const { status, stdout, stderr } = await run("recover", "--force", "--yes", "--json");
    expect(stderr).toBe(steps.map((step) => `- ${step}\n`).join(""));
    expect(JSON.parse(stdout)).toEqual(result);
    expect(status).toBe(0);
    expect(asked.at(-1)).toEqual(["recover", { force: true }]);
    expect((await run("recover", "--yes")).stdout).toMatch(
      /zurich is primary of epoch 4\.\nNothing had to be put aside\.\n$/,
    );
  });
});

const differing = [
  { key: "entry/v1/e1", what: "unknown_here" },
  { key: "vault/v2", what: "damaged" },
] as const;

describe("dormouse verify", () => {
  const equal: VerifyResult = {
    equal: true,
    position: "1:52",
    local: { rows: 51, damaged: [], database: "ok" },
    peers: [{ site: "calgary", equal: true, rows: 51, differing: [], error: null }],
  };

  it("ends with 0 only when everything is equal", async () => {
    await serve({ verify: () => equal });
    const { status, stdout, stderr } = await run("verify");
    expect(stdout).toBe("zurich: 51 rows, database ok, head 1:52\ncalgary: 51 rows, equal\n");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(asked).toEqual([["verify", { repair: false }]]);
  });

  it("names the rows that differ, and ends with 1", async () => {
    const local = { ...equal.local, damaged: ["vault/v3"] };
    const peers = [
      { site: "calgary", equal: false, rows: 50, differing, error: null },
      { site: "oslo", equal: false, rows: 0, differing: [], error: "does not answer" },
    ];
    await serve({ verify: () => ({ ...equal, equal: false, local, peers }) });
    const { status, stdout, stderr } = await run("verify", "--repair");
    expect(stdout).toMatch(/damaged: vault\/v3\ncalgary: 50 rows, 2 differ\n/);
    expect(stdout).toMatch(/^entry\/v1\/e1 +unknown here\nvault\/v2 +damaged\n/m);
    expect(stdout).toMatch(/oslo: not compared: does not answer\n$/);
    expect(stderr).toMatch(/^Repairs were asked for/);
    expect(status).toBe(1);
    expect(asked).toEqual([["verify", { repair: true }]]);
    const asJson = await run("verify", "--json");
    expect(JSON.parse(asJson.stdout)).toMatchObject({ equal: false, peers });
    expect(asJson.status).toBe(1);
    expect(asJson.stderr).toMatch(/--repair/);
  });
});

describe("dormouse stranded", () => {
  const row: StrandedItem = {
    id: "3f0c",
    kind: "entry",
    key: "entry/v1/e1",
    position: "1:41",
    from: "zurich",
    at: "2026-11-23T08:00:00.000Z",
    deleted: false,
  };
  const fields = [
    { label: "username", kind: "text", value: "demo" },
    { label: "password", kind: "concealed", value: "hunter2" },
  ];
  const content = { title: "Mail", fields };
  const settled: StrandedSettled = { action: "reapply", settled: 1, refused: [], left: 2 };
  const answers: Answers = {
    stranded: ({ action }) => {
      if (action === "list") return { stranded: [row] };
      if (action === "show") return { ...row, content } satisfies StrandedShown;
      return settled;
    },
  };

  it("lists what there is, or says that there is nothing", async () => {
    await serve(answers);
    expect((await run("stranded")).stdout).toMatch(
      /^3f0c +entry\/v1\/e1 +1:41 +zurich +2026-11-23T08:00:00\.000Z +no$/m,
    );
    expect(JSON.parse((await run("stranded", "list", "--json")).stdout)).toEqual({ stranded: [row] });
    await server?.app.close();
    await serve({ stranded: () => ({ stranded: [] }) });
    const { stdout, stderr, status } = await run("stranded", "list");
    expect({ stdout, stderr, status }).toEqual({ stdout: "", stderr: "Nothing is stranded.\n", status: 0 });
    expect((await run("stranded", "discard", "--all", "--yes")).status).toBe(0);
  });

  it("shows one, and its concealed values only with --reveal", async () => {
    await serve(answers);
    const { stdout } = await run("stranded", "show", "3f0c");
    expect(stdout).toContain("Mail");
    expect(stdout).not.toContain("hunter2");
    const revealed = await run("stranded", "show", "3f0c", "--reveal", "--json");
    expect(JSON.parse(revealed.stdout)).toEqual({ ...row, content });
  });

  it("shows what reapply would write before it asks, and writes after yes", async () => {
    await serve(answers);
    const nobody = await run("stranded", "reapply", "3f0c");
    expect(nobody.stderr).toMatch(/holds:\n {2}title: Mail\n/);
    expect(nobody.stderr).not.toContain("hunter2");
    expect(nobody.status).toBe(2);
    expect((await run("stranded", "reapply", "3f0c", "--yes")).stdout).toBe(
      "Written again: 1 row; 2 are left.\n",
    );
    expect(asked.at(-1)).toEqual(["stranded", { action: "reapply", id: "3f0c" }]);
    expect((await run("stranded", "discard", "--all", "--yes", "--json")).stdout).toMatch(/settled/);
    expect(asked.at(-1)).toEqual(["stranded", { action: "discard", all: true }]);
  });

  it("names the rows of all that were refused, and ends with 7", async () => {
    const refused = [{ id: "3f0d", code: "reapply_refused" }];
    await serve({
      stranded: ({ action }) => (action === "list" ? { stranded: [row, row] } : { ...settled, refused }),
    });
    const { status, stdout } = await run("stranded", "reapply", "--all", "--yes");
    expect(stdout).toBe("Written again: 1 row; 2 are left.\nLeft as it is: 3f0d (reapply_refused)\n");
    expect(status).toBe(7);
  });

  it("wants one row or all, and tells of a row that cannot be written again: status 7", async () => {
    await serve({
      stranded: ({ action }) => {
        if (action === "reapply") throw new Refusal("reapply_refused");
        return { ...row, content };
      },
    });
    expect((await run("stranded", "discard")).status).toBe(2);
    expect((await run("stranded", "discard", "3f0c", "--all")).status).toBe(2);
    expect(asked).toEqual([]);
    expect((await run("stranded", "reapply", "3f0c", "--yes")).status).toBe(7);
  });
});

describe("dormouse check of a primary", () => {
  const hourMs = 3_600_000;
  let provedAt: number | null;
  let isReachable: boolean;

  beforeEach(async () => {
    isReachable = true;
    const token = formatToken(newToken("peer", systemRandom));
    await writeFile(join(folder, "pair.token"), token, { mode: 0o600 });
    const peers = [{ site: "calgary", url: "http://127.0.0.1:1", token_file: "./pair.token" }];
    const path = config[1] ?? "";
    await writeConfig(path, {
      edition: "commercial",
      site: "zurich",
      data: "./zurich",
      replication: { peers },
    });
    const calgary = { site: "calgary", state: "asleep", dirty: 0, lag_ms: 0, quarantined: 0 };
    await serve({
      status: () => {
        const at = provedAt === null ? null : new Date(provedAt).toISOString();
        const verified = at === null ? null : { position: "1:52", at };
        const peer = { ...calgary, diverged: false, verified };
        return { site: "zurich", role: "primary", epoch: 1, head: "1:52", fenced: null, peers: [peer] };
      },
      signal: () => {
        if (isReachable) provedAt = Date.now();
        return { signalled: ["calgary"] };
      },
    });
  });

  const commands = () => asked.map(([name]) => name);

  it("asks for nothing while the proof is young", async () => {
    provedAt = Date.now() - 11 * hourMs;
    expect((await run("check")).stdout).toMatch(/ calgary_proof_age=396\d\ds;86400 /);
    expect(commands()).toEqual(["status"]);
  });

  it("has the site prove anew what is older than half of what it may be", async () => {
    provedAt = Date.now() - 13 * hourMs;
    expect((await run("check")).stdout).toMatch(/ calgary_proof_age=\ds;86400 /);
    expect(commands()).toEqual(["status", "signal", "status"]);
  });

  it("does not wait longer than it may for a proof that does not come", async () => {
    provedAt = null;
    isReachable = false;
    const { stdout, status } = await run("check", "--timeout", "0.5");
    expect(stdout).toContain("calgary was not proved equal yet");
    expect(status).toBe(2);
    expect(commands().filter((name) => name === "signal")).toHaveLength(1);
  });
});

describe("a site that cannot be asked", () => {
  const commands = [["promote"], ["rejoin"], ["recover"], ["verify"], ["stranded"], ["status"]];

  it.each(commands)("does not run: dormouse %s says how it is started, and ends with 4", async (name) => {
    const { status, stdout, stderr } = await run(name ?? "");
    expect(stderr).toBe(`dormouse: zurich does not run — start it: dormouse serve --config ${config[1]}\n`);
    expect({ status, stdout }).toEqual({ status: 4, stdout: "" });
  });

  it("is not named: status 2", async () => {
    for (const name of ["promote", "verify", "check"]) {
      const { status } = await dormouse([name]);
      expect([name, status]).toEqual([name, name === "check" ? 3 : 2]);
    }
  });

  it("is found though the rest of its configuration is wrong: nobody is kept from it in an emergency", async () => {
    await serve({ status: () => ({ site: "zurich", role: "backup" }) });
    const path = config[1] ?? "";
    await writeConfig(path, {
      edition: "commercial",
      site: "zurich",
      data: "./zurich",
      listn: {},
      replication: 7,
    });
    expect((await run("status", "--json")).status).toBe(0);
    await writeConfig(path, { edition: "commercial", site: "zurich" });
    const { status, stderr } = await run("status");
    expect(stderr).toMatch(/data: is missing/);
    expect(status).toBe(3);
  });

  it("has no such command: status 6", async () => {
    await serve({});
    const { status, stderr } = await run("rejoin");
    expect(stderr).toBe("dormouse: zurich has no command rejoin — only the commercial edition replicates\n");
    expect(status).toBe(6);
  });

  it("is cut off in the middle: status 4, and nothing is claimed", async () => {
    await serve({ rejoin: () => ({}) });
    await server?.app.close();
    server = await openAdminServer(join(folder, "zurich", "admin.sock"), [
      command("rejoin", async ({ progress, signal }) => {
        progress({ stage: "waiting" });
        // As if the process were killed.
        setImmediate(() => server?.app.server.closeAllConnections());
        await new Promise((done) => signal.addEventListener("abort", done));
        return {};
      }),
    ]);
    const { status, stdout, stderr } = await run("rejoin");
    expect(stderr).toMatch(/^dormouse: zurich: [^\n]+ — see its log; the command may be repeated\n$/);
    expect({ status, stdout }).toEqual({ status: 4, stdout: "" });
  });
});

describe("progress", () => {
  it("is shown at a terminal for what takes over a second, and nowhere else", async () => {
    const slow = command("verify", async ({ progress, signal }) => {
      // Real time is what the line waits for.
      const steps = Array.from({ length: 15 }, (_, done) => done);
      for (const done of steps) {
        progress({ stage: "comparing", done, total: 15 });
        await new Promise((next) => setTimeout(next, 100));
      }
      void signal;
      return { equal: true, position: "1:1", local: {}, peers: [] };
    });
    server = await openAdminServer(join(folder, "zurich", "admin.sock"), [slow]);
    const [person, script] = await Promise.all([atTerminal(["verify"], ""), run("verify")]);
    expect(person.stdout).toMatch(/\rcomparing 9\d %|\rcomparing [78]\d %/);
    expect(script.stderr).toBe("");
    expect(script.status).toBe(0);
  });
});

describe("a socket that is not ours", () => {
  it("cannot be used by another user: the remedy says whose it is", async () => {
    await serve({ status: () => ({}) });
    await chmod(join(folder, "zurich", "admin.sock"), 0o000);
    const { status, stderr } = await run("status");
    // Root may use any socket.
    if (process.getuid?.() === 0) return expect(status).toBe(0);
    expect(stderr).toMatch(/not yours to use — run this as the user that the site runs as/);
    expect(status).toBe(5);
  });
});

describe("dormouse access block", () => {
  const id = "0199a0a0-0000-7000-8000-000000000001";
  const blocked = { blocked: [{ access_id: id, at: "2026-11-23T08:00:00.000Z" }] };

  it("has the site refuse an access and take it again, and lists what it refuses", async () => {
    await serve({ access: ({ action }) => (action === "unblock" ? { blocked: [] } : blocked) });
    expect((await run("access", "block", id)).stdout).toMatch(
      new RegExp(`^zurich refuses ${id} from now on`),
    );
    expect((await run("access", "blocked")).stdout).toMatch(new RegExp(`^ACCESS +SINCE\n${id} +2026`));
    expect(JSON.parse((await run("access", "unblock", id, "--json")).stdout)).toEqual({ blocked: [] });
    expect(asked).toEqual([
      ["access", { action: "block", id }],
      ["access", { action: "list" }],
      ["access", { action: "unblock", id }],
    ]);
  });
});
