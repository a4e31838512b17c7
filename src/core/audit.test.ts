import { expect, test } from "vitest";
import { sha256Hash as hash } from "../../test/support/ports.ts";
import { beginAction, boundedEvent, chainStart, encodeBeginning, nextRecord } from "./audit.ts";
import { toHex } from "./bytes.ts";
import type { ChainId, SiteName } from "./ids.ts";

const chain = "0193a5d0-0000-4000-8000-000000000001" as ChainId;

/** Chains outlive releases: a record's hash is what it is for good, and these are never corrected. */
test("the hashes of a chain's first two records are those of every release", () => {
  const site = "calgary" as SiteName;
  const known = [{ chain, site: "zurich" as SiteName, head: { seq: 7, hash: new Uint8Array(32).fill(1) } }];
  const details = encodeBeginning({ site, known });
  expect(toHex(details)).toBe(
    `0763616c6761727900000001${chain.replaceAll("-", "")}067a75726963680000000000000007${"01".repeat(32)}`,
  );
  const nothing = { vaultId: null, itemId: null, address: null, result: "ok" } as const;
  const first = nextRecord(
    hash,
    { chain, ...chainStart },
    {
      actor: { kind: "machine", id: site },
      action: beginAction,
      ...nothing,
      at: 1_763_856_000_000,
      details,
    },
  );
  const second = nextRecord(hash, first, {
    actor: { kind: "access", id: "0193a5d0-0000-7000-8000-000000000002" },
    action: "getEntry",
    vaultId: "0193a5d0-0000-7000-8000-000000000003",
    itemId: "0193a5d0-0000-7000-8000-000000000004",
    address: "192.0.2.7",
    result: "entry_unknown",
    at: 1_763_856_000_123,
    details: null,
  });
  expect([first, second].map((record) => [record.seq, toHex(record.hash)])).toEqual([
    [1, "d6412d0ad773405eaa879aa1cbab2b6bd1f1083e66c171e70c1a36be153a8dbb"],
    [2, "7ad0212931183d51c8011f978f26e822bc6baa660196291bd793834e843b94b5"],
  ]);
});

test("what cannot be printed, or is long, is cut to what a record may hold", () => {
  const event = boundedEvent({
    actor: { kind: "session", id: "anna\u202e" },
    action: "x".repeat(100),
    vaultId: null,
    itemId: "\n",
    address: null,
    result: "ok",
  });
  expect(event).toMatchObject({ actor: { id: "anna?" }, action: "x".repeat(64), itemId: "?" });
});
