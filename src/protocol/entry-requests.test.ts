import { describe, expect, it } from "vitest";
import { type Mistake, Refusal } from "../core/errors.ts";
import { check } from "./check.ts";
import {
  entryContentSchema,
  entryListQuerySchema,
  entryPatchSchema,
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

it.each(["", "   ", "a\nb", "x".repeat(201), 5, null])(
  "a vault's name is one line that is not blank, not %j",
  (name) => {
    expect(new Set(paths(newVaultSchema, { name }))).toEqual(new Set(["name"]));
  },
);
