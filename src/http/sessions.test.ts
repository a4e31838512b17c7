import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answered, type HttpSite, openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import { VirtualClock } from "../../test/support/ports.ts";

const chosen = "travesty divided aching glorify jasmine stomp";
const login = "anna@calgary.example";

let clock: VirtualClock;
let edition: ScriptedEdition;
let site: HttpSite;
beforeEach(async () => {
  clock = new VirtualClock(Date.now());
  edition = new ScriptedEdition();
  // Every request may say where it comes from.
  site = await openHttpSite({ clock, edition, isProxy: (address) => address === "127.0.0.1" });
});
afterEach(() => site.close());

async function addPerson(
  vault: { readonly path: string; readonly token: string },
  scope = "write",
  passphrase = chosen,
) {
  const body = { kind: "person", login, scope, passphrase };
  const { status, json } = await site.call(`POST ${vault.path}/access`, { token: vault.token, body });
  expect({ status, code: json["code"] }).toEqual({ status: 201, code: undefined });
  return String(json["access_id"]);
}

let addresses = 0;
/** From an address that nobody has failed from yet, unless it is said. */
async function logIn(body: object, address = `203.0.113.${(addresses += 1)}`): Promise<Answered> {
  return await site.call("POST /api/sessions", { body, headers: { "x-forwarded-for": address } });
}

describe("a session", () => {
  it("opens each of the person's vaults, as far as the scope in it goes, and lasts until it is ended", async () => {
    const [family, office] = [await site.createVault("Family"), await site.createVault("Office")];
    await addPerson(family, "write");
    await addPerson(office, "read");
    const { status, json, headers } = await logIn({ login, passphrase: chosen });
    const vaults = [
      { vault_id: family.id, name: "Family", scope: "write" },
      { vault_id: office.id, name: "Office", scope: "read" },
    ];
    const times = {
      idle_expires_at: new Date(clock.now() + 1_800_000).toISOString(),
      expires_at: new Date(clock.now() + 43_200_000).toISOString(),
    };
    const token = String(json["token"]);
    expect(status).toBe(201);
    expect(json).toEqual({ token, login, ...times, vaults: expect.arrayContaining(vaults) as unknown });
    expect(token).toMatch(/^dml_/);
    expect(headers["cache-control"]).toBe("no-store");

    const entry = { type: "note", title: "by anna" };
    expect((await site.call(`POST ${family.path}/entries`, { token, body: entry })).status).toBe(201);
    expect((await site.call(`GET ${office.path}/entries`, { token })).status).toBe(200);
    const refused = await site.call(`POST ${office.path}/entries`, { token, body: entry });
    expect([refused.status, refused.json["code"]]).toEqual([403, "forbidden"]);

    const shown = await site.call("GET /api/sessions", { token });
    expect(shown.status).toBe(200);
    expect(shown.json).toEqual({ login, ...times, vaults: expect.arrayContaining(vaults) as unknown });
    expect((await site.call("DELETE /api/sessions", { token })).status).toBe(200);
    for (const call of ["GET /api/sessions", "DELETE /api/sessions", `GET ${family.path}/entries`]) {
      const { status: after, json: problem } = await site.call(call, { token });
      expect([after, problem["code"]]).toEqual([401, "unauthorized"]);
    }
  });

  it("ends after 30 minutes without a call", async () => {
    const vault = await site.createVault();
    await addPerson(vault);
    const token = String((await logIn({ login, passphrase: chosen })).json["token"]);
    await clock.advance(29 * 60_000);
    expect((await site.call(`GET ${vault.path}/entries`, { token })).status).toBe(200);
    await clock.advance(30 * 60_000);
    expect((await site.call(`GET ${vault.path}/entries`, { token })).status).toBe(401);
  });

  it("of an access that is revoked opens that vault no more, and the others still", async () => {
    const [one, two] = [await site.createVault("One"), await site.createVault("Two")];
    const accessId = await addPerson(one);
    await addPerson(two);
    const token = String((await logIn({ login, passphrase: chosen })).json["token"]);
    const path = `${one.path}/access/${accessId}?keep_key=true`;
    expect((await site.call(`DELETE ${path}`, { token: one.token })).status).toBe(200);
    expect((await site.call(`GET ${one.path}/entries`, { token })).json["code"]).toBe("other_vault");
    expect((await site.call(`GET ${two.path}/entries`, { token })).status).toBe(200);
    const { json } = await site.call("GET /api/sessions", { token });
    expect(json["vaults"]).toEqual([{ vault_id: two.id, name: "Two", scope: "write" }]);
  });

  it.each(["read_only_backup", "site_fenced"] as const)(
    "can be begun where writes are refused: %s",
    async (code) => {
      const vault = await site.createVault();
      await addPerson(vault);
      edition.guard = { code, primaryUrl: null };
      const { status, json } = await logIn({ login, passphrase: chosen });
      expect(status).toBe(201);
      const token = String(json["token"]);
      expect((await site.call(`GET ${vault.path}/entries`, { token })).status).toBe(200);
      expect((await site.call("DELETE /api/sessions", { token })).status).toBe(200);
    },
  );
});

