import { describe, expect, it } from "vitest";
import { addressKey, originKey } from "./client-address.ts";

describe("an attempt is counted against", () => {
  it.each([
    ["203.0.113.9", "203.0.113.9"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8::203.0.113.9", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", "unknown"],
    ["a text", "unknown"],
  ])("%s: %s", (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});

describe("behind a proxy", () => {
  const isProxy = (address: string) => address === "127.0.0.1" || address.startsWith("10.");
  const keyOf = (forwardedFor?: string) => originKey({ address: "10.0.0.1", forwardedFor }, isProxy);

  it("it is whom the proxy itself names, not whom the client did", () => {
    expect(keyOf("203.0.113.9")).toBe("203.0.113.9");
    expect(keyOf("198.51.100.1, 203.0.113.9")).toBe("203.0.113.9");
    expect(keyOf("198.51.100.1,2001:db8::1")).toBe("2001:db8:0:0::/64");
  });

  it.each([undefined, "", "unknown", "203.0.113.9,", "203.0.113.9:4711", "10.0.0.2"])(
    "that names nobody, nobody is slowed down for all: %s",
    (header) => expect(keyOf(header)).toBeUndefined(),
  );

  it("who is no proxy cannot name another", () => {
    const origin = { address: "203.0.113.9", forwardedFor: "198.51.100.1" };
    expect(originKey(origin, isProxy)).toBe("203.0.113.9");
  });
});
