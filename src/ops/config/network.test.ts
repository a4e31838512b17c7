import { expect, test } from "vitest";
import { isInNetworks, isLoopback } from "./network.ts";

test.each(["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"])(
  "%s never leaves this machine",
  (host) => expect(isLoopback(host)).toBe(true),
);

test.each(["128.0.0.1", "0.0.0.0", "::", "localhost.example", "", "::ffff:10.0.0.1"])(
  "%j may leave this machine",
  (host) => expect(isLoopback(host)).toBe(false),
);

test.each(["10.0.0.1", "10.255.255.255", "::ffff:10.0.0.1", "fd00::1", "[fd12::1]", "192.0.2.7"])(
  "%s is of the networks",
  (host) => expect(isInNetworks(host, ["10.0.0.0/8", "fd00::/8", undefined, "192.0.2.7/32"])).toBe(true),
);

test.each(["11.0.0.1", "::ffff:11.0.0.1", "fe00::1", "192.0.2.8", "proxy.example", "", "10.0.0.0/8"])(
  "%j is of none of the networks",
  (host) => expect(isInNetworks(host, ["10.0.0.0/8", "fd00::/8", undefined, "192.0.2.7/32"])).toBe(false),
);

test("no network holds anybody", () => {
  expect(isInNetworks("10.0.0.1", [])).toBe(false);
});
