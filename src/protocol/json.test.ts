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

  it("is looked for in JSON nested deeper than any stack", () => {
    const depth = 200_000;
    const text = `${"[".repeat(depth)}"__proto__"${"]".repeat(depth)}`;
    expect(() => parseJson(utf8(text))).not.toThrow();
  });
});
