import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpSite, openHttpSite, ScriptedEdition } from "../../test/support/http-site.ts";
import { errorCodes, Refusal } from "../core/errors.ts";
import { requestBytesMax } from "../protocol/limits.ts";
import { problemStatus } from "./problem-status.ts";
import { routeTable } from "./route-table.ts";

const secret = "hunter2-correct-horse";
let thrown: () => Promise<never>;
let site: HttpSite;
let vault: Awaited<ReturnType<HttpSite["createVault"]>>;
beforeAll(async () => {
  const fault = { method: "GET", path: "/api/fault", caller: "operator", bodyBytesMax: 1000 } as const;
  site = await openHttpSite({ edition: new ScriptedEdition([{ ...fault, handle: () => thrown() }]) });
  vault = await site.createVault();
});
afterAll(() => site.close());

const json = { "content-type": "application/json" };

describe("bad input is refused by name and changes nothing", () => {
  const login = (extra: object) => ({ type: "login", title: "a", ...extra });
  const cases: readonly (readonly [string, string, unknown, Record<string, string>, number, string])[] = [
    ["malformed JSON", "POST /entries", `{"title":"${secret}`, json, 400, "malformed_json"],
    ["an empty body", "POST /entries", "", json, 400, "invalid_request"],
    [
      "bytes that are not UTF-8",
      "POST /entries",
      Buffer.from([0x22, 0xff, 0x22]),
      json,
      400,
      "malformed_json",
    ],
    ["an unknown field", "POST /entries", login({ pasword: secret }), {}, 400, "invalid_request"],
    ["a mistyped field", "POST /entries", login({ notes: [secret] }), {}, 400, "invalid_request"],
    [
      "__proto__",
      "POST /entries",
      `{"type":"login","title":"a","__proto__":{"x":"${secret}"}}`,
      json,
      400,
      "invalid_request",
    ],
    [
      "a body of another type",
      "POST /entries",
      secret,
      { "content-type": "text/plain" },
      415,
      "unsupported_media_type",
    ],
    [
      "a merge patch that is no PATCH",
      "POST /entries",
      "{}",
      { "content-type": "application/merge-patch+json" },
      415,
      "unsupported_media_type",
    ],
    [
      "an encoding it does not take",
      "POST /entries",
      "{}",
      { ...json, "content-encoding": "zstd" },
      415,
      "unsupported_media_type",
    ],
    [
      "an entry over 256 KiB",
      "POST /entries",
      login({ notes: "x".repeat(262_100) }),
      {},
      413,
      "body_too_large",
    ],
    [
      "a body over what it takes",
      "POST /entries",
      " ".repeat(requestBytesMax + 1),
      json,
      413,
      "body_too_large",
    ],
    ["a wait that is none", "POST /entries", login({}), { prefer: `wait=${secret}` }, 400, "invalid_request"],
    ["a query it does not have", `POST /entries?${secret}=1`, login({}), {}, 400, "invalid_request"],
    ["an unknown address", `GET /${secret}`, undefined, {}, 404, "route_unknown"],
    ["an address that is no address", "GET /entries/%ff", undefined, {}, 404, "route_unknown"],
  ];

  it.each(cases)("%s", async (...[, route, body, headers, status, code]) => {
    const [method, path] = route.split(" ");
    const answered = await site.call(`${method} ${vault.path}${path}`, { token: vault.token, body, headers });
    expect([answered.status, answered.json.code]).toEqual([status, code]);
    expect(answered.headers["content-type"]).toBe("application/problem+json");
    expect(answered.json).toMatchObject({ status, type: expect.any(String), title: expect.any(String) });
    expect(answered.json.request_id).toBe(answered.headers["request-id"]);
    expect(JSON.stringify(answered)).not.toContain(secret);
    const { json: list } = await site.call(`GET ${vault.path}/entries`, { token: vault.token });
    expect(list.entries).toEqual([]);
  });
});

