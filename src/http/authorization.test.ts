import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type HttpSite, openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import { systemRandom } from "../app/system-ports.ts";
import type { EditionRoute } from "../core/edition.ts";
import type { SiteName, VaultId } from "../core/ids.ts";
import { buryRows, vaultKey } from "../core/vault.ts";
import { formatToken, newToken, parseToken } from "../crypto/token.ts";
import { accessIdOf } from "./authentication.ts";
import { type RouteName, type RouteSpec, routeTable } from "./route-table.ts";

const everybody = ["nobody", "operator", "read", "write", "owner", "peer"] as const;
type Asking = (typeof everybody)[number];

/** Whom each call lets in. A route without a line here does not compile, and a line without a route fails. */
const allowed: Readonly<Record<RouteName, readonly Asking[]>> = {
  healthz: everybody,
  readyz: everybody,
  createVault: ["operator"],
  listVaults: ["operator"],
  getVault: ["owner"],
  renameVault: ["owner"],
  deleteVault: ["owner"],
  createEntry: ["write", "owner"],
  importEntries: ["write", "owner"],
  listEntries: ["read", "write", "owner"],
  searchEntries: ["read", "write", "owner"],
  getEntry: ["read", "write", "owner"],
  getOneTimeCodes: ["read", "write", "owner"],
  putEntry: ["write", "owner"],
  patchEntry: ["write", "owner"],
  deleteEntry: ["write", "owner"],
  restoreEntry: ["write", "owner"],
  listAlerts: ["operator"],
  testAlerts: ["operator"],
};

function editionRoute(caller: EditionRoute["caller"]): EditionRoute {
  const handle = async () => ({ status: 200, body: {} });
  return { method: "POST", path: `/api/replication/${caller}`, caller, bodyBytesMax: 1000, handle };
}

const unknownEntry = "0190a000-0000-7000-8000-000000000002";
const peerToken = formatToken(newToken("peer", systemRandom));

let site: HttpSite;
beforeAll(async () => {
  const routes = [editionRoute("operator"), editionRoute("peer"), editionRoute("anyone")];
  const edition = new ScriptedEdition(routes);
  edition.peers.set(peerToken, "zurich" as SiteName);
  site = await openHttpSite({ edition });
});
afterAll(() => site.close());

/** A vault of its own for every case, since some calls end it. */
async function ask(spec: Pick<RouteSpec, "method" | "path">, asking: Asking) {
  const vault = await site.createVault();
  const tokens: Readonly<Record<Asking, () => Promise<string | undefined>>> = {
    nobody: async () => undefined,
    operator: async () => site.operator,
    read: () => site.addAccess(vault.id, "read"),
    write: () => site.addAccess(vault.id, "write"),
    owner: async () => vault.token,
    peer: async () => peerToken,
  };
  const path = spec.path.replace(":vaultId", vault.id).replace(":entryId", unknownEntry);
  return await site.call(`${spec.method} ${path}`, { token: await tokens[asking]() });
}

const cases = Object.entries(routeTable).flatMap(([name, spec]) =>
  everybody.map((asking) => ({ name: name as RouteName, spec, asking })),
);

it("the table of this test has a line for every route and no other", () => {
  expect(Object.keys(allowed).sort()).toEqual(Object.keys(routeTable).sort());
});

it.each(cases)("$name asked by $asking", async ({ name, spec, asking }) => {
  const { status, json, headers } = await ask(spec, asking);
  if (allowed[name].includes(asking)) expect([401, 403]).not.toContain(status);
  else if (asking === "nobody") {
    expect(status).toBe(401);
    expect(json.code).toBe("unauthorized");
    expect(headers["www-authenticate"]).toBe("Bearer");
  } else {
    expect(status).toBe(403);
    expect(json.code).toBe("forbidden");
  }
});

describe("a route of the edition", () => {
  it.each(everybody)("for operators, asked by %s", async (asking) => {
    const expected = { nobody: 401, operator: 200 } as Partial<Record<Asking, number>>;
    expect((await ask(editionRoute("operator"), asking)).status).toBe(expected[asking] ?? 403);
  });

  it.each(everybody)("for anyone, asked by %s", async (asking) => {
    expect((await ask(editionRoute("anyone"), asking)).status).toBe(200);
  });

  it.each(everybody)("for peers, asked by %s", async (asking) => {
    expect((await ask(editionRoute("peer"), asking)).status).toBe(asking === "peer" ? 200 : 401);
  });
});

describe("a token", () => {
  const listOf = (path: string, token: string) => site.call(`GET ${path}/entries`, { token });

  it("of another vault is refused as such, whether the named vault is there or not", async () => {
    const [mine, other] = [await site.createVault(), await site.createVault()];
    for (const path of [other.path, `/api/vaults/${unknownEntry}`]) {
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
    await site.store.write(buryRows([{ kind: "access", vaultId: vault.id as VaultId, accessId }]));
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
    await site.store.write(buryRows([vaultKey(vault.id as VaultId)]));
    expect((await listOf(vault.path, vault.token)).status).toBe(401);
  });

  it("does not make a mistyped one pass", async () => {
    const vault = await site.createVault();
    expect((await listOf(vault.path, vault.token)).status).toBe(200);
    expect((await listOf(vault.path, vault.token.slice(0, -1))).status).toBe(401);
    expect((await listOf(vault.path, vault.token.toUpperCase())).status).toBe(401);
  });
});
