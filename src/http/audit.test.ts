import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { Write } from "../core/store/rows.ts";
import { hookInPlace } from "../../test/support/hook-in-place.ts";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { askAdmin, command, openAdminServer } from "../../test/support/admin-socket.ts";
import { type HttpSite, openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import type { AuditEvent } from "../core/audit.ts";
import { Refusal } from "../core/errors.ts";
import { encodeStranded, strandedIdOf } from "../core/aside.ts";
import { entryKey } from "../core/entry-writes.ts";
import type { EntryId, SiteName, VaultId } from "../core/ids.ts";
import { decodeVault, vaultKey } from "../core/vault.ts";
import { newToken, parseToken } from "../crypto/token.ts";
import { Connection } from "../store/sqlite/connection.ts";
import { systemHash, systemRandom } from "../app/system-ports.ts";
import { accessIdOf } from "./authentication.ts";
import { type RouteName, routeTable } from "./route-table.ts";

const open: HttpSite[] = [];

afterEach(async () => {
  for (const site of open.splice(0)) await site.close();
});

async function openSite(...options: Parameters<typeof openHttpSite>): Promise<HttpSite> {
  const site = await openHttpSite(...options);
  open.push(site);
  return site;
}

/** What the audit of a site says, oldest first, without the beginning of its chain. */
async function audited({ store }: HttpSite) {
  const { records } = await store.read((r) =>
    r.audit.page({ limit: 1_000, before: undefined, vaultId: null }),
  );
  return records.toReversed().slice(1);
}

const note = { type: "note", title: "a title that must stay secret" };

describe("a call of somebody who is known", () => {
  it("is recorded: who, what, which entry, from where, and what came of it", async () => {
    const site = await openSite();
    const vault = await site.createVault();
    const [made] = await audited(site);
    const owner = made?.itemId;
    expect(made).toMatchObject({
      actor: { kind: "operator", id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      action: "createVault",
      vaultId: vault.id,
      address: "127.0.0.1",
      result: "ok",
    });
    const created = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body: note });
    const entryId = String(created.json["entry_id"]);
    const path = `${vault.path}/entries/${entryId}`;
    await site.call(`GET ${path}`, { token: vault.token });
    await site.call(`GET ${vault.path}/entries`, { token: vault.token });
    await site.call(`PATCH ${path}`, { token: vault.token, body: { title: "b" } });
    await site.call(`DELETE ${path}?purge=true`, { token: vault.token });
    const actor = { kind: "access", id: owner };
    const about = { actor, vaultId: vault.id, itemId: entryId, result: "ok" };
    expect((await audited(site)).slice(1)).toMatchObject([
      { ...about, action: "createEntry" },
      { ...about, action: "getEntry" },
      { ...about, action: "listEntries", itemId: null },
      { ...about, action: "patchEntry" },
      { ...about, action: "deleteEntry" },
    ]);
  });

  it("is recorded with the code where it is refused, and with nothing of what was sent", async () => {
    const site = await openSite();
    const vault = await site.createVault();
    const reader = await site.addAccess(vault.id, "read");
    await site.call(`POST ${vault.path}/entries`, { token: reader, body: note });
    await site.call(`GET ${vault.path}/entries/a-secret-in-the-wrong-place`, { token: reader });
    await site.call(`POST ${vault.path}/entries`, { token: vault.token, body: { ...note, extra: "secret" } });
    await site.call("GET /api/vaults", { token: vault.token });
    const records = (await audited(site)).slice(1);
    expect(records).toMatchObject([
      { action: "createEntry", actor: { kind: "access" }, result: "forbidden", vaultId: vault.id },
      { action: "getEntry", result: expect.stringMatching(/^[a-z_]+$/), itemId: null },
      { action: "createEntry", result: "invalid_request", itemId: null },
      { action: "listVaults", actor: { kind: "access" }, result: "forbidden" },
    ]);
    expect(JSON.stringify(records)).not.toContain("secret");
  });

  it("that writes is on disk with its record, or neither is", async () => {
    const site = await openSite();
    const vault = await site.createVault();
    const writes = watchWrites(site);
    const created = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body: note });
    expect(created.status).toBe(201);
    expect(writes).toMatchObject([{ audit: { action: "createEntry" } }]);
    const path = `${vault.path}/entries/${String(created.json["entry_id"])}`;
    const stale = { token: vault.token, body: { title: "b" }, headers: { "if-match": '"1:1"' } };
    expect((await site.call(`PATCH ${path}`, stale)).status).toBe(412);
    const actions = (await audited(site)).slice(1).map(({ action, result }) => `${action} ${result}`);
    expect(actions).toEqual(["createEntry ok", "patchEntry stale_match"]);
  });

  it("is answered also where it cannot be recorded", async () => {
    const lost: AuditEvent[] = [];
    const audit = { record: async (event: AuditEvent) => void lost.push(event) };
    const site = await openSite({ audit });
    expect((await site.call("GET /api/vaults", { token: site.operator })).status).toBe(200);
    expect(lost).toMatchObject([{ action: "listVaults", result: "ok" }]);
  });

  it("to a backup that may not take it is not recorded before anybody is known", async () => {
    const edition = new ScriptedEdition();
    const site = await openSite({ edition });
    edition.guard = { code: "read_only_backup", primaryUrl: null };
    expect((await site.call("POST /api/vaults", { token: site.operator, body: {} })).status).toBe(503);
    expect(await audited(site)).toEqual([]);
  });
});

