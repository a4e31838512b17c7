import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type Answered,
  type CallOptions,
  type HttpSite,
  openHttpSite,
} from "../../test/support/http-site.ts";

let site: HttpSite;
let vault: Awaited<ReturnType<HttpSite["createVault"]>>;
beforeAll(async () => {
  site = await openHttpSite();
});
beforeEach(async () => {
  vault = await site.createVault();
});
afterAll(() => site.close());

const login = {
  type: "login",
  title: "GitHub",
  urls: ["https://github.com"],
  tags: ["work"],
  favourite: true,
  fields: [{ label: "password", value: "hunter2", kind: "concealed" }],
  notes: "",
};

/** A call inside the vault: `POST /entries`. */
function call(route: string, options: CallOptions = {}): Promise<Answered> {
  const [method, path] = route.split(" ");
  return site.call(`${method} ${path?.startsWith("/api") ? path : `${vault.path}${path}`}`, {
    token: vault.token,
    ...options,
  });
}

async function create(body: object = login) {
  const answered = await call("POST /entries", { body });
  return { ...answered, path: String(answered.headers.location), etag: String(answered.headers.etag) };
}

async function titles(query: string): Promise<unknown> {
  const { json } = await call(`GET /entries${query}`);
  return (json.entries as { title: string }[]).map(({ title }) => title);
}

describe("creating an entry", () => {
  it("answers 201 with the entry, its address and its position", async () => {
    const { status, json, headers } = await create();
    expect(status).toBe(201);
    expect(json).toEqual({
      ...login,
      entry_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      version: 1,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      updated_at: json.created_at,
      trashed_at: null,
      replication: { dirty: false, replicated_at: null },
    });
    expect(headers.location).toBe(`${vault.path}/entries/${json.entry_id}`);
    expect(headers.etag).toMatch(/^"1:\d+"$/);
  });

  it("can be repeated under an id that the client chose, but not with other content", async () => {
    const body = { ...login, entry_id: crypto.randomUUID().replace(/^(.{14})./, "$17") };
    const first = await create(body);
    const again = await create(body);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.json).toEqual(first.json);
    expect(again.etag).toBe(first.etag);
    const other = await create({ ...body, title: "GitLab" });
    expect([other.status, other.json.code]).toEqual([409, "entry_exists"]);
    expect((await call(`GET ${first.path}`)).json).toEqual(first.json);
  });

  it("wakes the backups' workers, and a repetition that changes nothing does not", async () => {
    const body = { ...login, entry_id: crypto.randomUUID().replace(/^(.{14})./, "$17") };
    const before = site.edition.signals;
    await create(body);
    expect(site.edition.signals).toBe(before + 1);
    await create(body);
    await create({ ...body, title: "GitLab" });
    expect(site.edition.signals).toBe(before + 1);
  });
});

describe("reading an entry", () => {
  it("answers what was written, with the same position", async () => {
    const { path, json, etag } = await create();
    const read = await call(`GET ${path}`);
    expect(read.json).toEqual(json);
    expect(read.headers.etag).toBe(etag);
  });

  it.each(["0190a000-0000-7000-8000-000000000002", "x", "%20", "a".repeat(90)])(
    "that is not there answers 404: %s",
    async (id) => {
      const { status, json } = await call(`GET /entries/${id}`);
      expect([status, json.code]).toEqual([404, "entry_unknown"]);
    },
  );

  it("of another vault answers 404, although the token is good for its own", async () => {
    const { path } = await create();
    const other = await site.createVault();
    const elsewhere = path.replace(vault.path, other.path);
    expect((await site.call(`GET ${elsewhere}`, { token: other.token })).status).toBe(404);
  });
});

describe("changing an entry", () => {
  it("with PUT replaces the content: what is left out is empty", async () => {
    const { path } = await create();
    const { status, json, headers } = await call(`PUT ${path}`, { body: { type: "note", title: "n" } });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      type: "note",
      title: "n",
      urls: [],
      fields: [],
      favourite: false,
      version: 2,
    });
    expect((await call(`GET ${path}`)).headers.etag).toBe(headers.etag);
  });

  it("with PATCH changes what is named, and null empties", async () => {
    const { path } = await create();
    const headers = { "content-type": "application/merge-patch+json" };
    const { json } = await call(`PATCH ${path}`, {
      headers,
      body: JSON.stringify({ title: "GH", tags: null }),
    });
    expect(json).toMatchObject({ ...login, title: "GH", tags: [], version: 2 });
  });

  it("with a PATCH that would leave it without a title is refused and changes nothing", async () => {
    const { path, etag } = await create();
    const { status, json } = await call(`PATCH ${path}`, { body: { title: null } });
    expect([status, json.code]).toEqual([400, "invalid_request"]);
    expect((await call(`GET ${path}`)).headers.etag).toBe(etag);
  });

  it("is refused when it has changed since the version that If-Match names", async () => {
    const { path, etag } = await create();
    const headers = { "if-match": etag };
    const first = await call(`PATCH ${path}`, { headers, body: { title: "first" } });
    const second = await call(`PATCH ${path}`, { headers, body: { title: "second" } });
    expect([first.status, second.status, second.json.code]).toEqual([200, 412, "stale_match"]);
    expect((await call(`DELETE ${path}`, { headers })).status).toBe(412);
    expect((await call(`DELETE ${path}?purge=true`, { headers })).status).toBe(412);
    expect((await call(`GET ${path}`)).json.title).toBe("first");
  });

  it.each(["*", '"9:9", ETAG', 'W/"1:1", ETAG'])("goes through with If-Match %s", async (match) => {
    const { path, etag } = await create();
    const headers = { "if-match": match.replace("ETAG", etag) };
    expect((await call(`PATCH ${path}`, { headers, body: { title: "b" } })).status).toBe(200);
  });

  it.each(["1:7", '"1:7', "x y", ""])(
    "with an If-Match that is none is refused by name: %j",
    async (match) => {
      const { path } = await create();
      const { status, json } = await call(`PATCH ${path}`, {
        headers: { "if-match": match },
        body: { title: "b" },
      });
      expect([status, json.code]).toEqual([400, "invalid_request"]);
      expect(json.errors).toEqual([{ path: "If-Match", message: expect.any(String) }]);
    },
  );

  it("a weak tag never matches", async () => {
    const { path, etag } = await create();
    const headers = { "if-match": `W/${etag}` };
    expect((await call(`PATCH ${path}`, { headers, body: { title: "b" } })).status).toBe(412);
  });
});

