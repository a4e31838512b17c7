import { zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type HttpSite, openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import type { EditionReply } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { SiteName, VaultId } from "../core/ids.ts";
import { comparePositions, type Position } from "../core/position.ts";
import { vaultKey } from "../core/vault.ts";
import { waitForBackups } from "./replication-wait.ts";
import { routeTable } from "./route-table.ts";

const zurich = "zurich" as SiteName;
const oslo = "oslo" as SiteName;
const note = { type: "note", title: "a" };

let site: HttpSite;
let vault: Awaited<ReturnType<HttpSite["createVault"]>>;

describe("Prefer: wait", () => {
  beforeEach(async () => {
    site = await openHttpSite();
    vault = await site.createVault();
    site.edition.signals = 0;
  });
  afterEach(() => site.close());

  const create = (prefer?: string) =>
    site.call(`POST ${vault.path}/entries`, {
      token: vault.token,
      body: note,
      ...(prefer !== undefined && { headers: { prefer } }),
    });

  it("holds the answer until every backup has the row, and says so", async () => {
    site.edition.holding = async () => ({ [zurich]: true, [oslo]: true });
    const { status, json, headers } = await create("wait=5");
    expect(status).toBe(201);
    expect(json.replication).toEqual({
      dirty: false,
      replicated_at: null,
      backups: { zurich: true, oslo: true },
    });
    expect(headers["preference-applied"]).toBe("wait=5");
    expect(site.edition.waits).toEqual([{ position: String(headers.etag).slice(1, -1), ms: 5_000 }]);
  });

  it("wakes the workers before it waits", async () => {
    let signalsAtWait = -1;
    site.edition.holding = async () => {
      signalsAtWait = site.edition.signals;
      return { [zurich]: true };
    };
    await create("wait=1");
    expect(signalsAtWait).toBe(1);
  });

  it("answers with what there is when the time is up", async () => {
    site.edition.holding = async () => ({ [zurich]: true, [oslo]: false });
    const { status, json } = await create("wait=1");
    expect(status).toBe(201);
    expect(json.replication).toEqual({
      dirty: true,
      replicated_at: null,
      backups: { zurich: true, oslo: false },
    });
  });

  it("is not asked of the backups where the client does not ask", async () => {
    for (const prefer of [undefined, "return=minimal", "respond-async, handling=lenient"]) {
      const { json, headers } = await create(prefer);
      expect(json.replication).toEqual({ dirty: false, replicated_at: null });
      expect(headers["preference-applied"]).toBeUndefined();
    }
    expect(site.edition.waits).toEqual([]);
  });

  it.each([
    ["wait=0", 0],
    ["wait=60", 60_000],
    ['wait="7"', 7_000],
    ["Wait = 7", 7_000],
    ["respond-async, wait=7; x=y", 7_000],
    ["wait=7, wait=9", 7_000],
  ])("is understood as %s", async (prefer, ms) => {
    await create(prefer);
    expect(site.edition.waits.map((wait) => wait.ms)).toEqual([ms]);
  });

  it.each(["wait", "wait=", "wait=61", "wait=-1", "wait=1.5", "wait=5s", "wait=99999"])(
    "is refused by name as %s, and nothing is written",
    async (prefer) => {
      const { status, json } = await create(prefer);
      expect([status, json.code]).toEqual([400, "invalid_request"]);
      expect(json.errors).toEqual([{ path: "Prefer", message: expect.any(String) }]);
      expect(site.edition.signals).toBe(0);
    },
  );

  it("waits for the highest position of an import, a deletion and a purge", async () => {
    const headers = { prefer: "wait=1" };
    const { token, path } = vault;
    const created = await create();
    await site.call(`POST ${path}/entries/import`, { token, headers, body: { entries: [note, note] } });
    await site.call(`DELETE ${created.headers.location}?purge=true`, { token, headers });
    await site.call(`DELETE ${path}`, { token, headers });
    const { head } = await site.store.read((r) => r.site.record());
    expect(site.edition.waits.map(({ position }) => position)).toEqual([
      "1:5",
      "1:6",
      `1:${head.position.seq}`,
    ]);
  });

  it("of an import that was there already waits for the rows that stand", async () => {
    const entry_id = "0190a000-0000-7000-8000-000000000002";
    const body = { entries: [{ ...note, entry_id }] };
    const headers = { prefer: "wait=1" };
    const first = await site.call(`POST ${vault.path}/entries/import`, { token: vault.token, body, headers });
    await create();
    const again = await site.call(`POST ${vault.path}/entries/import`, { token: vault.token, body, headers });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(new Set(site.edition.waits.map(({ position }) => position)).size).toBe(1);
  });

  it("ends when the server closes, with what holds then", async () => {
    const { promise: waiting, resolve: onWait } = Promise.withResolvers<void>();
    site.edition.holding = async (_position: Position, ms: number) => {
      if (ms === 0) return { [zurich]: false };
      onWait();
      return await new Promise(() => {});
    };
    const answering = create("wait=60");
    await waiting;
    const closing = site.app.close();
    expect((await answering).json.replication).toMatchObject({ dirty: true, backups: { zurich: false } });
    await closing;
  });
});

it("a wait that begins when the server closes already does not begin", async () => {
  const plain = await openHttpSite();
  const { id } = await plain.createVault();
  const row = await plain.store.read((r) => r.rows.row(vaultKey(id as VaultId)));
  if (row === undefined) throw new Error("the vault has no row");
  plain.edition.holding = async (_position, ms) =>
    ms === 0 ? { [zurich]: false } : await new Promise(() => {});
  const { store, edition } = plain;
  const answer = await waitForBackups({ store, edition, closing: AbortSignal.abort() }, row, 60);
  expect(answer).toEqual({ dirty: true, replicated_at: null, backups: { zurich: false } });
  await plain.close();
});

describe("the write guard", () => {
  beforeEach(async () => {
    site = await openHttpSite();
    vault = await site.createVault();
  });
  afterEach(() => site.close());

  const writes = Object.values(routeTable).filter(({ isClientWrite }) => isClientWrite);
  const reads = Object.values(routeTable).filter(({ isClientWrite }) => !isClientWrite);
  const addressOf = (path: string) => path.replace(":vaultId", vault.id).replace(":entryId", "x");

  it.each(writes)(
    "refuses $method $path before anything is parsed or authenticated",
    async ({ method, path }) => {
      site.edition.guard = { code: "read_only_backup", primaryUrl: "https://calgary.example" };
      const before = (await site.store.read((r) => r.site.record())).head;
      const headers = { "content-type": "text/nonsense" };
      const {
        status,
        json,
        headers: sent,
      } = await site.call(`${method} ${addressOf(path)}`, { headers, body: "{" });
      expect([status, json.code]).toEqual([503, "read_only_backup"]);
      expect(sent["x-primary-location"]).toBe("https://calgary.example");
      expect((await site.store.read((r) => r.site.record())).head).toEqual(before);
    },
  );

  it.each(reads)("lets $method $path through", async ({ method, path }) => {
    site.edition.guard = { code: "read_only_backup", primaryUrl: null };
    for (const token of [vault.token, site.operator]) {
      const { status } = await site.call(`${method} ${addressOf(path)}`, { token });
      expect(status).not.toBe(503);
    }
  });

  it("of a fenced site names no primary where none is known", async () => {
    site.edition.guard = { code: "site_fenced", primaryUrl: null };
    const { json, headers } = await site.call("POST /api/vaults", { token: site.operator });
    expect(json.code).toBe("site_fenced");
    expect(headers["x-primary-location"]).toBeUndefined();
  });

  it("is not what keeps a write from a backup: the store refuses too", async () => {
    const backup = await openHttpSite({ role: "backup" });
    const { status, json } = await backup.call("POST /api/vaults", {
      token: backup.operator,
      body: { name: "a" },
    });
    expect([status, json.code]).toEqual([503, "read_only_backup"]);
    await backup.close();
  });
});

describe("what a site says of its role", () => {
  it("a backup's and a fenced primary's reads carry role and position, an acting primary's do not", async () => {
    const primary = await openHttpSite();
    const acting = await primary.call("GET /api/vaults", { token: primary.operator });
    expect(acting.headers["dormouse-role"]).toBeUndefined();
    await primary.store.transact((tx) => tx.site.recordEpoch({ number: 2, id: "b" }));
    const fenced = await primary.call("GET /api/vaults", { token: primary.operator });
    expect([fenced.headers["dormouse-role"], fenced.headers["dormouse-applied"]]).toEqual(["primary", "1:0"]);
    expect((await primary.call("GET /readyz")).json).toMatchObject({
      code: "not_ready",
      reasons: ["primary_superseded"],
    });
    await primary.close();

    const backup = await openHttpSite({ role: "backup" });
    const read = await backup.call("GET /api/vaults", { token: backup.operator });
    expect([read.headers["dormouse-role"], read.headers["dormouse-applied"]]).toEqual(["backup", "0:0"]);
    expect((await backup.call("GET /healthz")).json).toMatchObject({ status: "ok", role: "backup" });
    const ready = await backup.call("GET /readyz");
    expect([ready.status, ready.json.reasons]).toEqual([503, ["never_filled"]]);
    await backup.close();
  });

  it("every answer to a reader, and to a write that changed something, says how new the site is", async () => {
    const site = await openHttpSite();
    const positionOf = async (route: string, token?: string, body?: object) =>
      (await site.call(route, { token, body })).headers["dormouse-position"];
    expect(await positionOf("GET /api/vaults", site.operator)).toBe("1:0");
    const { path, token } = await site.createVault();
    expect(await positionOf("GET /api/vaults", site.operator)).toBe("1:2");
    expect(await positionOf(`GET ${path}/entries/x`, token)).toBe("1:2");
    expect(await positionOf(`PATCH ${path}`, token, { name: "Team" })).toBe("1:3");
    expect(await positionOf(`PATCH ${path}`, token, { name: "Team" })).toBeUndefined();
    expect(await positionOf("GET /api/vaults")).toBeUndefined();
    expect(await positionOf("GET /healthz", site.operator)).toBeUndefined();
    await site.close();
  });

  it("health is told even where the database is not, readiness says why", async () => {
    const closed = await openHttpSite();
    await closed.store.close();
    expect((await closed.call("GET /healthz")).json).toMatchObject({ status: "ok", role: null });
    const ready = await closed.call("GET /readyz");
    expect([ready.status, ready.json.reasons]).toEqual([503, ["shutting_down"]]);
    await closed.close();
  });

  it("readiness hears of what else is wrong", async () => {
    const full = await openHttpSite({ readiness: async () => ["disk_full"] });
    expect((await full.call("GET /readyz")).json.reasons).toEqual(["disk_full"]);
    await full.close();
  });
});

describe("a call from another site", () => {
  const received: { peer: SiteName | null; body: unknown }[] = [];
  let reply: () => EditionReply;
  const bodyBytesMax = 10_000;

  beforeEach(async () => {
    received.length = 0;
    reply = () => ({ status: 200, body: { applied: "1:7" } });
    const path = "/api/replication/apply";
    const handle = async (request: { peer: SiteName | null; body: unknown }) => {
      received.push(request);
      return reply();
    };
    const edition = new ScriptedEdition([{ method: "POST", path, caller: "peer", bodyBytesMax, handle }]);
    edition.peers.set("credential", zurich);
    site = await openHttpSite({ edition });
  });
  afterEach(() => site.close());

  const push = (body: unknown, headers: Record<string, string> = {}, token = "credential") =>
    site.call("POST /api/replication/apply", { token, body, headers });
  const zstd = { "content-type": "application/json", "content-encoding": "zstd" };

  it("is handed on with the site that its credential names, and with the address it came from", async () => {
    const { status, json } = await push({ rows: [1] });
    expect([status, json]).toEqual([200, { applied: "1:7" }]);
    expect(received).toEqual([{ peer: zurich, body: { rows: [1] }, address: "127.0.0.1" }]);
  });

  it("without a credential, or with an operator's, gets 401 and is not handed on", async () => {
    expect((await push({}, {}, site.operator)).status).toBe(401);
    expect((await push({}, {}, "")).status).toBe(401);
    expect(received).toEqual([]);
  });

  it("may be compressed with zstd", async () => {
    await push(zstdCompressSync(JSON.stringify({ rows: [2] })), zstd);
    expect(received.map(({ body }) => body)).toEqual([{ rows: [2] }]);
  });

  it("that is large lets others run between its parsing and its handling, and one that is small does not wait", async () => {
    const order: string[] = [];
    const handle = async () => {
      order.push("handled");
      return { status: 200, body: {} };
    };
    const path = "/api/replication/large";
    const edition = new ScriptedEdition([
      { method: "POST", path, caller: "peer", bodyBytesMax: 2 ** 20, handle },
    ]);
    edition.peers.set("credential", zurich);
    const other = await openHttpSite({ edition });
    const parse = JSON.parse;
    vi.spyOn(JSON, "parse").mockImplementation((text, reviver) => {
      if (text.includes("pushed")) setImmediate(() => order.push("others"));
      return parse(text, reviver);
    });
    for (const length of [300_000, 10]) {
      await other.call(`POST ${path}`, { token: "credential", body: { pushed: "x".repeat(length) } });
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual(["others", "handled", "handled", "others"]);
    await other.close();
  });

  it("that is compressed and comes to more than the call takes is refused before it is all there", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(50_000_000, 0x20));
    expect(bomb.length).toBeLessThan(bodyBytesMax);
    const { status, json } = await push(bomb, zstd);
    expect([status, json.code]).toEqual([413, "body_too_large"]);
    expect(received).toEqual([]);
  });

  it.each([
    ["no zstd", Buffer.from("{}"), zstd, 400, "malformed_json"],
    ["cut off", zstdCompressSync("x".repeat(100)).subarray(0, 10), zstd, 400, "malformed_json"],
    ["compressed otherwise", "{}", { ...zstd, "content-encoding": "gzip" }, 415, "unsupported_media_type"],
    ["no JSON", "{", { "content-type": "application/json" }, 400, "malformed_json"],
    ["__proto__", '{"__proto__":1}', { "content-type": "application/json" }, 400, "invalid_request"],
    ["too large", " ".repeat(10_001), { "content-type": "application/json" }, 413, "body_too_large"],
  ])("that is %s is refused", async (...[, body, headers, status, code]) => {
    const answered = await push(body, headers);
    expect([answered.status, answered.json.code]).toEqual([status, code]);
    expect(received).toEqual([]);
  });

  it("that the edition refuses is a problem with the answer's own members", async () => {
    reply = () => ({ status: 409, body: { code: "resume", applied: "1:3", site: "zurich" } });
    const { status, json, headers } = await push({});
    expect(status).toBe(409);
    expect(headers["content-type"]).toBe("application/problem+json");
    expect(json).toMatchObject({
      code: "resume",
      status: 409,
      title: "The push does not continue from where this backup stands.",
      applied: "1:3",
      site: "zurich",
    });
    expect(json.request_id).toBe(headers["request-id"]);
  });

  it("that the edition throws a Refusal for is refused as any other", async () => {
    reply = () => {
      throw new Refusal("invalid_request", undefined, [{ path: "rows", message: "is missing" }]);
    };
    const { status, json } = await push({});
    expect([status, json.errors]).toEqual([400, [{ path: "rows", message: "is missing" }]]);
  });
});

it("a row's position in answers is the one that the store gave it", async () => {
  const plain = await openHttpSite();
  const { json } = await plain.call("POST /api/vaults", { token: plain.operator, body: { name: "a" } });
  const { headers } = await plain.call(`GET /api/vaults/${json.vault_id}`, { token: String(json.token) });
  const { head } = await plain.store.read((r) => r.site.record());
  expect(headers.etag).toBe('"1:1"');
  expect(comparePositions(head.position, { epoch: 1, seq: 2 })).toBe(0);
  await plain.close();
});
