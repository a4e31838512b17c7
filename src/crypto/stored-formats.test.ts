import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type AccessKind, decodeAccess, encodeAccess, type Scope } from "../core/access.ts";
import { fromHex, fromUtf8, toHex, utf8 } from "../core/bytes.ts";
import type { Entry, EntryContent } from "../core/entry.ts";
import type { AccessId, EntryId, KeyId, VaultId } from "../core/ids.ts";
import { decodeVault, encodeVault } from "../core/vault.ts";
import { AccessSecret } from "./access-secret.ts";
import { VaultSeal } from "./entry-seal.ts";
import { formatToken, parseToken, verifierOf } from "./token.ts";
import { VaultKey } from "./vault-key.ts";

type Vectors = {
  readonly vault_id: VaultId;
  readonly access_id: AccessId;
  readonly entry_id: EntryId;
  readonly token: { secret: string; text: string; verifier: string; public_key: string };
  readonly first_key: { key: string; key_id: KeyId };
  readonly second_key: { key: string; key_id: KeyId };
  readonly slot_of_first: string;
  readonly first_under_second: string;
  readonly link_from_first_to_second: string;
  readonly access_macs_under_first: readonly {
    kind: AccessKind;
    scope: Scope;
    expires_at: number | null;
    mac: string;
  }[];
  readonly entry: {
    content: EntryContent;
    version: number;
    created_at: number;
    updated_at: number;
    trashed_at: number | null;
    nonce: string;
    sealed_under_second: string;
  };
  readonly access_rows: readonly string[];
  readonly vault_rows: readonly string[];
};

/**
 * What sites have on their disks. A test here that fails means that a site of today cannot read what one of yesterday wrote: the
 * file is never corrected, a new format is added beside it.
 */
const file = readFileSync(new URL("../../test/vectors/stored-formats.json", import.meta.url), "utf8");
const vectors = JSON.parse(file) as Vectors;
const { vault_id: vaultId, access_id: accessId, entry_id: entryId } = vectors;

const noBytes = new Uint8Array();

function tokenOf(text: string) {
  const token = parseToken(text);
  if (token === undefined) throw new Error("the vector is no token");
  return token;
}

const token = tokenOf(vectors.token.text);
const secret = AccessSecret.ofToken(token);
const first = VaultKey.of(fromHex(vectors.first_key.key));
const second = VaultKey.of(fromHex(vectors.second_key.key));

describe("a token", () => {
  it("has the id of its access, its secret and its verifier", () => {
    expect(formatToken({ kind: "vault", id: token.id, secret: fromHex(vectors.token.secret) })).toBe(
      vectors.token.text,
    );
    expect(secret.accessId).toBe(accessId);
    expect(toHex(verifierOf(token))).toBe(vectors.token.verifier);
    expect(toHex(secret.verifier())).toBe(vectors.token.verifier);
  });

  it("has its public key", async () => {
    expect(toHex(await secret.publicKey())).toBe(vectors.token.public_key);
  });
});

describe("a vault key", () => {
  it("has its id", () => {
    expect(first.id).toBe(vectors.first_key.key_id);
    expect(second.id).toBe(vectors.second_key.key_id);
  });

  it("opens from a slot", () => {
    using key = secret.openSlot(fromHex(vectors.slot_of_first), vaultId, first.id);
    expect(toHex(key?.bytes ?? noBytes)).toBe(vectors.first_key.key);
  });

  it("of before opens with the one of now", () => {
    using key = second.openOlder(fromHex(vectors.first_under_second), vaultId, first.id);
    expect(toHex(key.bytes)).toBe(vectors.first_key.key);
  });

  it("opens by a link from the one of before", async () => {
    const link = { from: first, to: second.id, sealed: fromHex(vectors.link_from_first_to_second) };
    using key = await secret.followLink(link, vaultId);
    expect(toHex(key?.bytes ?? noBytes)).toBe(vectors.second_key.key);
  });
});

describe("an access", () => {
  it.each(vectors.access_macs_under_first)("has its MAC: $kind, $scope", ({ kind, scope, ...rest }) => {
    const publicKey = fromHex(vectors.token.public_key);
    const claim = { vaultId, accessId, kind, scope, expiresAt: rest.expires_at, publicKey };
    expect(toHex(first.accessMac(claim))).toBe(rest.mac);
  });
});

describe("a sealed entry", () => {
  const { content, version, created_at: createdAt, updated_at: updatedAt, nonce } = vectors.entry;
  const entry: Entry = { content, version, createdAt, updatedAt, trashedAt: vectors.entry.trashed_at };
  const random = { bytes: () => fromHex(nonce), fraction: () => 0 };
  const seal = new VaultSeal({ vaultId, current: second, older: [first], random });

  it("is these bytes, with this nonce", () => {
    expect(toHex(seal.seal(entryId, entry))).toBe(vectors.entry.sealed_under_second);
  });

  it("opens", () => {
    expect(seal.open(entryId, fromHex(vectors.entry.sealed_under_second))).toEqual(entry);
  });
});

describe("a row", () => {
  it.each(vectors.access_rows)("of an access is read and written as it stands (%#)", (text) => {
    expect(fromUtf8(encodeAccess(decodeAccess(utf8(text))))).toBe(text);
  });

  it.each(vectors.vault_rows)("of a vault is read and written as it stands (%#)", (text) => {
    expect(fromUtf8(encodeVault(decodeVault(utf8(text))))).toBe(text);
  });

  it("of an access names what the vectors above are", () => {
    const [row = ""] = vectors.access_rows;
    const access = decodeAccess(utf8(row));
    expect(toHex(access.verifier)).toBe(vectors.token.verifier);
    expect(toHex(access.publicKey)).toBe(vectors.token.public_key);
    expect(access.slot).toEqual({ keyId: first.id, sealed: fromHex(vectors.slot_of_first) });
    expect(access.passphrase).toBeNull();
  });

  it("of a person keeps how the secret follows from the passphrase", () => {
    const access = decodeAccess(utf8(vectors.access_rows[1] ?? ""));
    expect(access.passphrase).toEqual({
      salt: Uint8Array.from({ length: 16 }, (_, index) => 0x80 + index),
      memoryKiB: 65_536,
      passes: 3,
      lanes: 4,
    });
    expect(access.expiresAt).toBe(1_795_000_000_123);
  });

  it("of a vault keeps its older keys and its links", () => {
    const vault = decodeVault(utf8(vectors.vault_rows[1] ?? ""));
    expect(vault.keyId).toBe(second.id);
    expect(vault.older).toEqual([
      {
        keyId: first.id,
        sealed: fromHex(vectors.first_under_second),
        lastPosition: { epoch: 3, seq: 41 },
      },
    ]);
    expect(vault.links.map(({ accessId: of, from, to }) => [of, from, to])).toEqual([
      [accessId, first.id, second.id],
    ]);
    expect(toHex(vault.links[0]?.sealed ?? noBytes)).toBe(vectors.link_from_first_to_second);
  });
});
