import { describe, expect, it } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { parseJson } from "./json.ts";

describe("JSON", () => {
  it("is parsed from UTF-8", () => {
    expect(parseJson(utf8('{"name":"Zürich"}'))).toEqual({ name: "Zürich" });
  });

  it.each(["", "  ", "{", "{'a':1}", '{"a":1}}', "undefined"])("%j is malformed", (text) => {
    expect(() => parseJson(utf8(text))).toThrow(expect.objectContaining({ code: "malformed_json" }));
  });

  it("that is not UTF-8 is malformed", () => {
    const bytes = Uint8Array.of(0x22, 0xff, 0x22);
    expect(() => parseJson(bytes)).toThrow(expect.objectContaining({ code: "malformed_json" }));
  });

  it("that is malformed is not quoted in the refusal", () => {
    try {
      parseJson(utf8('{"password": hunter2}'));
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify([String(error), error])).not.toContain("hunter2");
    }
  });
});

describe("a member named __proto__", () => {
  it.each([
    '{"__proto__":{"a":1}}',
    '{"a":[{"b":{"__proto__":null}}]}',
    '{"\\u005f_proto__":1}',
    '{"\\u005F\\u005f\\u0070roto\\u005f_":1}',
  ])("is refused by name: %s", (text) => {
    expect(() => parseJson(utf8(text))).toThrow(
      expect.objectContaining({
        code: "invalid_request",
        mistakes: [{ path: "__proto__", message: expect.any(String) }],
      }),
    );
  });

  it("is not found in a text that only speaks of it", () => {
    expect(parseJson(utf8('{"notes":"__proto__ \\u0041"}'))).toEqual({ notes: "__proto__ A" });
  });
});

describe("nesting", () => {
  const nested = (depth: number, inside = "1") => utf8(`${"[".repeat(depth)}${inside}${"]".repeat(depth)}`);

  it("is taken to a depth of 32 and refused beyond, in time that two megabytes of brackets do not change", () => {
    expect(JSON.stringify(parseJson(nested(32)))).toBe(`${"[".repeat(32)}1${"]".repeat(32)}`);
    expect(() => parseJson(nested(33))).toThrow("nested deeper than 32 levels");
    expect(() => parseJson(utf8("[".repeat(2_000_000)))).toThrow("nested deeper than 32 levels");
    expect(() => parseJson(utf8('{"a":'.repeat(40)))).toThrow("nested deeper than 32 levels");
  });

  it("is not what stands in a text, however its quotes are escaped", () => {
    const texts = ["[".repeat(99), '"', '\\"[{'.repeat(50), "\\", `${"\\".repeat(7)}"${"{".repeat(50)}`];
    for (const text of texts)
      expect(parseJson(utf8(JSON.stringify([text, { text }])))).toEqual([text, { text }]);
  });
});
