import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { askAdmin, command, openAdminServer, openRaw } from "../../test/support/admin-socket.ts";
import { openHttpSite } from "../../test/support/http-site.ts";
import type { AdminRequest } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import { adminBytesMax } from "../protocol/admin.ts";
import { check } from "../protocol/check.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dormouse-admin-"));
  path = join(folder, "admin.sock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const echo = command("echo", async ({ body }) => ({ got: body }));
const fields = z.strictObject({ name: z.string() });

/** A command that ends when the test says so, and what it was given. */
function held(name = "held") {
  const asked = Promise.withResolvers<AdminRequest>();
  const end = Promise.withResolvers<object>();
  return {
    asked: asked.promise,
    end,
    command: command(name, (request) => {
      asked.resolve(request);
      return end.promise;
    }),
  };
}

describe("the admin socket", () => {
  it("can be used by its owner only, whatever the process's usual mode is, and is gone after the end", async () => {
    const umask = process.umask(0);
    try {
      await using server = await openAdminServer(path, [echo]);
      expect((statSync(path).mode & 0o777).toString(8)).toBe("600");
      expect(process.umask()).toBe(0);
      void server;
    } finally {
      process.umask(umask);
    }
    expect(existsSync(path)).toBe(false);
  });

  it("replaces the socket that a killed process has left", async () => {
    const first = await openAdminServer(path, [echo]);
    // What a kill leaves is a name that leads to nobody.
    const kept = `${path}.kept`;
    const { linkSync, renameSync } = await import("node:fs");
    linkSync(path, kept);
    await first.app.close();
    renameSync(kept, path);
    await using second = await openAdminServer(path, [echo]);
    expect((await askAdmin(path, "/admin/echo")).lines).toEqual([{ result: { got: {} } }]);
    void second;
  });

  it("is refused, and nothing is removed, where something else stands in its place, and where no socket can be", async () => {
    writeFileSync(path, "precious");
    await expect(openAdminServer(path, [echo])).rejects.toMatchObject({ code: "config_invalid" });
    expect(existsSync(path)).toBe(true);
    const nowhere = join(folder, "none", "admin.sock");
    await expect(openAdminServer(nowhere, [echo])).rejects.toMatchObject({ code: "config_invalid" });
  });

  it("cuts off who owes the rest of a request, and who says nothing", async () => {
    await using server = await openAdminServer(path, [echo], { deadlineMs: 100, keepAliveMs: 50 });
    const [silent, half] = [openRaw(path), openRaw(path)];
    half.socket.write(
      "POST /admin/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    );
    expect(await silent.ended).toBe("");
    expect(await half.ended).toBe("");
    void server;
  });
});

describe("a command", () => {
  it("answers lines: its progress as it comes, and one result at the end", async () => {
    const steps = command("steps", async ({ progress }) => {
      progress({ stage: "one" });
      progress({ stage: "two", done: 1, total: 2 });
      return { equal: true };
    });
    await using server = await openAdminServer(path, [steps]);
    expect(await askAdmin(path, "/admin/steps")).toEqual({
      status: 200,
      type: "application/x-ndjson",
      lines: [
        { progress: { stage: "one" } },
        { progress: { stage: "two", done: 1, total: 2 } },
        { result: { equal: true } },
      ],
    });
    void server;
  });

  it("shows its progress before its end", async () => {
    const { asked, end, command: long } = held();
    await using server = await openAdminServer(path, [long]);
    const first = new Promise<string>((resolve) => {
      const sent = requestHttp({ socketPath: path, path: "/admin/held", method: "POST", agent: false });
      sent.on("response", (response) => {
        response.once("data", (chunk) => resolve(String(chunk)));
        response.resume();
      });
      sent.end();
    });
    (await asked).progress({ stage: "waiting" });
    expect(await first).toBe('{"progress":{"stage":"waiting"}}\n');
    end.resolve({});
    void server;
  });

  it("may go on telling after its end, which is not spoilt by it", async () => {
    const chatty = command("chatty", async ({ progress }) => {
      let left = 100;
      const tell = (): void => {
        progress({ stage: "late" });
        left -= 1;
        if (left > 0) queueMicrotask(tell);
      };
      queueMicrotask(tell);
      return { done: true };
    });
    await using server = await openAdminServer(path, [chatty]);
    expect((await askAdmin(path, "/admin/chatty")).lines.at(-1)).toEqual({ result: { done: true } });
    void server;
  });

  it("needs no body", async () => {
    await using server = await openAdminServer(path, [echo]);
    expect((await askAdmin(path, "/admin/echo", "")).lines).toEqual([{ result: { got: {} } }]);
    void server;
  });

  it("is refused as one line: with the problem's status, or after progress with 200", async () => {
    const refuse = command("refuse", ({ body, progress }) => {
      if (Object.keys(body as object).length > 0) progress({ stage: "one" });
      throw new Refusal("grant_open", "zurich has it");
    });
    await using server = await openAdminServer(path, [refuse]);
    const problem = {
      code: "grant_open",
      status: 409,
      detail: "zurich has it",
      request_id: expect.any(String),
    };
    const early = await askAdmin(path, "/admin/refuse");
    expect(early).toMatchObject({ status: 409, type: "application/x-ndjson", lines: [{ problem }] });
    const late = await askAdmin(path, "/admin/refuse", { late: true });
    expect(late).toMatchObject({ status: 200, lines: [{ progress: {} }, { problem }] });
    void server;
  });

  it("names what is wrong with its fields, and never their values", async () => {
    const strict = command("strict", async ({ body }) => check(fields, body));
    await using server = await openAdminServer(path, [strict]);
    const { status, lines } = await askAdmin(path, "/admin/strict", { name: 7, hunter2: "hunter2-value" });
    expect(status).toBe(400);
    expect(lines).toMatchObject([
      {
        problem: {
          code: "invalid_request",
          errors: [
            { path: "name", message: "must be a string" },
            { path: "hunter2", message: "no such field is known" },
          ],
        },
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain("hunter2-value");
    void server;
  });

  it("that has a bug tells its caller nothing of it, and the log where it was", async () => {
    const broken = command("broken", async () => {
      throw new TypeError("hunter2");
    });
    await using server = await openAdminServer(path, [broken]);
    const { status, lines } = await askAdmin(path, "/admin/broken");
    expect(status).toBe(500);
    expect(lines).toMatchObject([{ problem: { code: "internal" } }]);
    expect(JSON.stringify(lines) + server.logged.join("")).not.toContain("hunter2");
    expect(server.logged.join("")).toMatch(/"route":"\/admin\/broken".*admin-server\.test\.ts/);
  });

  it("learns that its caller has gone away", async () => {
    const { asked, end, command: long } = held();
    await using server = await openAdminServer(path, [long]);
    const caller = new AbortController();
    const call = askAdmin(path, "/admin/held", {}, { signal: caller.signal }).catch(() => "gone");
    const { signal } = await asked;
    expect(signal.aborted).toBe(false);
    caller.abort();
    expect(await call).toBe("gone");
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    end.resolve({});
    void server;
  });

  it("keeps little for a caller who does not read: later progress takes the place of earlier", async () => {
    const { asked, end, command: long } = held();
    await using server = await openAdminServer(path, [long]);
    const { socket } = openRaw(path);
    socket.pause();
    socket.write("POST /admin/held HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const { progress } = await asked;
    const before = process.memoryUsage().rss;
    const stage = "x".repeat(10_000);
    for (let n = 0; n < 20_000; n += 1) {
      progress({ stage });
      if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // 200 MB were told; what the caller gets in the end is what the socket and the limit hold.
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
    end.resolve({ done: true });
    let received = 0;
    let last = "";
    socket.on("data", (chunk) => {
      received += chunk.length;
      last = chunk.toString();
    });
    socket.resume();
    await new Promise((resolve) => socket.on("close", resolve));
    expect(received).toBeLessThan(5_000_000);
    expect(last).toContain('{"result":{"done":true}}');
    void server;
  });
});

describe("what is no command is refused before it is read", () => {
  const cases: readonly (readonly [string, string, unknown, object, number, string])[] = [
    ["an unknown one", "/admin/promot", {}, {}, 404, "route_unknown"],
    ["another method", "/admin/echo", {}, { method: "GET" }, 405, "method_not_allowed"],
    ["malformed JSON", "/admin/echo", '{"name":"hunter2', {}, 400, "malformed_json"],
    ["__proto__", "/admin/echo", '{"__proto__":{}}', {}, 400, "invalid_request"],
    ["another type", "/admin/echo", "hunter2", { type: "text/plain" }, 415, "unsupported_media_type"],
    ["too much", "/admin/echo", { name: "x".repeat(adminBytesMax) }, {}, 413, "body_too_large"],
  ];
  it.each(cases)("%s", async (_, call, body, sending, status, code) => {
    await using server = await openAdminServer(path, [echo]);
    const answer = await askAdmin(path, call, body, sending);
    expect(answer).toMatchObject({ status, type: "application/problem+json", lines: [{ code }] });
    expect(JSON.stringify(answer)).not.toContain("hunter2");
    void server;
  });
});

describe("a site that starts and stops", () => {
  it("runs no command before it is ready", async () => {
    const ready = Promise.withResolvers<void>();
    const order: string[] = [];
    const note = command("note", async () => {
      order.push("command");
      return {};
    });
    await using server = await openAdminServer(path, [note], { ready: ready.promise });
    const answer = askAdmin(path, "/admin/note");
    const other = openRaw(path);
    // Another connection's refusal shows that the first was read.
    other.socket.write("POST /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    expect(await other.ended).toContain("404");
    order.push("ready");
    ready.resolve();
    expect((await answer).status).toBe(200);
    expect(order).toEqual(["ready", "command"]);
    void server;
  });

  it("refuses what waits for it when it stops before", async () => {
    const server = await openAdminServer(path, [echo], { ready: new Promise(() => {}) });
    const answer = askAdmin(path, "/admin/echo");
    const other = openRaw(path);
    other.socket.write("POST /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    await other.ended;
    await server.app.close();
    expect(await answer).toMatchObject({ status: 503, lines: [{ code: "shutting_down" }] });
  });

  it("lets a command that listens end by itself, and does not wait for one that does not", async () => {
    const deaf = held("deaf");
    const heard = command("heard", async ({ signal, progress }) => {
      progress({ stage: "waiting" });
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return { stopped: true };
    });
    const server = await openAdminServer(path, [heard, deaf.command]);
    const [ended, cut] = [askAdmin(path, "/admin/heard"), askAdmin(path, "/admin/deaf")];
    await deaf.asked;
    await server.app.close();
    expect((await ended).lines).toEqual([{ progress: { stage: "waiting" } }, { result: { stopped: true } }]);
    expect(await cut).toMatchObject({ status: 503, lines: [{ problem: { code: "shutting_down" } }] });
    expect(server.logged.join("")).not.toContain('"level":"error"');
  });
});

describe("the same commands over HTTP", () => {
  const call = "POST /api/admin/echo";

  it("are not there unless the configuration has it so", async () => {
    const site = await openHttpSite();
    expect(await site.call(call, { token: site.operator, body: {} })).toMatchObject({
      status: 404,
      json: { code: "route_unknown" },
    });
    await site.close();
  });

  it("are an operator's only", async () => {
    const site = await openHttpSite({ adminCommands: [echo] });
    const vault = await site.createVault();
    expect((await site.call(call, { body: {} })).status).toBe(401);
    expect((await site.call(call, { token: vault.token, body: {} })).status).toBe(403);
    const { status, json, headers } = await site.call(call, { token: site.operator, body: { a: 1 } });
    expect({ status, json }).toEqual({ status: 200, json: { result: { got: { a: 1 } } } });
    expect(headers["content-type"]).toBe("application/x-ndjson");
    await site.close();
  });
});
