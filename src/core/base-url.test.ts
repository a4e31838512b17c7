import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readBaseUrl, urlUnder } from "./base-url.ts";

function hrefOf(text: string): string | undefined {
  const found = readBaseUrl(text);
  return found.kind === "read" ? found.url.href : undefined;
}

function faultOf(text: string): string | undefined {
  const found = readBaseUrl(text);
  return found.kind === "refused" ? `${found.fault}; ${found.remedy}` : undefined;
}

describe("the address of a site", () => {
  it.each([
    ["https://calgary.example", "https://calgary.example/"],
    ["https://calgary.example/", "https://calgary.example/"],
    ["https://calgary.example//", "https://calgary.example/"],
    [" https://calgary.example\n", "https://calgary.example/"],
    ["HTTPS://Calgary.Example:443", "https://calgary.example/"],
    ["http://127.0.0.1:8200", "http://127.0.0.1:8200/"],
    ["https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443/"],
    ["https://proxy.example/dormouse", "https://proxy.example/dormouse"],
    ["https://proxy.example/dormouse///", "https://proxy.example/dormouse"],
    ["https://zürich.example", "https://xn--zrich-kva.example/"],
  ])("is taken as it is meant: %j", (typed, href) => {
    expect(hrefOf(typed)).toBe(href);
  });

  it.each([
    ["calgary.example", "does not begin with https://", "write https://calgary.example"],
    ["calgary.example:8200", "does not begin with https://", "write https://calgary.example:8200"],
    ["//calgary.example", "does not begin with https://", "write https://calgary.example"],
    ["https:calgary.example", "two slashes", "write https://calgary.example"],
    ["https:/calgary.example", "two slashes", "write https://calgary.example"],
    ["ftp://calgary.example", "does not begin with https://", ""],
    ["mongodb://a:1,b:2/db", "does not begin with https://", ""],
    ["https:///calgary.example", "names no host", ""],
    ["https://", "names no host", ""],
    ["https://:8200", "names no host", ""],
    ["https://anna:hunter2@calgary.example", "user name or a password", "before the @"],
    ["https://calgary.example@evil.example", "user name or a password", ""],
    ["https://2001:db8::1", "without brackets", "[2001:db8::1]"],
    ["https://calgary.example:", "no port", ""],
    ["https://calgary.example:99999", "not the address", ""],
    ["https://calgary%2eexample", "escape", ""],
    ["https://calgary.example\\dormouse", "backslash", ""],
    ["https://calgary.example//evil.example", "empty step", "each slash once"],
    ["https://calgary.example//evil.example/", "empty step", ""],
    ["https://calgary.example/a//b", "empty step", ""],
    ["https://calgary.example/a/../b", "step . or ..", ""],
    ["https://calgary.example/%2e%2e/b", "step . or ..", ""],
    ["https://calgary.example/a%2Fb", "escape", ""],
    ["https://calgary.example?vault=1", "query", ""],
    ["https://calgary.example/#top", "fragment", ""],
    ["https://calgary .example", "blank", ""],
    ["https://calgary.example\u0000", "blank", ""],
    ["", "does not begin with https://", ""],
  ])("is refused where a parser would guess: %j", (typed, fault, remedy) => {
    expect(faultOf(typed)).toContain(fault);
    expect(faultOf(typed)).toContain(remedy);
    expect(faultOf(typed)).not.toContain("hunter2");
  });
});

describe("a call under an address", () => {
  it.each([
    ["https://calgary.example", "https://calgary.example/api/vaults?limit=1"],
    ["https://calgary.example//", "https://calgary.example/api/vaults?limit=1"],
    ["https://proxy.example/dormouse/", "https://proxy.example/dormouse/api/vaults?limit=1"],
  ])("goes to %s", (typed, href) => {
    const found = readBaseUrl(typed);
    expect(found.kind === "read" && urlUnder(found.url, "/api/vaults?limit=1").href).toBe(href);
  });

  it("goes to the address's host also where its path ends in doubled slashes", () => {
    const bases = ["https://calgary.example//", "https://calgary.example/dormouse//"];
    expect(bases.map((base) => urlUnder(new URL(base), "/api/vaults").href)).toEqual([
      "https://calgary.example/api/vaults",
      "https://calgary.example/dormouse/api/vaults",
    ]);
  });

  it("goes to the host that was typed, or nowhere", () => {
    const piece = fc.constantFrom(
      "/",
      "//",
      "\\",
      "@",
      ":",
      "?",
      "#",
      ".",
      "..",
      "%2f",
      "a",
      "evil.example",
      "[::1]",
      " ",
    );
    const tails = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
    fc.assert(
      fc.property(tails, (tail) => {
        const found = readBaseUrl(`https://calgary.example/${tail}`);
        if (found.kind === "refused") return;
        expect(urlUnder(found.url, "/api/vaults").host).toBe("calgary.example");
      }),
    );
  });
});