describe("calls that arrive together", () => {
  it("are recorded with one commit, and in one place of the chain each", async () => {
    const site = await openSite();
    const vault = await site.createVault();
    const { json } = await site.call(`POST ${vault.path}/entries`, { token: vault.token, body: note });
    const port = Number(new URL(await site.app.listen({ port: 0, host: "127.0.0.1" })).port);
    const head = `GET ${vault.path}/entries/${String(json["entry_id"])} HTTP/1.1\r\nHost: a\r\n`;
    const request = `${head}Authorization: Bearer ${vault.token}\r\n\r\n`;
    const sockets = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = connect(port, "127.0.0.1");
        await once(socket, "connect");
        return socket;
      }),
    );
    const readAll = async () => {
      const answers = sockets.map((socket) => once(socket, "data"));
      for (const socket of sockets) socket.write(request);
      for (const [answer] of await Promise.all(answers)) expect(String(answer)).toMatch(/^HTTP\/1.1 200/);
    };
    // Node takes new connections one by one, a turn each.
    await readAll();
    const before = (await audited(site)).length;
    const run = vi.spyOn(Connection.prototype, "run");
    await readAll();
    expect(run.mock.calls.filter(([sql]) => sql === "COMMIT")).toHaveLength(1);
    for (const socket of sockets) socket.destroy();
    const records = (await audited(site)).slice(before);
    expect(records.map(({ action, result }) => `${action} ${result}`)).toEqual(
      Array.from({ length: 20 }, () => "getEntry ok"),
    );
  });
});

type WriteName = {
  readonly [Name in RouteName]: (typeof routeTable)[Name]["isClientWrite"] extends true ? Name : never;
}[RouteName];

type Scene = {
  readonly site: HttpSite;
  readonly path: string;
  readonly entry: string;
  readonly strandedId: string;
};

/** What each client's write of the table sends; one without a row does not compile. */
const writes: Readonly<Record<WriteName, (scene: Scene) => readonly [string, object?]>> = {
  createVault: () => ["/api/vaults", { name: "Work" }],
  renameVault: ({ path }) => [path, { name: "Work" }],
  deleteVault: ({ path }) => [path],
  createEntry: ({ path }) => [`${path}/entries`, note],
  importEntries: ({ path }) => [`${path}/entries/import`, { entries: [note] }],
  putEntry: ({ entry }) => [entry, note],
  patchEntry: ({ entry }) => [entry, { title: "b" }],
  deleteEntry: ({ entry }) => [entry],
  restoreEntry: ({ entry }) => [`${entry}/restore`],
  restoreVersion: ({ entry }) => [`${entry}/versions/1/restore`],
  reapplyStranded: ({ path, strandedId }) => [`${path}/stranded/${strandedId}/reapply`],
  createAccess: ({ path }) => [`${path}/access`, { kind: "machine", name: "a", scope: "owner" }],
  revokeAccess: ({ path }) => [`${path}/access/revoked`],
  changeVaultKey: ({ path }) => [`${path}/rotation`],
};

