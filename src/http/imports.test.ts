import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answered, type HttpSite, openHttpSite } from "../../test/support/http-site.ts";

let site: HttpSite;
let vault: Awaited<ReturnType<HttpSite["createVault"]>>;
beforeEach(async () => {
  site = await openHttpSite();
  vault = await site.createVault();
});
afterEach(() => site.close());

function importing(body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  return site.call(`POST ${vault.path}/entries/import`, { token: vault.token, body, headers });
}

async function count(): Promise<number> {
  const { json } = await site.call("GET /api/vaults", { token: site.operator });
  return (json.vaults as { entries: number }[])[0]?.entries ?? -1;
}

const idOf = (index: number) => `0190a000-0000-7000-8000-${String(index).padStart(12, "0")}`;
const notes = (count: number, text = "") =>
  Array.from({ length: count }, (_, index) => ({
    entry_id: idOf(index),
    type: "note",
    title: `${index}`,
    notes: text,
  }));

/** Below a mebibyte an import is read on the main thread, above it in one of its own. */
describe.each([
  { where: "on the main thread", filler: "" },
  { where: "in a thread of its own", filler: "x".repeat(1024 * 1024) },
])("an import read $where", ({ filler }) => {
  /** White space that makes a small import a large one. */
  const json = (value: unknown) => `${JSON.stringify(value)}${filler.replaceAll("x", " ")}`;
  const headers = { "content-type": "application/json" };

  it("creates all entries and names them in order", async () => {
    const entries = notes(3).map(({ entry_id, ...entry }, index) =>
      index === 1 ? { entry_id, ...entry } : entry,
    );
    const { status, json: answer } = await importing(json({ entries }), headers);
    expect(status).toBe(201);
    expect(answer).toMatchObject({ created: 3, kept: 0, replication: { dirty: false } });
    const ids = answer.entry_ids as string[];
    expect(ids[1]).toBe(idOf(1));
    for (const [index, id] of ids.entries()) {
      const read = await site.call(`GET ${vault.path}/entries/${id}`, { token: vault.token });
      expect(read.json).toMatchObject({ entry_id: id, title: `${index}`, version: 1 });
    }
  });

  it("can be repeated: what is there already with the same content is kept", async () => {
    await importing(json({ entries: notes(2) }), headers);
    const signals = site.edition.signals;
    const again = await importing(json({ entries: notes(2) }), headers);
    expect([again.status, again.json.created, again.json.kept]).toEqual([200, 0, 2]);
    expect(site.edition.signals).toBe(signals);
    const more = await importing(json({ entries: notes(4) }), headers);
    expect([more.status, more.json.created, more.json.kept]).toEqual([201, 2, 2]);
  });

  it.each([
    [
      "a mistake in one entry",
      [...notes(3), { type: "note", title: 5 }],
      "invalid_request",
      "entries[3].title",
    ],
    ["an unknown field", [{ ...notes(1)[0], secret: "hunter2" }], "invalid_request", "entries[0].secret"],
    ["an id given twice", [...notes(2), ...notes(1)], "invalid_request", "entries[2].entry_id"],
    [
      "an entry over 256 KiB",
      [...notes(1), ...notes(5, "x".repeat(262_100)).slice(4)],
      "body_too_large",
      "entries[1]",
    ],
    ["no entries", [], "invalid_request", "entries"],
    ["something else than entries", ["hunter2"], "invalid_request", "entries[0]"],
  ])("with %s is refused as a whole, by name", async (_, entries, code, path) => {
    const { status, json: problem } = await importing(json({ entries }), headers);
    expect(problem.code).toBe(code);
    expect(status).toBe(code === "body_too_large" ? 413 : 400);
    expect((problem.errors as { path: string }[]).map((mistake) => mistake.path)).toEqual([path]);
    expect(JSON.stringify(problem)).not.toContain("hunter2");
    expect(await count()).toBe(0);
  });

  it.each([
    ['{"entries":[', "malformed_json"],
    ['{"entries":[],"__proto__":{}}', "invalid_request"],
    ['{"entries":[{"type":"note","title":"a","__proto__":{}}]}', "invalid_request"],
    ['{"entries":[{"type":"note","title":"a"}],"mode":"merge"}', "invalid_request"],
    ["[]", "invalid_request"],
  ])("that is %s is refused with %s", async (text, code) => {
    const { status, json: problem } = await importing(`${text}${filler.replaceAll("x", " ")}`, headers);
    expect([status, problem.code]).toEqual([400, code]);
    expect(await count()).toBe(0);
  });

  it("with an entry that exists with other content is refused as a whole", async () => {
    await importing(json({ entries: notes(1, "other") }), headers);
    const { status, json: problem } = await importing(json({ entries: notes(3) }), headers);
    expect([status, problem.code]).toEqual([409, "entry_exists"]);
    expect(problem.errors).toEqual([{ path: "entries[0].entry_id", message: expect.any(String) }]);
    expect(await count()).toBe(1);
  });
});

it("an import over 16 MiB is refused, and one just under is taken", async () => {
  const entry = notes(1)[0];
  const text = JSON.stringify({ entries: [entry] });
  const headers = { "content-type": "application/json" };
  const over = await importing(text + " ".repeat(16 * 1024 * 1024 - text.length + 1), headers);
  expect([over.status, over.json.code]).toEqual([413, "body_too_large"]);
  const under = await importing(text + " ".repeat(16 * 1024 * 1024 - text.length), headers);
  expect(under.status).toBe(201);
});

it("an import without a body is refused", async () => {
  const { status, json } = await importing(undefined);
  expect([status, json.code]).toEqual([400, "malformed_json"]);
});

it("several large imports at once all go through", async () => {
  const imports = [0, 1, 2].map((part) =>
    importing({
      entries: notes(40, "x".repeat(30_000)).map((entry, index) => ({
        ...entry,
        entry_id: idOf(part * 100 + index),
      })),
    }),
  );
  const statuses = (await Promise.all(imports)).map(({ status }) => status);
  expect(statuses).toEqual([201, 201, 201]);
  expect(await count()).toBe(120);
});
