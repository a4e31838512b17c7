import { expect, it } from "vitest";
import { sampleAccess, sampleKeyId, sampleVault } from "../../test/support/row-bodies.ts";
import { type AccessBody, covers, decodeAccess, encodeAccess, scopes } from "./access.ts";
import type { AccessId, KeyId, VaultId } from "./ids.ts";
import type { RowKey, StoredRow } from "./row.ts";
import {
  buryRows,
  createVault,
  decodeVault,
  deleteVault,
  encodeVault,
  renameVault,
  type VaultBody,
  vaultKey,
} from "./vault.ts";

const vaultId = "0190a000-0000-7000-8000-000000000001" as VaultId;
const accessId = "0190a000-0000-7000-8000-000000000009" as AccessId;
const accessKey: RowKey = { kind: "access", vaultId, accessId };
const keyId = "ab".repeat(16) as KeyId;
const vault: VaultBody = {
  ...sampleVault,
  older: [
    { keyId, sealed: Uint8Array.of(1, 2), lastPosition: null },
    { keyId: sampleKeyId, sealed: Uint8Array.of(3), lastPosition: { epoch: 1, seq: 9 } },
  ],
  links: [{ accessId, from: keyId, to: sampleKeyId, sealed: Uint8Array.of(4), mac: Uint8Array.of(5) }],
};
const owner = sampleAccess;
const passphrase = { salt: new Uint8Array(16).fill(7), memoryKiB: 65_536, passes: 3, lanes: 4 };

function row(key: RowKey, body: Uint8Array | null): StoredRow {
  const local = { dirty: false, dirtySince: null, replicatedAt: null };
  return { key, position: { epoch: 1, seq: 3 }, hash: new Uint8Array(32), body, ...local };
}

const vaultRow = row(vaultKey(vaultId), encodeVault(vault));
const accessRow = row(accessKey, encodeAccess(owner));

it("bodies come back as they were", () => {
  expect(decodeVault(encodeVault(vault))).toEqual(vault);
  expect(decodeAccess(encodeAccess(owner))).toEqual(owner);
  const person: AccessBody = { ...owner, kind: "person", passphrase, expiresAt: 7 };
  expect(decodeAccess(encodeAccess(person))).toEqual(person);
});

it("each scope covers itself and those below it", () => {
  const table = scopes.map((scope) => scopes.map((needed) => covers(scope, needed)));
  expect(table).toEqual([
    [true, false, false],
    [true, true, false],
    [true, true, true],
  ]);
});

it("a vault is created together with its first access", () => {
  const changes = createVault(vaultId, vault, [{ accessId, access: owner }]).decide([undefined, undefined]);
  expect(changes.map(({ key }) => key)).toEqual([vaultKey(vaultId), accessKey]);
});

it("a new name is a change that leaves the keys alone, the same name none, and a stale match refused", () => {
  const renamed = renameVault(vaultId, "Work", undefined, 9).decide([vaultRow]);
  expect(renamed[0]?.body && decodeVault(renamed[0].body)).toEqual({
    ...vault,
    name: "Work",
    updatedAt: 9,
  });
  expect(renameVault(vaultId, "Family", undefined, 9).decide([vaultRow])).toEqual([]);
  const stale = renameVault(vaultId, "Work", [{ epoch: 1, seq: 2 }], 9);
  expect(() => stale.decide([vaultRow])).toThrow(expect.objectContaining({ code: "stale_match" }));
});

it("a deletion tombstones the vault and the access that asked, and finds nothing to delete twice", () => {
  const write = deleteVault(vaultId, accessId, undefined);
  expect(write.decide([vaultRow, accessRow])).toEqual([
    { key: vaultKey(vaultId), body: null },
    { key: accessKey, body: null },
  ]);
  expect(() => write.decide([row(vaultKey(vaultId), null), accessRow])).toThrow(
    expect.objectContaining({ code: "vault_unknown" }),
  );
});

it("burying leaves tombstones and absent rows alone", () => {
  expect(buryRows([vaultKey(vaultId), accessKey]).decide([undefined, row(accessKey, null)])).toEqual([]);
  expect(buryRows([accessKey]).decide([accessRow])).toEqual([{ key: accessKey, body: null }]);
});
