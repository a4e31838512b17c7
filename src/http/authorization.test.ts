import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import {
  type Answered,
  type CallOptions,
  type HttpSite,
  openHttpSite,
  ScriptedEdition,
} from "../../test/support/http-site.ts";
import { VirtualClock } from "../../test/support/ports.ts";
import { systemRandom } from "../app/system-ports.ts";
import { decodeAccess, encodeAccess, type Scope } from "../core/access.ts";
import type { EditionRoute } from "../core/edition.ts";
import type { Epoch } from "../core/epoch.ts";
import type { SiteName, VaultId } from "../core/ids.ts";
import { accessKey, buryRows, vaultKey } from "../core/vault.ts";
import { AccessSecret } from "../crypto/access-secret.ts";
import { formatToken, newToken, parseToken } from "../crypto/token.ts";
import { accessIdOf } from "./authentication.ts";
import { type Caller, type RouteName, routeTable } from "./route-table.ts";

/** Who can open the vault that the calls name: with a token, and as a person who has logged in. */
const readers = ["read", "session:read"] as const;
const writers = ["write", "session:write"] as const;
const owners = ["owner", "session:owner"] as const;
/** Who has a valid token or session, and no way into that vault. */
const strangers = ["owner of another vault", "session without the vault"] as const;
/** Whose token or session was good once. */
const ended = [
  "expired",
  "revoked",
  "blocked",
  "expired operator",
  "expired session",
  "ended session",
  "session of a revoked access",
] as const;
const others = ["nobody", "operator", "peer"] as const;

const everybody = [...others, ...readers, ...writers, ...owners, ...strangers, ...ended] as const;
type Asking = (typeof everybody)[number];
const isSession = (asking: Asking) => asking.startsWith("session");

type Outcome = "let in" | "unauthorized" | "forbidden" | "other_vault";

/** Who is let in by what a route asks of its caller. Everything else that is expected follows from it, below. */
const letIn: Readonly<Record<Caller, (asking: Asking) => boolean>> = {
  anyone: () => true,
  operator: (asking) => asking === "operator",
  peer: (asking) => asking === "peer",
  session: isSession,
  read: (asking) => [...readers, ...writers, ...owners].some((each) => each === asking),
  write: (asking) => [...writers, ...owners].some((each) => each === asking),
  owner: (asking) => owners.some((each) => each === asking),
};

function outcomeOf(caller: Caller, asking: Asking): Outcome {
  const isOfVault = caller === "read" || caller === "write" || caller === "owner";
  if (letIn[caller](asking)) return "let in";
  // At the calls of peers nothing but a peer's credential is anybody's.
  if (asking === "nobody" || caller === "peer") return "unauthorized";
  if (asking === "session of a revoked access") return isOfVault ? "other_vault" : "forbidden";
  if (ended.some((each) => each === asking)) return "unauthorized";
  return isOfVault && strangers.some((each) => each === asking) ? "other_vault" : "forbidden";
}

const sites = ["primary", "fenced", "backup"] as const;
type SiteState = (typeof sites)[number];

type Row = {
  readonly caller: Caller;
  /** What whoever is let in is answered; of a client's write, on a primary. */
  readonly answers: number | Readonly<Record<SiteState, number>>;
  readonly query?: string;
  readonly sent?: Pick<CallOptions, "body" | "headers">;
};

const note = { type: "note", title: "a" };