/** A vault with an entry that was edited, and with the first state of that as a stranded row. */
async function sceneOf(site: HttpSite) {
  const vault = await site.createVault();
  const { id, path, token } = vault;
  const { json } = await site.call(`POST ${path}/entries`, { token, body: note });
  const entryId = String(json["entry_id"]) as EntryId;
  const row = await site.store.read((r) => r.rows.row(entryKey({ vaultId: id as VaultId, entryId })));
  if (row === undefined) throw new Error("the entry has no row");
  const entry = `${path}/entries/${entryId}`;
  await site.call(`PATCH ${entry}`, { token, body: { title: "edited" } });
  const strandedId = strandedIdOf(systemHash, row);
  const key = { kind: "stranded", vaultId: id as VaultId, strandedId } as const;
  const body = encodeStranded({ row, site: "zurich" as SiteName, at: 1 });
  await site.store.transact((tx) => tx.rows.write({ keys: [key], decide: () => [{ key, body }] }));
  return { token, scene: { site, path, entry, strandedId } };
}

/** The writes that a site's store is asked for from now on. */
function watchWrites({ store }: HttpSite): readonly Write[] {
  const writes: Write[] = [];
  hookInPlace(store, {
    operation: (name, run, [write]) => {
      if (name === "rows.write") writes.push(write as Write);
      return run();
    },
  });
  return writes;
}

it.each(Object.keys(writes) as WriteName[])("%s commits its own record with what it writes", async (name) => {
  const site = await openSite();
  const { token, scene } = await sceneOf(site);
  const reader = await site.addAccess(scene.path.slice("/api/vaults/".length), "read");
  const accessId = accessIdOf(parseToken(reader) ?? newToken("vault", systemRandom));
  const [path, body] = writes[name](scene);
  const committed = watchWrites(site);
  const options = { token: name === "createVault" ? site.operator : token, body };
  const { status } = await site.call(
    `${routeTable[name].method} ${path.replace("/revoked", `/${accessId}`)}`,
    options,
  );
  expect([200, 201]).toContain(status);
  const actions = committed.map((write) => write.audit?.action).filter(Boolean);
  expect(actions).toEqual([name]);
  const records = (await audited(site)).filter(({ action }) => action === name);
  expect(records.at(-1)).toMatchObject({ action: name, result: "ok" });
});

describe("whoever is not known", () => {
  // Each login that fails waits longer than the one before.
  it("is recorded once a minute for each address, however often a token or a login is tried", {
    timeout: 60_000,
  }, async () => {
    const site = await openSite();
    for (let i = 0; i < 5; i += 1) {
      await site.call("GET /api/vaults", { token: "dmo_wrong" });
      await site.call("POST /api/sessions", { body: { login: "anna", passphrase: "wrong" } });
    }
    const records = await audited(site);
    expect(records).toMatchObject([
      { actor: { kind: "anyone", id: null }, action: "listVaults", result: "unauthorized" },
    ]);
    expect(JSON.stringify(records)).not.toContain("anna");
  });

  it("leaves no record of asking whether a site lives", async () => {
    const site = await openSite();
    await site.call("GET /healthz");
    await site.call("GET /readyz");
    await site.call("GET /api/unknown");
    expect(await audited(site)).toEqual([]);
  });
});

describe("peers, and those who watch", () => {
  it("leave no record", async () => {
    const shape = { bodyBytesMax: 1_000, handle: async () => ({ status: 200, body: {} }) };
    const edition = new ScriptedEdition([
      { method: "POST", path: "/api/replication/apply", caller: "peer", ...shape },
      { method: "GET", path: "/api/replication", caller: "operator", ...shape },
      { method: "POST", path: "/api/replication/signal", caller: "operator", ...shape },
    ]);
    edition.peers.set("dms_peer", "zurich" as SiteName);
    const site = await openSite({ edition });
    await site.call("POST /api/replication/apply", { token: "dms_peer", body: {} });
    await site.call("GET /api/replication", { token: site.operator });
    await site.call("POST /api/replication/signal", { token: site.operator });
    expect(await audited(site)).toMatchObject([
      { action: "POST /api/replication/signal", actor: { kind: "operator" } },
    ]);
  });
});

