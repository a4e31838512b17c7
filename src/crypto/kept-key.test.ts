import { expect, it } from "vitest";
import { SeededRandom } from "../../test/support/ports.ts";
import { flipped } from "../../test/support/sealing.ts";
import { type EntryId, newUuidV7, type VaultId } from "../core/ids.ts";
import { VaultSeal } from "./entry-seal.ts";
import { keepKey, keptName, openKeptKey } from "./kept-key.ts";
import { formatToken, newToken } from "./token.ts";
import { VaultKey } from "./vault-key.ts";

const random = new SeededRandom(1);
const [vaultId, otherVault] = [newUuidV7(0, random) as VaultId, newUuidV7(1, random) as VaultId];
const entryId = newUuidV7(2, random) as EntryId;
const bearer = formatToken(newToken("vault", random));
const bytes = random.bytes(32);
const key = VaultKey.of(bytes);
const content = {
  type: "note",
  title: "a",
  urls: [],
  tags: [],
  favourite: false,
  fields: [],
  notes: "",
} as const;
const entry = { content, version: 1, createdAt: 0, updatedAt: 0, trashedAt: null };

function sealWith(current: VaultKey): VaultSeal {
  return new VaultSeal({ vaultId, current, older: [], random });
}

it("the token that a vault's key is kept under opens the very key", () => {
  const opened = openKeptKey(bearer, vaultId, keepKey(bearer, vaultId, key));
  if (opened === undefined) throw new Error("the key does not open");
  expect(opened.id).toBe(key.id);
  expect(new Uint8Array(opened.bytes)).toEqual(bytes);
  expect(sealWith(opened).open(entryId, sealWith(key).seal(entryId, entry))).toEqual(entry);
  expect(sealWith(key).open(entryId, sealWith(opened).seal(entryId, entry))).toEqual(entry);
  const memory = opened.bytes;
  opened[Symbol.dispose]();
  expect(new Uint8Array(memory)).toEqual(new Uint8Array(32));
  expect(() => opened.entryKey).toThrow(/disposed/);
});

it("what is kept opens with no other token and for no other vault, and any flipped bit is refused", () => {
  const kept = keepKey(bearer, vaultId, key);
  expect(openKeptKey(formatToken(newToken("vault", random)), vaultId, kept)).toBeUndefined();
  expect(openKeptKey(bearer, otherVault, kept)).toBeUndefined();
  expect(openKeptKey(bearer, vaultId, { ...kept, keyId: VaultKey.of(random.bytes(32)).id })).toBeUndefined();
  for (let bit = 0; bit < kept.sealed.length * 8; bit += 1) {
    expect(openKeptKey(bearer, vaultId, { ...kept, sealed: flipped(kept.sealed, bit) })).toBeUndefined();
  }
});

it("the name under which it is found is another for each token and vault, and is not the key", () => {
  const names = [
    keptName(bearer, vaultId),
    keptName(bearer, otherVault),
    keptName(formatToken(newToken("vault", random)), vaultId),
  ];
  expect(new Set(names).size).toBe(3);
  const kept = keepKey(bearer, vaultId, key);
  const asKey = Buffer.from(names[0] ?? "", "latin1");
  expect(asKey).toHaveLength(32);
  expect(openKeptKey(asKey.toString("latin1"), vaultId, kept)).toBeUndefined();
});