/** What each call asks of its caller, and what is sent to it here. A route without a row does not compile. */
const rows: Readonly<Record<RouteName, Row>> = {
  healthz: { caller: "anyone", answers: 200 },
  readyz: { caller: "anyone", answers: { primary: 200, fenced: 503, backup: 200 } },
  createSession: { caller: "anyone", answers: 400, sent: { body: {} } },
  getSession: { caller: "session", answers: 200 },
  endSession: { caller: "session", answers: 400, query: "?all=true" },
  createVault: { caller: "operator", answers: 400, sent: { body: {} } },
  listVaults: { caller: "operator", answers: 200 },
  getVault: { caller: "owner", answers: 200 },
  renameVault: { caller: "owner", answers: 200, sent: { body: { name: "Family" } } },
  deleteVault: { caller: "owner", answers: 412, sent: { headers: { "if-match": '"7:7"' } } },
  createEntry: { caller: "write", answers: 201, sent: { body: note } },
  importEntries: { caller: "write", answers: 201, sent: { body: { entries: [note] } } },
  listEntries: { caller: "read", answers: 200 },
  searchEntries: { caller: "read", answers: 200, sent: { body: { query: "a" } } },
  getEntry: { caller: "read", answers: 200 },
  getOneTimeCodes: { caller: "read", answers: 404 },
  putEntry: { caller: "write", answers: 200, sent: { body: note } },
  patchEntry: { caller: "write", answers: 200, sent: { body: { title: "b" } } },
  deleteEntry: { caller: "write", answers: 400, query: "?purge=perhaps" },
  restoreEntry: { caller: "write", answers: 200 },
  listVersions: { caller: "read", answers: 200 },
  getVersion: { caller: "read", answers: 200 },
  restoreVersion: { caller: "write", answers: 200 },
  getStranded: { caller: "read", answers: 404 },
  reapplyStranded: { caller: "write", answers: 404 },
  createAccess: {
    caller: "owner",
    answers: 201,
    sent: { body: { kind: "machine", name: "a", scope: "read" } },
  },
  listAccesses: { caller: "owner", answers: 200 },
  revokeAccess: { caller: "owner", answers: 404 },
  changeVaultKey: { caller: "owner", answers: 200 },
  listAlerts: { caller: "operator", answers: 200 },
  listAudit: { caller: "operator", answers: 200 },
  testAlerts: { caller: "operator", answers: 200 },
};

function editionRoute(caller: EditionRoute["caller"]): EditionRoute {
  const handle = async () => ({ status: 200, body: {} });
  return { method: "POST", path: `/api/replication/${caller}`, caller, bodyBytesMax: 1000, handle };
}

type Addressed = Row & { readonly method: string; readonly path: string; readonly isClientWrite: boolean };

const editionRows = (["operator", "peer", "anyone"] as const).map((caller): [string, Addressed] => [
  `a route of the edition for ${caller}`,
  { ...editionRoute(caller), isClientWrite: false, answers: 200 },
]);
const adminRow: [string, Addressed] = [
  "a command over HTTP",
  { method: "POST", path: "/api/admin/tidy", caller: "operator", isClientWrite: false, answers: 200 },
];
const tableRows = Object.entries(routeTable).map(([name, spec]): [string, Addressed] => [
  name,
  { ...spec, ...rows[name as RouteName] },
]);
const allRows = [...tableRows, ...editionRows, adminRow];

const unknownId = "0190a000-0000-7000-8000-000000000002";
const peerToken = formatToken(newToken("peer", systemRandom));

