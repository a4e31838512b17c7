import { describe, expect, it } from "vitest";
import { type Mistake, Refusal } from "../core/errors.ts";
import { check } from "./check.ts";
import {
  entryContentSchema,
  entryListQuerySchema,
  entryPatchSchema,
  entrySearchSchema,
  newEntrySchema,
} from "./entry-requests.ts";
import { newVaultSchema } from "./vault-requests.ts";

const minimal = { type: "login", title: "a" };

function mistakes(schema: Parameters<typeof check>[0], value: unknown, at?: string): readonly Mistake[] {
  try {
    check(schema, value, at);
    return [];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    expect(error.code).toBe("invalid_request");
    return error.mistakes;
  }
}

const paths = (...args: Parameters<typeof mistakes>) => mistakes(...args).map(({ path }) => path);

describe("an entry's content", () => {
  it("needs a type and a title; the rest is empty where it is left out", () => {
    expect(check(entryContentSchema, minimal)).toEqual({
      ...minimal,
      urls: [],
      tags: [],
      favourite: false,
      fields: [],
      notes: "",
    });
    expect(mistakes(entryContentSchema, { type: "login" })).toEqual([
      { path: "title", message: "is missing" },
    ]);
  });

  it.each([
    [{ ...minimal, titel: "x" }, "titel"],
    [{ ...minimal, fields: [{ label: "a", value: "b", secret: "c" }] }, "fields[0].secret"],
    [{ ...minimal, fields: [{ label: "a", value: "b", kind: "password" }] }, "fields[0].kind"],
    [{ ...minimal, fields: [{ label: "a", value: 5 }] }, "fields[0].value"],
    [{ ...minimal, urls: "https://x" }, "urls"],
    [{ ...minimal, tags: ["a", ""] }, "tags[1]"],
    [{ ...minimal, favourite: "yes" }, "favourite"],
    [{ ...minimal, title: "" }, "title"],
    [{ ...minimal, title: "x".repeat(501) }, "title"],
    [{ ...minimal, notes: "\ud800" }, "notes"],
    [{ ...minimal, constructor: {} }, "constructor"],
    [[], ""],
    ["text", ""],
    [null, ""],
  ])("%# is refused by the path of its mistake", (value, path) => {
    expect(paths(entryContentSchema, value)).toEqual([path]);
  });

  it("is refused with all its mistakes at once, under the path it stands at", () => {
    const value = { type: "x", title: 5, foo: 1 };
    expect(paths(newEntrySchema, value, "entries[3]")).toEqual([
      "entries[3].type",
      "entries[3].title",
      "entries[3].foo",
    ]);
  });

  it("is refused without its values, however many and long its made-up names are", () => {
    const names = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`${"\u0007x".repeat(100)}${index}`, "hunter2"]),
    );
    const shown = JSON.stringify(mistakes(entryContentSchema, { ...minimal, title: ["hunter2"], ...names }));
    expect(shown).not.toContain("hunter2");
    expect(shown.length).toBeLessThan(4_000);
    expect(shown).not.toMatch(/\\u00/);
  });
});

const withField = (kind: string, value: string) => ({
  ...minimal,
  fields: [
    { label: "a", value: "" },
    { label: "b", value, kind },
  ],
});
const base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

