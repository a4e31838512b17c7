import { describe, expect, it } from "vitest";
import { printable, printableJson, printableLines, withoutTokens } from "./printable.ts";

describe("text for a terminal", () => {
  it.each([
    ["\u001b[31mred", "\\x1b[31mred"],
    ["two\r\nlines", "two\\x0d\\x0alines"],
    ["\u009b2J", "\\x9b2J"],
    ["\u202etxt.exe", "\\u202etxt.exe"],
    ["\ud800", "\\ud800"],
    ["\u0007\u007f\u2028", "\\x07\\x7f\\u2028"],
  ])("shows what would steer it: %j", (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it("leaves letters of all scripts and emoji as they are", () => {
    expect(printable("Zürich 東京 🐭 عربى")).toBe("Zürich 東京 🐭 عربى");
  });

  it("keeps line ends and tabs of a value with several lines, and nothing else", () => {
    expect(printableLines("a\n\tb\u001b\r\n")).toBe("a\n\tb\\x1b\\x0d\n");
  });

  it("escapes JSON so that the same value is read from it", () => {
    const value = { name: "\u001b[2J\u009b\u202e\u007f\nend" };
    const text = printableJson(value);
    expect(text).not.toMatch(/[^\n -~]/);
    expect(JSON.parse(text)).toEqual(value);
  });

  it("strikes tokens out wherever they stand", () => {
    const token = `dmv_${"0a".repeat(16)}_${"x-_9".repeat(12)}`;
    expect(withoutTokens(`unknown option '--token=${token}'`)).toBe("unknown option '--token=dmv_…'");
  });
});
