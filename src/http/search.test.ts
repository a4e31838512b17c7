import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type CallOptions, type HttpSite, openHttpSite } from "../../test/support/http-site.ts";

let site: HttpSite;
let vault: Awaited<ReturnType<HttpSite["createVault"]>>;
beforeAll(async () => {
  site = await openHttpSite();
});
beforeEach(async () => {
  vault = await site.createVault();
});
afterAll(() => site.close());

function call(route: string, options: CallOptions = {}) {
  const [method, path] = route.split(" ");
  return site.call(`${method} ${vault.path}/entries${path}`, { token: vault.token, ...options });
}

async function add(content: object): Promise<string> {
  const { status, json } = await call("POST ", { body: { type: "login", ...content } });
  expect(status).toBe(201);
  return String(json.entry_id);
}

type Found = { readonly entries: { readonly title: string }[]; readonly next_cursor: string | null };

async function search(body: object): Promise<Found> {
  const { status, json } = await call("POST /search", { body });
  expect(status).toBe(200);
  return json as unknown as Found;
}

const titles = async (body: object) => (await search(body)).entries.map(({ title }) => title);

describe("a search", () => {
  beforeEach(async () => {
    await add({ title: "Zürich bank", tags: ["Money"], favourite: true });
    await add({ title: "Mail", urls: ["https://zurich.example"], type: "note" });
    await add({
      title: "Other",
      fields: [{ label: "PIN", value: "zurich", kind: "concealed" }],
      notes: "zurich",
    });
    const trashed = await add({ title: "Old zurich" });
    await call(`DELETE /${trashed}`);
  });

  it("finds what holds every word in title, URLs, tags or labels, newest first", async () => {
    expect(await titles({ query: "ZURICH" })).toEqual(["Mail", "Zürich bank"]);
    expect(await titles({ query: "zürich money" })).toEqual(["Zürich bank"]);
    expect(await titles({ query: "pin" })).toEqual(["Other"]);
    expect(await titles({ query: "zurich pin" })).toEqual([]);
  });

  it("filters by type, tag, favourite and trash; without words it is a list", async () => {
    expect(await titles({ query: "zurich", type: "note" })).toEqual(["Mail"]);
    expect(await titles({ query: "zurich", tag: "Money" })).toEqual(["Zürich bank"]);
    expect(await titles({ favourite: true })).toEqual(["Zürich bank"]);
    expect(await titles({ query: "zurich", trash: true })).toEqual(["Old zurich"]);
    expect(await titles({})).toEqual(["Other", "Mail", "Zürich bank"]);
    expect((await call("GET ?favourite=true")).json).toMatchObject({ entries: [{ title: "Zürich bank" }] });
    expect((await call("GET ?favourite=false")).json).toMatchObject({
      entries: [{ title: "Other" }, { title: "Mail" }],
    });
  });

  it("answers each entry as a reading of it does", async () => {
    const [first] = (await search({ query: "bank" })).entries as unknown as { entry_id: string }[];
    expect(first).toEqual((await call(`GET /${first?.entry_id}`)).json);
  });

  it("wakes no backup, and is answered where nothing may be written", async () => {
    const before = site.edition.signals;
    site.edition.guard = { code: "read_only_backup", primaryUrl: null };
    try {
      expect(await titles({ query: "mail" })).toEqual(["Mail"]);
    } finally {
      site.edition.guard = undefined;
    }
    expect(site.edition.signals).toBe(before);
  });

  it("is refused by the path of each mistake, and its words stand in no log", async () => {
    const { status, json } = await call("POST /search", { body: { query: ["hunter2"], limits: 5 } });
    expect([status, json.code]).toEqual([400, "invalid_request"]);
    expect(json.errors).toMatchObject([{ path: "query" }, { path: "limits" }]);
    await search({ query: "hunter3" });
    expect(site.logged.join("")).not.toMatch(/hunter/);
  });
});

describe("a search of many entries", () => {
  beforeEach(async () => {
    const entries = Array.from({ length: 900 }, (_, index) => ({
      type: "note",
      title: index % 9 === 0 ? `needle ${index}` : `straw ${index}`,
    }));
    const { status } = await call("POST /import", { body: { entries } });
    expect(status).toBe(201);
  });

  it("goes on where its cursor says, although entries come and go in between", async () => {
    const found: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await search({ query: "needle", limit: 30, ...(cursor && { cursor }) });
      found.push(...page.entries.map(({ title }) => title));
      cursor = page.next_cursor;
      await add({ title: "needle added meanwhile" });
    } while (cursor !== null);
    expect(found).toHaveLength(100);
    expect(new Set(found).size).toBe(100);
    expect(found).not.toContain("needle added meanwhile");
  });

  it("lets others have their turn between its slices", async () => {
    let turns = 0;
    const waiting = search({ query: "nowhere" });
    const count = () => void ((turns += 1), (timer = setImmediate(count)));
    let timer = setImmediate(count);
    const { entries, next_cursor } = await waiting;
    clearImmediate(timer);
    expect([entries, next_cursor]).toEqual([[], null]);
    expect(turns).toBeGreaterThan(4);
  });
});

describe("one-time codes", () => {
  const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
  const uri = `otpauth://totp/ACME:joe?secret=${secret}&digits=8&period=60`;

  it("are those of the entry's one-time keys at this time, with how long they stand", async () => {
    const fields = [
      { label: "password", value: "hunter2", kind: "concealed" },
      { label: "otp", value: secret, kind: "totp" },
      { label: "later", value: "", kind: "totp" },
      { label: "other", value: uri, kind: "totp" },
    ];
    const id = await add({ title: "a", fields });
    vi.spyOn(Date, "now").mockReturnValue(59_000);
    try {
      const { status, json } = await call(`GET /${id}/totp`);
      expect(status).toBe(200);
      const time = { remaining_seconds: 1, valid_until: "1970-01-01T00:01:00.000Z" };
      expect(json).toEqual({
        codes: [
          { label: "otp", code: "287082", period: 30, ...time },
          { label: "other", code: "84755224", period: 60, ...time },
        ],
      });
    } finally {
      vi.restoreAllMocks();
    }
  });

  it("of an entry without a one-time key, and of none, are refused by name", async () => {
    const id = await add({ title: "a", fields: [{ label: "otp", value: "", kind: "totp" }] });
    const missing = await call(`GET /${id}/totp`);
    expect([missing.status, missing.json.code]).toEqual([404, "totp_missing"]);
    const unknown = await call("GET /0190a000-0000-7000-8000-000000000002/totp");
    expect([unknown.status, unknown.json.code]).toEqual([404, "entry_unknown"]);
  });
});

it("an import refuses a value that is not what its kind says, by its place and without it", async () => {
  const field = { label: "site", value: "hunter2.example", kind: "url" };
  const entries = [
    { type: "note", title: "a" },
    { type: "login", title: "b", urls: ["hunter2"], fields: [field] },
  ];
  const { status, json } = await call("POST /import", { body: { entries } });
  expect([status, json.code]).toEqual([400, "invalid_request"]);
  expect(json.errors).toMatchObject([{ path: "entries[1].urls[0]" }, { path: "entries[1].fields[0].value" }]);
  expect(JSON.stringify(json)).not.toContain("hunter2");
  expect(await titles({})).toEqual([]);
});