/** One site for all cases, and everybody who may ask. */
async function openTown() {
  const clock = new VirtualClock(Date.now());
  const edition = new ScriptedEdition((["operator", "peer", "anyone"] as const).map(editionRoute));
  edition.peers.set(peerToken, "zurich" as SiteName);
  const adminCommands = [{ name: "tidy", handle: async () => ({}) }];
  const site = await openHttpSite({ clock, edition, adminCommands });
  const vault = await site.createVault();
  const elsewhere = await site.createVault();
  const created = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body: note });
  const entryId = String(created.json["entry_id"]);
  await site.call(`PATCH ${vault.path}/entries/${entryId}`, { token: vault.token, body: { title: "b" } });

  async function addPerson({ path, token }: typeof vault, login: string, scope: Scope): Promise<Person> {
    const body = { kind: "person", login, scope };
    const { json } = await site.call(`POST ${path}/access`, { token, body });
    return { login, passphrase: String(json["passphrase"]), accessId: String(json["access_id"]) };
  }
  async function logIn({ login, passphrase }: Person): Promise<string> {
    const { json } = await site.call("POST /api/sessions", { body: { login, passphrase } });
    return String(json["token"]);
  }
  async function end(accessId: string): Promise<void> {
    const { status } = await site.call(`DELETE ${vault.path}/access/${accessId}`, { token: vault.token });
    expect(status).toBe(200);
  }
  function idOf(token: string) {
    return accessIdOf(parseToken(token) ?? newToken("vault", systemRandom));
  }

  const person = await addPerson(vault, "anna", "read");
  const gone = await addPerson(vault, "gone", "owner");
  const expiredSession = await logIn(person);
  await clock.advance(31 * 60_000);
  const endedSession = await logIn(person);
  await site.call("DELETE /api/sessions", { token: endedSession });
  const [blocked, revoked] = [
    await site.addAccess(vault.id, "owner"),
    await site.addAccess(vault.id, "owner"),
  ];
  await site.store.transact((tx) => tx.accesses.block(idOf(blocked)));
  const past = clock.now() - 1;
  const tokens: Readonly<Record<Asking, string | undefined>> = {
    nobody: undefined,
    operator: site.operator,
    peer: peerToken,
    read: await site.addAccess(vault.id, "read"),
    write: await site.addAccess(vault.id, "write"),
    owner: await site.addAccess(vault.id, "owner"),
    "session:read": await logIn(person),
    "session:write": await logIn(await addPerson(vault, "berta", "write")),
    "session:owner": await logIn(await addPerson(vault, "carl", "owner")),
    "owner of another vault": elsewhere.token,
    "session without the vault": await logIn(await addPerson(elsewhere, "dora", "owner")),
    expired: await site.addAccess(vault.id, "owner", past),
    revoked,
    blocked,
    "expired operator": await site.addOperator(past),
    "expired session": expiredSession,
    "ended session": endedSession,
    "session of a revoked access": await logIn(gone),
  };
  // Both change the vault's key: whoever stays has links to follow.
  await end(idOf(revoked));
  await end(gone.accessId);

  const ask = async ({ method, path, query = "", sent }: Addressed, asking: Asking): Promise<Answered> => {
    const url = path
      .replace(":vaultId", vault.id)
      .replace(":entryId", entryId)
      .replace(":accessId", unknownId)
      .replace(":strandedId", unknownId)
      .replace(":version", "1");
    return await site.call(`${method} ${url}${query}`, { token: tokens[asking], ...sent });
  };

  /** Fenced: another site was promoted, and this one has heard of it. A backup: it has come home to that one. */
  async function become(state: SiteState): Promise<void> {
    const { role, fenced, epochSeen } = await site.store.read((r) => r.site.record());
    if (role === "backup" || fenced !== null) await site.store.transact((tx) => tx.roles.promote());
    const epoch: Epoch = { number: epochSeen.number + 2, id: unknownId };
    if (state !== "primary") await site.store.transact((tx) => tx.site.recordEpoch(epoch));
    if (state === "backup") {
      const { head } = await site.store.read((r) => r.site.record());
      const promoted = { epoch, site: "zurich" as SiteName, from: head };
      const timeline = [...(await site.store.read((r) => r.site.timeline())), promoted];
      await site.store.homecoming.rejoin({ epoch, timeline, common: head });
    }
    const code = state === "backup" ? "read_only_backup" : "site_fenced";
    edition.guard = state === "primary" ? undefined : { code, primaryUrl: "https://zurich.example" };
  }
  return { site, vault, ask, become };
}

type Person = { readonly login: string; readonly passphrase: string; readonly accessId: string };
type Town = Awaited<ReturnType<typeof openTown>>;

let site: HttpSite;
beforeAll(async () => {
  site = await openHttpSite();
});
afterAll(() => site.close());

it("every route of the table has a row here, and asks of its caller what the row says", () => {
  expect(Object.keys(rows).sort()).toEqual(Object.keys(routeTable).sort());
  for (const [name, spec] of Object.entries(routeTable))
    expect([name, spec.caller]).toEqual([name, rows[name as RouteName].caller]);
});