describe("a wrong passphrase and an unknown login", () => {
  it("are answered alike, byte for byte but for the request's id", async () => {
    const vault = await site.createVault();
    await addPerson(vault);
    const wrong = await logIn({ login, passphrase: `${chosen} or another` });
    const unknown = await logIn({ login: "nobody", passphrase: `${chosen} or another` });
    await clock.advance(600_000);
    const elsewhere = await logIn({ login, passphrase: chosen, vault_id: crypto.randomUUID() });
    for (const { status, json, headers } of [wrong, unknown, elsewhere]) {
      expect(status).toBe(401);
      expect({ ...json, request_id: "" }).toEqual({
        type: "urn:dormouse:error:login_failed",
        title: "There is no such login, or the passphrase is wrong.",
        status: 401,
        detail: "There is no such login, or the passphrase is wrong.",
        code: "login_failed",
        request_id: "",
      });
      const { "request-id": _, date: __, ...others } = headers;
      const { "request-id": ___, date: ____, ...expected } = unknown.headers;
      expect(others).toEqual(expected);
    }
  });
});

describe("a login that is no request", () => {
  const secret = "hunter2 hunter2";
  it.each<[string, object, string]>([
    ["has no passphrase", { login }, "passphrase"],
    ["has an empty one", { login, passphrase: "" }, "passphrase"],
    ["has one of 257 characters", { login, passphrase: secret.repeat(20).slice(0, 257) }, "passphrase"],
    ["has one that is no Unicode", { login, passphrase: `${secret}\ud800` }, "passphrase"],
    ["has one that is no text", { login, passphrase: [secret] }, "passphrase"],
    ["has no login", { passphrase: secret }, "login"],
    ["has a login with blanks", { login: "anna b", passphrase: secret }, "login"],
    ["has something else", { login, passphrase: secret, remember: secret }, "remember"],
  ])("because it %s is told so, and no value is repeated or logged", async (_, body, path) => {
    const { status, json } = await logIn(body);
    expect([status, json["code"]]).toEqual([400, "invalid_request"]);
    expect(json["errors"]).toEqual([{ path, message: expect.any(String) as unknown }]);
    expect(JSON.stringify(json)).not.toContain("hunter2");
    expect(site.logged.join("")).not.toContain("hunter2");
  });

  it("because it is too large is not read", async () => {
    const { status, json } = await logIn({ login, passphrase: "x".repeat(9_000) });
    expect([status, json["code"]]).toEqual([413, "body_too_large"]);
  });
});

it("who has failed waits before the next attempt, and is let in then", async () => {
  const vault = await site.createVault();
  await addPerson(vault);
  for (let i = 0; i < 2; i += 1) {
    const attempt = logIn({ login, passphrase: "wrong" }, "198.51.100.1");
    if (i > 0) expect(await clock.untilSleeping()).toBe(500);
    await clock.advance(500);
    expect((await attempt).status).toBe(401);
  }
  const attempt = logIn({ login, passphrase: chosen }, "198.51.100.1");
  expect(await clock.untilSleeping()).toBeCloseTo(1_000);
  await clock.advance(1_000);
  expect((await attempt).status).toBe(201);
  expect(clock.sleeping).toBe(0);
});

it("too many logins of one address at once are told when to come back, and those of others are let in", async () => {
  const vault = await site.createVault();
  await addPerson(vault);
  const flood = Array.from({ length: 100 }, (_, i) =>
    logIn({ login: `login-${i}`, passphrase: "x" }, "198.51.100.1"),
  );
  const home = await logIn({ login, passphrase: chosen });
  expect(home.status).toBe(201);
  await clock.advance(10_000);
  const answers = await Promise.all(flood);
  const busy = answers.filter(({ status }) => status === 503);
  expect(busy).toHaveLength(96);
  for (const { json, headers } of busy) expect([json["code"], headers["retry-after"]]).toEqual(["busy", "2"]);
  expect(answers.filter(({ json }) => json["code"] === "login_failed")).toHaveLength(4);
});

it("a client that goes away while it waits leaves no timer", async () => {
  const url = await site.app.listen({ port: 0 });
  const gone = new AbortController();
  const body = JSON.stringify({ login, passphrase: "wrong" });
  const headers = { "content-type": "application/json", "x-forwarded-for": "198.51.100.7" };
  const post = (signal?: AbortSignal) =>
    fetch(`${url}/api/sessions`, { method: "POST", headers, body, ...(signal && { signal }) });
  expect((await post()).status).toBe(401);
  const waiting = post(gone.signal).catch(() => "gone");
  await clock.untilSleeping();
  gone.abort();
  expect(await waiting).toBe("gone");
  while (clock.sleeping > 0) await clock.turn();
});

it("a site that closes lets nobody wait", async () => {
  await logIn({ login, passphrase: "wrong" }, "198.51.100.1");
  const waiting = logIn({ login, passphrase: "wrong" }, "198.51.100.1");
  await clock.untilSleeping();
  await site.app.close();
  expect((await waiting).json["code"]).toBe("shutting_down");
});

it("neither passphrases nor tokens of sessions reach the log", async () => {
  const vault = await site.createVault();
  await addPerson(vault);
  const token = String((await logIn({ login, passphrase: chosen })).json["token"]);
  await logIn({ login, passphrase: "something wrong" });
  await site.call("GET /api/sessions", { token });
  await site.call(`GET ${vault.path}/entries`, { token });
  await clock.turn();
  const log = site.logged.join("");
  expect(log).toContain("/api/sessions");
  for (const secret of [chosen, "something wrong", token, token.slice(37, 80), login])
    expect(log).not.toContain(secret);
});