describe("GET /api/audit", () => {
  it("lists records newest first, in pages, and of one vault", async () => {
    const site = await openSite();
    const vault = await site.createVault();
    const other = await site.createVault("Work");
    await site.call(`GET ${vault.path}/entries`, { token: vault.token });
    const list = (query: string) => site.call(`GET /api/audit${query}`, { token: site.operator });
    const first = await list("?limit=2");
    expect(first.json["records"]).toMatchObject([
      { site: "calgary", action: "listEntries", seq: 4, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      { action: "createVault", vault_id: other.id },
    ]);
    const rest = await list(`?limit=2&cursor=${String(first.json["next_cursor"])}`);
    expect(rest.json["records"]).toMatchObject([
      { action: "createVault", vault_id: vault.id },
      { action: "chain_begun", actor: { kind: "machine", id: "calgary" } },
    ]);
    const ofVault = await list(`?vault_id=${vault.id}`);
    expect(ofVault.json).toMatchObject({
      records: [{ action: "listEntries" }, { action: "createVault" }],
      next_cursor: null,
    });
    // Looking into the audit is recorded too.
    expect((await audited(site)).filter(({ action }) => action === "listAudit")).toHaveLength(3);
  });

  it.each(["limit=0", "limit=x", "cursor=x", "vault_id=x", "sort=at"])(
    "refuses %s by name",
    async (query) => {
      const site = await openSite();
      const { status, json } = await site.call(`GET /api/audit?${query}`, { token: site.operator });
      expect(status).toBe(400);
      expect(json["errors"]).toMatchObject([{ path: query.split("=")[0] }]);
    },
  );
});

it("a call that is refused is not recorded as done because the end of a change of the key was begun beside it", async () => {
  const edition = new ScriptedEdition();
  const site = await openSite({ edition });
  const { id, path, token } = await site.createVault();
  await site.call(`POST ${path}/entries`, { token, body: note });
  const olderKeys = async () => {
    const row = await site.store.read((r) => r.rows.row(vaultKey(id as VaultId)));
    return decodeVault(row?.body ?? new Uint8Array()).older;
  };
  // While the backup is away, what is left of the change is for a later write of a client.
  edition.holding = async () => ({ ["zurich" as SiteName]: false });
  await site.call(`POST ${path}/rotation`, { token });
  await expect.poll(async () => (await olderKeys())[0]?.lastPosition).toBeTruthy();
  edition.holding = async () => ({});
  const unknown = `${path}/entries/0190a000-0000-7000-8000-000000000002`;
  await expect
    .poll(async () => {
      await site.call(`DELETE ${unknown}`, { token });
      return (await olderKeys()).length;
    })
    .toBe(0);
  const deletions = (await audited(site)).filter(({ action }) => action === "deleteEntry");
  expect(new Set(deletions.map(({ result }) => result))).toEqual(new Set(["entry_unknown"]));
});

describe("a command for the machine's owner", () => {
  it("is recorded with what it was about and what came of it, but for those that change nothing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "dormouse-audit-"));
    const path = join(folder, "admin.sock");
    const events: AuditEvent[] = [];
    const audit = { record: async (event: AuditEvent) => void events.push(event) };
    const commands = ["status", "audit", "stranded"].map((name) => command(name, async () => ({})));
    const refused = command("promote", async () => {
      throw new Refusal("not_ready");
    });
    await using server = await openAdminServer(path, [...commands, refused], { audit });
    const id = "0193a5d0-0000-7000-8000-000000000002";
    await askAdmin(path, "/admin/status");
    await askAdmin(path, "/admin/audit", { action: "list" });
    await askAdmin(path, "/admin/stranded", { action: "reapply", id });
    await askAdmin(path, "/admin/promote", { action: "A secret", id: "another" });
    const actor = { kind: "machine", id: null };
    expect(events).toMatchObject([
      { actor, action: "admin stranded reapply", itemId: id, address: null, result: "ok" },
      { actor, action: "admin promote", itemId: null, result: "not_ready" },
    ]);
    expect(server.logged.join("")).not.toContain("A secret");
    await rm(folder, { recursive: true });
  });

  it("that an operator gives over HTTP is recorded as his, and so is that it was refused", async () => {
    const adminCommands = [command("promote", async () => ({}))];
    const site = await openSite({ adminCommands });
    const vault = await site.createVault();
    await site.call("POST /api/admin/promote", { token: site.operator, body: {} });
    await site.call("POST /api/admin/promote", { token: vault.token, body: {} });
    expect((await audited(site)).slice(1)).toMatchObject([
      { actor: { kind: "operator" }, action: "admin promote", address: "127.0.0.1", result: "ok" },
      { actor: { kind: "access" }, action: "admin promote", result: "forbidden" },
    ]);
  });
});