describe("every call by everybody", () => {
  let town: Town;
  beforeAll(async () => {
    town = await openTown();
  });
  afterAll(() => town.site.close());

  function answerOf(row: Addressed, state: SiteState, asking: Asking): readonly unknown[] {
    if (row.isClientWrite && state === "fenced") return [503, "site_fenced"];
    if (row.isClientWrite && state === "backup") return [503, "read_only_backup"];
    const outcome = outcomeOf(row.caller, asking);
    if (outcome !== "let in") return [outcome === "unauthorized" ? 401 : 403, outcome];
    return [typeof row.answers === "number" ? row.answers : row.answers[state], "let in"];
  }

  const refusals = ["unauthorized", "forbidden", "other_vault", "site_fenced", "read_only_backup"];
  async function answers(row: Addressed): Promise<Readonly<Record<string, readonly unknown[]>>> {
    const found: Record<string, readonly unknown[]> = {};
    for (const asking of everybody) {
      const { status, json, headers } = await town.ask(row, asking);
      const isRefused = refusals.some((code) => code === json["code"]);
      found[asking] = [status, isRefused ? json["code"] : "let in"];
      expect([asking, headers["www-authenticate"]]).toEqual([asking, status === 401 ? "Bearer" : undefined]);
    }
    return found;
  }

  describe.each(sites)("on a site that is %s", (state) => {
    beforeAll(() => town.become(state));

    it.each(allRows)("%s", async (_, row) => {
      const expected = everybody.map((asking) => [asking, answerOf(row, state, asking)]);
      expect(await answers(row)).toEqual(Object.fromEntries(expected));
    });
  });

  it("HEAD is let in where GET is", async () => {
    await town.become("primary");
    for (const [, row] of allRows.filter(([, { method }]) => method === "GET")) {
      for (const asking of everybody) {
        const got = await town.ask(row, asking);
        expect((await town.ask({ ...row, method: "HEAD" }, asking)).status).toBe(got.status);
      }
    }
  });
});

it.each(["site_fenced", "read_only_backup"] as const)(
  "a client's write is refused as %s before its token, its address and its body are looked at",
  async (code) => {
    const { call, edition } = site;
    edition.guard = { code, primaryUrl: "https://zurich.example" };
    onTestFinished(() => void (edition.guard = undefined));
    const headers = { "content-type": "application/json" };
    for (const [name, row] of tableRows.filter(([, { isClientWrite }]) => isClientWrite)) {
      const url = row.path.replaceAll(/:[A-Za-z]+/g, "no-id");
      const sent = { token: "no token", headers, body: '{"name": "cut o' };
      const answer = await call(`${row.method} ${url}?unknown=1`, sent);
      expect([name, answer.status, answer.json["code"]]).toEqual([name, 503, code]);
      expect(answer.headers["x-primary-location"]).toBe("https://zurich.example");
    }
  },
);

describe("a token", () => {
  const listOf = (path: string, token: string) => site.call(`GET ${path}/entries`, { token });

  it("of another vault is refused as such, whether the named vault is there or not", async () => {
    const [mine, other] = [await site.createVault(), await site.createVault()];
    for (const path of [other.path, `/api/vaults/${unknownId}`]) {
      const { status, json } = await listOf(path, mine.token);
      expect([status, json.code]).toEqual([403, "other_vault"]);
    }
  });

  it("for a path that names no vault at all gets vault_unknown", async () => {
    const { token } = await site.createVault();
    const { status, json } = await listOf("/api/vaults/family", token);
    expect([status, json.code]).toEqual([404, "vault_unknown"]);
  });

  it("that is unknown, wrong, mistyped, revoked, expired or of a deleted vault gets one and the same answer", async () => {
    const vault = await site.createVault();
    const token = parseToken(vault.token);
    if (token === undefined) throw new Error("the vault's token cannot be read");
    const deleted = await site.createVault();
    const readerOfDeleted = await site.addAccess(deleted.id, "read");
    await site.call(`DELETE ${deleted.path}`, { token: deleted.token });
    const refused = {
      unknown: formatToken({ ...token, id: systemRandom.bytes(16) }),
      wrong: formatToken({ ...token, secret: systemRandom.bytes(32) }),
      mistyped: `${vault.token.slice(0, -1)}${vault.token.endsWith("a") ? "b" : "a"}`,
      garbage: "hunter2",
      expired: await site.addAccess(vault.id, "owner", Date.now() - 1),
      expiredOperator: await site.addOperator(Date.now() - 1),
      unknownOperator: formatToken(newToken("operator", systemRandom)),
      unknownPeer: formatToken(newToken("peer", systemRandom)),
      deleted: deleted.token,
      readerOfDeleted,
    };
    for (const [name, text] of Object.entries(refused)) {
      const { status, json } = await listOf(vault.path, text);
      expect({ name, status, ...json, request_id: "" }).toEqual({
        name,
        status: 401,
        type: "urn:dormouse:error:unauthorized",
        title: "The token is missing, mistyped, unknown or expired.",
        detail: "The token is missing, mistyped, unknown or expired.",
        code: "unauthorized",
        request_id: "",
      });
    }
  });

  it("that has not expired yet is taken", async () => {
    const vault = await site.createVault();
    expect(
      (await listOf(vault.path, await site.addAccess(vault.id, "read", Date.now() + 60_000))).status,
    ).toBe(200);
  });

  it.each(["Basic", "bearer", "Bearer  "])(
    "sent as %s is read as RFC 6750 and RFC 9110 say",
    async (scheme) => {
      const headers = { authorization: `${scheme} ${site.operator}` };
      expect((await site.call("GET /api/vaults", { headers })).status).toBe(scheme === "Basic" ? 401 : 200);
    },
  );
});

