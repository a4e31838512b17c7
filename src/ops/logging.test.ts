import { getActiveResourcesInfo } from "node:process";
import { expect, test } from "vitest";
import { isSiteName, type SiteName } from "../core/ids.ts";
import { createLogger, type LogFormat, type Logger } from "./logging.ts";

function siteName(name: string): SiteName {
  if (!isSiteName(name)) throw new Error("no site's name");
  return name;
}

type Fixture = { log: Logger; text: () => string };

async function logTo(format: LogFormat | undefined, isTerminal = false): Promise<Fixture> {
  const lines: string[] = [];
  const output = { write: (line: string) => void lines.push(line) };
  const log = await createLogger({ site: siteName("calgary"), format, output, isTerminal });
  return { log, text: () => lines.join("") };
}

const token = `dmo_${"0a".repeat(16)}_${"s".repeat(43)}check1`;

test("a line is JSON with the site, the time in UTC and the level by name", async () => {
  const { log, text } = await logTo(undefined);
  log.info({ vault: "v" }, "hello");
  const line: unknown = JSON.parse(text());
  expect(line).toEqual({
    level: "info",
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    site: "calgary",
    vault: "v",
    msg: "hello",
  });
  expect(text().endsWith("}\n")).toBe(true);
});

test.each(["json", "pretty"] as const)(
  "no token or credential reaches the %s log, wherever it stands",
  async (format) => {
    const { log, text } = await logTo(format);
    log.info(
      { headers: { authorization: `Bearer ${token}`, cookie: "a=secret1", "Set-Cookie": "b=secret2" } },
      "x",
    );
    log.info(
      { url: `/x?token=${token}`, nested: [{ password: 'sec"ret3', token: "secret4" }] },
      `for ${token}.`,
    );
    log.info({ session: token.replace("dmo_", "dml_") }, "begun");
    log.error(new Error(`sent Basic c2VjcmV0NQ== and ${token.slice(0, 50)}`));
    expect(text()).not.toMatch(/secret|sec\\?\\?"ret|dm[vosl]_|c2Vj|ssss|0a0a/);
    expect(text()).toContain("struck out");
  },
);

test("striking out leaves every line valid JSON", async () => {
  const { log, text } = await logTo("json");
  log.info({ authorization: 'a"b\\', note: `Bearer ${token}`, list: [token] }, `Bearer x"y ${token}`);
  expect(() => {
    JSON.parse(text());
  }).not.toThrow();
});

test("a terminal gets readable lines in colour that name the site", async () => {
  const { log, text } = await logTo(undefined, true);
  log.warn({ count: 3 }, "hello");
  expect(text()).toMatch(/WARN/);
  expect(text()).toMatch(/calgary: hello/);
  expect(text()).toContain("\u001b[");
});

test("readable lines that nobody watches carry no colour", async () => {
  const { log, text } = await logTo("pretty");
  log.warn("hello");
  expect(text()).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: calgary: hello\n$/);
});

test("a message from outside cannot write control characters to a terminal", async () => {
  const { log, text } = await logTo("pretty");
  log.info({ last_error: "\u001b]0;owned\u0007 \u009b2J \u007f \\u001b" }, "\u001b[2J\rgone\\");
  const codes = Array.from(text(), (character) => character.charCodeAt(0));
  const controls = codes.filter((code) => (code < 0x20 && code !== 0x0a) || (code >= 0x7f && code <= 0x9f));
  expect(controls).toEqual([]);
  expect(text()).toContain("gone\\");
});

test("logging leaves nothing behind that could wake the process", async () => {
  const before = getActiveResourcesInfo().toSorted();
  const { log } = await logTo("pretty");
  log.info("hello");
  expect(getActiveResourcesInfo().toSorted()).toEqual(before);
});

test("lines that are logged together go out in one write, in their order, also where what logs them throws", async () => {
  const writes: string[] = [];
  const output = { write: (lines: string) => void writes.push(lines) };
  const log = await createLogger({ site: siteName("calgary"), format: "json", output });
  log.together(() => {
    log.info("one");
    log.info({ token }, "two");
  });
  expect(() =>
    log.together(() => {
      log.info("three");
      throw new Error("a fault");
    }),
  ).toThrow("a fault");
  log.info("four");
  expect(writes.map((lines) => lines.match(/(?<="msg":")[a-z]+/g))).toEqual([
    ["one", "two"],
    ["three"],
    ["four"],
  ]);
  expect(writes.join("")).not.toContain(token);
});
