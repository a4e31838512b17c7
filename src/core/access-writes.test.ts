import { describe, expect, it } from "vitest";
import { sampleAccess, sampleKeyId, sampleVault } from "../../test/support/row-bodies.ts";
import { type AccessBody, encodeAccess } from "./access.ts";
import { addAccess, byCaller, changeKey, revokeAccess } from "./access-writes.ts";
import { type ErrorCode, Refusal } from "./errors.ts";
import type { AccessId, KeyId, VaultId } from "./ids.ts";
import type { RowKey, StoredRow } from "./row.ts";
import type { Write } from "./store/rows.ts";
import { accessKey, encodeVault, vaultKey } from "./vault.ts";

const vaultId = "0190a000-0000-7000-8000-000000000001" as VaultId;
const owner = "0190a000-0000-7000-8000-00000000000a" as AccessId;
const other = "0190a000-0000-7000-8000-00000000000b" as AccessId;
const newKeyId = "ff".repeat(16) as KeyId;
const now = 100;

function row(key: RowKey, body: Uint8Array | null, seq = 1): StoredRow {
  const local = { dirty: false, dirtySince: null, replicatedAt: null };
  return { key, position: { epoch: 1, seq }, hash: new Uint8Array(32), body, ...local };
}

const vault = row(vaultKey(vaultId), encodeVault(sampleVault));
const rotated = row(vaultKey(vaultId), encodeVault({ ...sampleVault, keyId: newKeyId }), 2);
const live = (id: AccessId, more: Partial<AccessBody> = {}, seq = 1) =>
  row(accessKey(vaultId, id), encodeAccess({ ...sampleAccess, ...more }), seq);
const gone = (id: AccessId) => row(accessKey(vaultId, id), null, 2);
const seen = (id: AccessId, isUsable = true) => ({
  accessId: id,
  position: { epoch: 1, seq: 1 },
  isUsable,
});

function codeOf(write: Write, ...current: (StoredRow | undefined)[]): ErrorCode | undefined {
  try {
    write.decide(current);
    return undefined;
  } catch (error) {
    return error instanceof Refusal ? error.code : "internal";
  }
}

describe("a write as somebody's", () => {
  const change = { key: vaultKey(vaultId), body: new Uint8Array(1) };
  const write: Write = { keys: [vaultKey(vaultId)], decide: () => [change] };
  const nothing: Write = { keys: [], decide: () => [] };
  const caller = { vaultId, accessId: owner, now, renewal: undefined };
  const renewal = {
    accessId: owner,
    position: { epoch: 1, seq: 1 },
    keyId: newKeyId,
    access: { ...sampleAccess, slot: { keyId: newKeyId, sealed: new Uint8Array(60) } },
  };

  it("is made while the access is there, and refused once it is revoked, expired or gone", () => {
    expect(byCaller(write, caller).decide([vault, vault, live(owner)])).toEqual([change]);
    expect(codeOf(byCaller(write, caller), vault, vault, gone(owner))).toBe("unauthorized");
    expect(codeOf(byCaller(write, caller), vault, vault, undefined)).toBe("unauthorized");
    expect(codeOf(byCaller(write, caller), vault, vault, live(owner, { expiresAt: now }))).toBe(
      "unauthorized",
    );
    expect(
      codeOf(byCaller(write, caller), vault, vault, live(owner, { expiresAt: now + 1 })),
    ).toBeUndefined();
  });

  it("takes a slot of the current key along, where the access was absent and it changes anything", () => {
    const renewing = byCaller(write, { ...caller, renewal });
    const own = { key: accessKey(vaultId, owner), body: encodeAccess(renewal.access) };
    expect(renewing.decide([rotated, rotated, live(owner)])).toEqual([own, change]);
    expect(byCaller(nothing, { ...caller, renewal }).decide([rotated, live(owner)])).toEqual([]);
    // Of another key by now, or renewed already by another request.
    expect(renewing.decide([vault, vault, live(owner)])).toEqual([change]);
    expect(renewing.decide([rotated, rotated, live(owner, {}, 2)])).toEqual([change]);
  });
});

describe("a revocation", () => {
  const revoke = (id: AccessId, isOtherUsable = true) =>
    revokeAccess(vaultId, id, [seen(owner), seen(other, isOtherUsable)]);

  it("ends an access, and never the last owner who can open the vault for good", () => {
    const tombstone = { key: accessKey(vaultId, owner), body: null };
    expect(revoke(owner).decide([vault, live(owner), live(other)])).toEqual([tombstone]);
    expect(codeOf(revoke(owner), vault, live(owner), live(other, { scope: "write" }))).toBe("last_owner");
    expect(codeOf(revoke(owner), vault, live(owner), live(other, { expiresAt: 1e15 }))).toBe("last_owner");
    expect(codeOf(revoke(owner, false), vault, live(owner), live(other))).toBe("last_owner");
    expect(codeOf(revoke(other, false), vault, live(owner), live(other))).toBeUndefined();
  });

  it("is prepared anew where an access was changed or ended meanwhile", () => {
    expect(codeOf(revoke(owner), vault, live(owner), live(other, {}, 2))).toBe("write_raced");
    expect(codeOf(revoke(owner), vault, live(owner), gone(other))).toBe("write_raced");
    expect(codeOf(revokeAccess(vaultId, other, [seen(owner)]), vault, live(owner))).toBe("access_unknown");
  });
});

describe("a change of the key", () => {
  const change = changeKey({
    vaultId,
    at: { epoch: 1, seq: 1 },
    seen: [seen(owner), seen(other)],
    revoked: other,
    vault: { ...sampleVault, keyId: newKeyId },
    own: { accessId: owner, access: sampleAccess },
  });

  it("ends the access first and changes the vault's row last", () => {
    expect(change.decide([vault, live(owner), live(other)]).map(({ key }) => key)).toEqual([
      accessKey(vaultId, other),
      accessKey(vaultId, owner),
      vaultKey(vaultId),
    ]);
  });

  it("is prepared anew where the vault was changed meanwhile, by a new access too", () => {
    const added = addAccess(vaultId, { accessId: other, access: sampleAccess }, sampleKeyId, now);
    expect(added.decide([vault, undefined]).map(({ key }) => key)).toContainEqual(vaultKey(vaultId));
    expect(codeOf(change, rotated, live(owner), live(other))).toBe("write_raced");
  });
});

it("an access is added under the key that its slot holds, and never where one was revoked", () => {
  const add = addAccess(vaultId, { accessId: other, access: sampleAccess }, sampleKeyId, now);
  expect(codeOf(add, rotated, undefined)).toBe("write_raced");
  expect(codeOf(add, vault, live(other))).toBe("access_exists");
  expect(codeOf(add, vault, gone(other))).toBe("access_exists");
});