it("an address that takes other methods says which", async () => {
  const {
    status,
    json: problem,
    headers,
  } = await site.call(`PUT ${vault.path}/entries`, { token: vault.token });
  expect([status, problem.code, headers.allow]).toEqual([405, "method_not_allowed", "POST, GET, HEAD"]);
});

it.each(["QUERY", "PURGE", "PROPFIND"])("a method that no call has is a refusal: %s", async (method) => {
  for (const path of ["/", "/api/vaults", "/healthz"]) {
    const { status, json } = await site.call(`${method} ${path}`, { token: vault.token });
    expect([404, 405]).toContain(status);
    expect(["route_unknown", "method_not_allowed"]).toContain(json.code);
  }
});

it("HEAD answers as GET does, without a body", async () => {
  const { status, headers } = await site.call("HEAD /healthz");
  expect([status, headers["content-type"]]).toEqual([200, "application/json"]);
  expect((await site.call("HEAD /api/vaults")).status).toBe(401);
});

it("every answer forbids to be kept, framed or guessed at", async () => {
  const routes = ["GET /healthz", "GET /nothing", "GET /api/vaults", "POST /api/vaults"];
  for (const route of routes) {
    const { headers } = await site.call(route, { token: site.operator });
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
  }
});

describe("a fault", () => {
  const fail = async (error: unknown) => {
    thrown = () => Promise.reject(error);
    return await site.call("GET /api/fault", { token: site.operator });
  };

  it("that is a bug is told to nobody outside, and to the log without its message", async () => {
    const { status, json: problem } = await fail(new TypeError(`cannot read ${secret}`));
    expect([status, problem.code]).toEqual([500, "internal"]);
    expect(JSON.stringify(problem)).not.toContain(secret);
    const line = site.logged.find(
      (text) => text.includes('"failed"') && text.includes(String(problem.request_id)),
    );
    expect(JSON.parse(line ?? "{}")).toMatchObject({
      route: "/api/fault",
      code: "internal",
      name: "TypeError",
      frames: expect.arrayContaining([expect.stringMatching(/^at /)]),
    });
    expect(line).not.toContain(secret);
  });

  it.each([
    ["disk_full", 507],
    ["storage_failed", 500],
    ["busy", 503],
  ] as const)("of the machine is told by its code: %s", async (code, expected) => {
    const { status, json: problem } = await fail(new Refusal(code));
    expect([status, problem.code]).toEqual([expected, code]);
  });

  it("that is no error at all is a bug", async () => {
    expect((await fail(secret)).json.code).toBe("internal");
    expect((await fail(undefined)).status).toBe(500);
  });
});

it("every code has a status that tells whose fault it is", () => {
  expect(Object.keys(problemStatus).sort()).toEqual(Object.keys(errorCodes).sort());
  for (const [code, status] of Object.entries(problemStatus))
    expect(status, code).toBeGreaterThanOrEqual(400);
});

it("the log holds patterns of routes, and neither addresses nor tokens nor bodies", async () => {
  const body = { type: "note", title: secret };
  await site.call(`POST ${vault.path}/entries`, { token: vault.token, body });
  await site.call(`DELETE ${vault.path}/entries/${secret}?purge=${secret}`, { token: vault.token });
  await site.call(`GET /${secret}`, { token: vault.token });
  await site.call("GET /api/vaults", { token: secret });
  // A line is written a turn after its answer.
  await new Promise((resolve) => setImmediate(resolve));
  const log = site.logged.join("");
  expect(log).not.toContain(secret);
  expect(log).not.toContain(vault.id);
  expect(log).not.toContain(vault.token.slice(4, 36));
  const routes = new Set(site.logged.map((line) => (JSON.parse(line) as { route: string }).route));
  expect(routes).toContain(routeTable.deleteEntry.path);
  expect(routes).toContain("unknown");
  // The first test's own entries must not show up in the others' lists.
  const { json: list } = await site.call(`GET ${vault.path}/entries`, { token: vault.token });
  for (const { entry_id } of list.entries as { entry_id: string }[]) {
    await site.call(`DELETE ${vault.path}/entries/${entry_id}?purge=true`, { token: vault.token });
  }
});