describe("a field's value", () => {
  it.each<readonly [string, string]>([
    ["url", "https://hunter2.test/a?b=c#d"],
    ["url", "http://[::1]:8080"],
    ["url", "ssh://git@host.example:22/a.git"],
    ["url", "androidapp://com.example.app"],
    ["url", "https://zürich.example/a b"],
    ["email", "hunter3+tag@hunter2.test"],
    ["email", "jörg@bücher.example"],
    ["date", "2024-02-29"],
    ["date", "0001-01-01"],
    ["totp", base32],
    ["totp", `otpauth://totp/ACME:hunter3?secret=${base32}&digits=8&period=60&algorithm=SHA256`],
    ["text", "\u0000 anything"],
    ["concealed", "https//no"],
    ...["url", "email", "date", "totp", "text", "concealed"].map((kind) => [kind, ""] as const),
  ])("of kind %s may be %j", (kind, value) => {
    expect(paths(newEntrySchema, withField(kind, value))).toEqual([]);
  });

  it.each([
    ["url", "hunter2.test"],
    ["url", "hunter2.test:443"],
    ["url", "//hunter2.test"],
    ["url", "http://?"],
    ["url", "https://a b/"],
    ["url", "https://mail.exa\tmple"],
    ["url", "https://[::1"],
    ["url", "javascript:alert(1)"],
    ["url", "JavaScript://hunter2.test/%0aalert(1)"],
    ["url", "data://text/html,hunter2"],
    ["url", `https://hunter2.test/${"x".repeat(2_048)}`],
    ["email", "hunter3"],
    ["email", "hunter3@"],
    ["email", "@hunter2.test"],
    ["email", "a@b@c"],
    ["email", "hunter3 @hunter2.test"],
    ["email", "hunter3@hunter2.test\n"],
    ["email", `${"x".repeat(250)}@b.example`],
    ["date", "2023-02-29"],
    ["date", "2026-13-01"],
    ["date", "2026-1-1"],
    ["date", "28.02.2026"],
    ["date", "2026-02-28T00:00:00Z"],
    ["totp", "hunter2"],
    ["totp", "JBSWY3DP"],
    ["totp", `otpauth://hotp/hunter3?secret=${base32}&counter=1`],
  ])("of kind %s cannot be %j, and the answer names its path and not the value", (kind, value) => {
    const found = mistakes(newEntrySchema, withField(kind, value), "entries[3]");
    expect(found).toEqual([
      { path: "entries[3].fields[1].value", message: expect.stringMatching(/^must be an? /) },
    ]);
    expect(JSON.stringify(found)).not.toContain(value);
    expect(paths(entryPatchSchema, { fields: withField(kind, value).fields })).toEqual(["fields[1].value"]);
  });
});

it("an entry's URLs are absolute, each named where it is not", () => {
  const urls = ["https://mail.example", "mail.example", "", "javascript://x/%0aalert(1)", "ftp://a.example"];
  expect(mistakes(entryContentSchema, { ...minimal, urls })).toEqual([
    { path: "urls[1]", message: "must be an absolute URL such as https://mail.example" },
    { path: "urls[2]", message: "must not be empty" },
    { path: "urls[3]", message: "must be an absolute URL such as https://mail.example" },
  ]);
});

it.each(["x", "0190A000-0000-7000-8000-000000000001", "0190a000-0000-4000-8000-000000000001"])(
  "an entry's id that a client chooses is a UUIDv7 in lower case, not %s",
  (entry_id) => {
    expect(paths(newEntrySchema, { ...minimal, entry_id })).toEqual(["entry_id"]);
  },
);

it("a patch may empty a member with null and names none that is unknown", () => {
  expect(
    paths(entryPatchSchema, { notes: null, tags: null, fields: null, urls: null, favourite: null }),
  ).toEqual([]);
  expect(paths(entryPatchSchema, { title: null, type: null })).toEqual(["type", "title"]);
  expect(paths(entryPatchSchema, { nots: null })).toEqual(["nots"]);
});

it.each(["0", "501", "-1", "1.5", "ten", ["1", "2"], ""])(
  "a list's limit is a number from 1 to 500, not %j",
  (limit) => {
    expect(paths(entryListQuerySchema, { limit })).toEqual(["limit"]);
  },
);

it("a search may leave everything out; what it names is checked", () => {
  expect(check(entrySearchSchema, {})).toEqual({ query: "", trash: false, limit: 100 });
  const wrong = { query: 5, type: "car", tag: "", favourite: "true", limit: 501, cursor: "x", q: "hunter2" };
  const found = mistakes(entrySearchSchema, wrong);
  expect(found.map(({ path }) => path).toSorted()).toEqual(Object.keys(wrong).toSorted());
  expect(found.find(({ path }) => path === "limit")?.message).toBe("must be a number from 1 to 500");
  for (const limit of [0, 1.5, "5"]) expect(paths(entrySearchSchema, { limit })).toEqual(["limit"]);
});

it.each(["", "   ", "a\nb", "x".repeat(201), 5, null])(
  "a vault's name is one line that is not blank, not %j",
  (name) => {
    expect(new Set(paths(newVaultSchema, { name }))).toEqual(new Set(["name"]));
  },
);