describe("the trash", () => {
  it("takes an entry out of the list, keeps it readable, and gives it back", async () => {
    const { path } = await create();
    const trashed = await call(`DELETE ${path}`);
    expect(trashed.json).toMatchObject({ version: 2, trashed_at: expect.any(String) });
    expect(await titles("")).toEqual([]);
    expect(await titles("?trash=true")).toEqual(["GitHub"]);
    expect((await call(`GET ${path}`)).status).toBe(200);
    const edit = await call(`PATCH ${path}`, { body: { title: "b" } });
    expect([edit.status, edit.json.code]).toEqual([409, "entry_in_trash"]);
    const restored = await call(`POST ${path}/restore`);
    expect(restored.json).toMatchObject({ version: 3, trashed_at: null });
    expect(await titles("")).toEqual(["GitHub"]);
  });

  it("is passed by a purge, after which nothing of the entry is left", async () => {
    const { path, json } = await create();
    const purged = await call(`DELETE ${path}?purge=true`);
    expect(purged.status).toBe(200);
    expect(purged.json).toMatchObject({ entry_id: json.entry_id, purged: true });
    for (const route of [
      `GET ${path}`,
      `DELETE ${path}`,
      `DELETE ${path}?purge=true`,
      `POST ${path}/restore`,
    ]) {
      expect((await call(route)).json.code).toBe("entry_unknown");
    }
    const again = await create({ ...login, entry_id: json.entry_id });
    expect(again.json.code).toBe("entry_exists");
  });

  it.each(["purge=yes", "purge=", "force=true", "purge=true&purge=true"])(
    "refuses the query %s by name",
    async (query) => {
      const { path, etag } = await create();
      expect((await call(`DELETE ${path}?${query}`)).json.code).toBe("invalid_request");
      expect((await call(`GET ${path}`)).headers.etag).toBe(etag);
    },
  );
});

describe("a list", () => {
  beforeEach(async () => {
    const entries = Array.from({ length: 250 }, (_, index) => ({
      entry_id: `0190a000-0000-7000-8000-${String(index).padStart(12, "0")}`,
      type: index % 2 === 0 ? "login" : "note",
      title: String(index),
      tags: index % 50 === 0 ? ["rare"] : [],
    }));
    expect((await call("POST /entries/import", { body: { entries } })).status).toBe(201);
  });

  it("is newest first, page by page, with each entry once and no cursor on the last page", async () => {
    const seen: string[] = [];
    let cursor = "";
    do {
      const { json } = await call(`GET /entries?limit=70${cursor}`);
      seen.push(...(json.entries as { title: string }[]).map(({ title }) => title));
      cursor = json.next_cursor === null ? "" : `&cursor=${json.next_cursor as string}`;
    } while (cursor !== "");
    expect(seen).toEqual(Array.from({ length: 250 }, (_, index) => String(249 - index)));
  });

  it("has no cursor where the page ends with the last entry", async () => {
    const { json } = await call("GET /entries?limit=250");
    expect((json.entries as unknown[]).length).toBe(250);
    expect(json.next_cursor).toBeNull();
  });

  it("is filtered by type and tag, through the whole vault", async () => {
    expect(await titles("?tag=rare")).toEqual(["200", "150", "100", "50", "0"]);
    expect(await titles("?tag=rare&type=note")).toEqual([]);
    expect(((await titles("?type=note&limit=500")) as string[]).length).toBe(125);
    expect(await titles("?tag=none")).toEqual([]);
  });

  it("holds only what lies in its own vault", async () => {
    const other = await site.createVault();
    const { json } = await site.call(`GET ${other.path}/entries`, { token: other.token });
    expect(json).toEqual({ entries: [], unreadable: [], next_cursor: null });
  });

  it.each([
    "limit=0",
    "limit=501",
    "cursor=x",
    "type=x",
    "tag=",
    "trash=1",
    "sort=title",
    "limit=1&limit=2",
    "__proto__=1",
  ])("refuses the query %s by name", async (query) => {
    const { status, json } = await call(`GET /entries?${query}`);
    expect([status, json.code]).toEqual([400, "invalid_request"]);
    expect((json.errors as { path: string }[])[0]?.path).toBe(query.split("=")[0]);
  });
});

it("a page of large entries ends early and goes on behind its cursor", async () => {
  for (let index = 0; index < 12; index += 1) await create({ ...login, notes: "x".repeat(200_000) });
  const { json } = await call("GET /entries");
  expect((json.entries as unknown[]).length).toBe(6);
  const rest = await call(`GET /entries?cursor=${json.next_cursor}`);
  expect((rest.json.entries as unknown[]).length).toBe(6);
  expect(rest.json.next_cursor).toBeNull();
});
