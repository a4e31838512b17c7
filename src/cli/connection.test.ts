import { describe, expect, it } from "vitest";
import { parseSiteUrl } from "./connection.ts";

describe("the address that a command sends its token to", () => {
  it.each(["https://calgary.example", "http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"])(
    "is taken: %s",
    (text) => {
      expect(parseSiteUrl(text).origin).toBe(text);
    },
  );

  it.each([
    "http://calgary.example",
    "http://10.0.0.1:8200",
    "http://localhost.evil.example",
    "http://127.0.0.1.nip.io",
  ])("is refused over plain http beyond this machine, unless the person says otherwise: %s", (text) => {
    expect(() => parseSiteUrl(text)).toThrow(/plain http/);
    expect(parseSiteUrl(text, { insecureHttp: true }).origin).toBe(text);
  });

  it("is refused with what would be right, and without what may be a password", () => {
    expect(() => parseSiteUrl("calgary.example")).toThrow(/does not begin with https/);
    expect(() => parseSiteUrl("https://anna:hunter2@calgary.example")).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hunter2") }),
    );
  });
});