describe("a token that was taken before", () => {
  const listOf = (path: string, token: string) => site.call(`GET ${path}/entries`, { token });

  it("is refused at once when its access is revoked", async () => {
    const vault = await site.createVault();
    const reader = await site.addAccess(vault.id, "read");
    expect((await listOf(vault.path, reader)).status).toBe(200);
    const accessId = accessIdOf(parseToken(reader) ?? newToken("vault", systemRandom));
    await site.store.transact((tx) =>
      tx.rows.write(buryRows([{ kind: "access", vaultId: vault.id as VaultId, accessId }])),
    );
    expect((await listOf(vault.path, reader)).status).toBe(401);
  });

  it("is refused at once when its vault is deleted or its time is up", async () => {
    const vault = await site.createVault();
    const expiresAt = Date.now() + 60_000;
    const reader = await site.addAccess(vault.id, "read", expiresAt);
    expect((await listOf(vault.path, reader)).status).toBe(200);
    vi.spyOn(Date, "now").mockReturnValue(expiresAt);
    expect((await listOf(vault.path, reader)).status).toBe(401);
    vi.restoreAllMocks();
    await site.store.transact((tx) => tx.rows.write(buryRows([vaultKey(vault.id as VaultId)])));
    expect((await listOf(vault.path, vault.token)).status).toBe(401);
  });

  it("is refused at once when its access is blocked, and taken again when it is not", async () => {
    const vault = await site.createVault();
    const reader = await site.addAccess(vault.id, "read");
    expect((await listOf(vault.path, reader)).status).toBe(200);
    const accessId = accessIdOf(parseToken(reader) ?? newToken("vault", systemRandom));
    await site.store.transact((tx) => tx.accesses.block(accessId));
    expect((await listOf(vault.path, reader)).status).toBe(401);
    await site.store.transact((tx) => tx.accesses.unblock(accessId));
    expect((await listOf(vault.path, reader)).status).toBe(200);
  });

  it("is checked anew when somebody without the vault's key has changed its access", async () => {
    const vault = await site.createVault();
    const reader = await site.addAccess(vault.id, "read");
    expect((await listOf(vault.path, reader)).status).toBe(200);
    const accessId = accessIdOf(parseToken(reader) ?? newToken("vault", systemRandom));
    const key = accessKey(vault.id as VaultId, accessId);
    const row = await site.store.read((r) => r.rows.row(key));
    const access = { ...decodeAccess(row?.body ?? new Uint8Array()), scope: "owner" } as const;
    await site.store.transact((tx) =>
      tx.rows.write({ keys: [key], decide: () => [{ key, body: encodeAccess(access) }] }),
    );
    expect((await listOf(vault.path, reader)).json["code"]).toBe("access_forged");
  });

  it("is neither derived from nor checked anew while nothing has changed", async () => {
    const vault = await site.createVault();
    const openSlot = vi.spyOn(AccessSecret.prototype, "openSlot");
    const body = { type: "note", title: "a" };
    for (let i = 0; i < 3; i += 1) {
      expect((await listOf(vault.path, vault.token)).status).toBe(200);
      const created = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body });
      expect(created.status).toBe(201);
    }
    expect(openSlot).toHaveBeenCalledTimes(1);
    await site.call(`PATCH ${vault.path}`, { token: vault.token, body: { name: "renamed" } });
    expect((await listOf(vault.path, vault.token)).status).toBe(200);
    expect(openSlot).toHaveBeenCalledTimes(2);
  });

  it("does not make a mistyped one pass", async () => {
    const vault = await site.createVault();
    expect((await listOf(vault.path, vault.token)).status).toBe(200);
    expect((await listOf(vault.path, vault.token.slice(0, -1))).status).toBe(401);
    expect((await listOf(vault.path, vault.token.toUpperCase())).status).toBe(401);
  });
});
