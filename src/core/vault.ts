import { fromHex, fromUtf8, toHex, utf8 } from "./bytes.ts";
import { Refusal } from "./errors.ts";
import type { AccessId, KeyId, VaultId } from "./ids.ts";
import { type AccessBody, encodeAccess } from "./access.ts";
import { formatPosition, parsePosition, type Position } from "./position.ts";
import { isLive, type LiveRow, type RowKey, type StoredRow } from "./row.ts";
import { type RowMatch, requireMatch } from "./row-match.ts";
import type { RowChange, Write } from "./store/rows.ts";

/** A vault key of before, which rows may still be sealed under: itself sealed under the current one. */
export type OlderKey = {
  readonly keyId: KeyId;
  readonly sealed: Uint8Array;
  /** Of the last row that was sealed anew; null while rows under this key are left. */
  readonly lastPosition: Position | null;
};

/** How an access that was absent at a rotation comes from the key that it can open to the next. */
export type KeyLink = {
  readonly accessId: AccessId;
  readonly from: KeyId;
  readonly to: KeyId;
  /** The key `to`, sealed to the access's public key (HPKE) by one who knew the key `from`. */
  readonly sealed: Uint8Array;
  /** What the access's row carries for the key `from`, under the key `to`. */
  readonly mac: Uint8Array;
};

/** What a vault's row holds. Times are wall-clock milliseconds. */
export type VaultBody = {
  readonly name: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Of the current vault key. */
  readonly keyId: KeyId;
  readonly older: readonly OlderKey[];
  readonly links: readonly KeyLink[];
};

type VaultWire = {
  readonly name: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly key_id: KeyId;
  readonly older: readonly { key_id: KeyId; sealed: string; last_position: string | null }[];
  readonly links: readonly { access_id: AccessId; from: KeyId; to: KeyId; sealed: string; mac: string }[];
};

export function encodeVault(vault: VaultBody): Uint8Array {
  const wire: VaultWire = {
    name: vault.name,
    created_at: vault.createdAt,
    updated_at: vault.updatedAt,
    key_id: vault.keyId,
    older: vault.older.map(({ keyId, sealed, lastPosition }) => ({
      key_id: keyId,
      sealed: toHex(sealed),
      last_position: lastPosition && formatPosition(lastPosition),
    })),
    links: vault.links.map(({ accessId, from, to, sealed, mac }) => ({
      access_id: accessId,
      from,
      to,
      sealed: toHex(sealed),
      mac: toHex(mac),
    })),
  };
  return utf8(JSON.stringify(wire));
}

/** @param body of an intact row; anything else is a bug and throws */
export function decodeVault(body: Uint8Array): VaultBody {
  const wire = JSON.parse(fromUtf8(body)) as VaultWire;
  return {
    name: wire.name,
    createdAt: wire.created_at,
    updatedAt: wire.updated_at,
    keyId: wire.key_id,
    older: wire.older.map(({ key_id: keyId, sealed, last_position: last }) => ({
      keyId,
      sealed: fromHex(sealed),
      lastPosition: (last === null ? undefined : parsePosition(last)) ?? null,
    })),
    links: wire.links.map(({ access_id: accessId, from, to, sealed, mac }) => ({
      accessId,
      from,
      to,
      sealed: fromHex(sealed),
      mac: fromHex(mac),
    })),
  };
}

export function vaultKey(vaultId: VaultId): RowKey {
  return { kind: "vault", vaultId };
}

/** A vault's row where the vault is there; refuses where it never was or is deleted. */
export function requireVault(row: StoredRow | undefined): LiveRow {
  if (row === undefined || !isLive(row)) throw new Refusal("vault_unknown");
  return row;
}

/**
 * What a vault's row holds, where its key is still the one that the caller has opened.
 * @param keyId undefined where the write needs no key
 * @throws Refusal `vault_unknown`; `write_raced` where the key was changed since
 */
export function requireKey(row: StoredRow | undefined, keyId: KeyId | undefined): VaultBody {
  const vault = decodeVault(requireVault(row).body);
  if (keyId !== undefined && vault.keyId !== keyId) throw new Refusal("write_raced");
  return vault;
}

export function accessKey(vaultId: VaultId, accessId: AccessId): RowKey {
  return { kind: "access", vaultId, accessId };
}

/** An access that is to be made. */
export type NewAccess = { readonly accessId: AccessId; readonly access: AccessBody };

/** A new vault with its first accesses, in one commit: a vault that nobody can open is never seen. */
export function createVault(vaultId: VaultId, vault: VaultBody, owners: readonly NewAccess[]): Write {
  const changes = [
    { key: vaultKey(vaultId), body: encodeVault(vault) },
    ...owners.map(({ accessId, access }) => ({
      key: accessKey(vaultId, accessId),
      body: encodeAccess(access),
    })),
  ];
  return { keys: changes.map(({ key }) => key), decide: () => changes };
}

/** Renames a vault. The name it has already changes nothing. */
export function renameVault(vaultId: VaultId, name: string, match: RowMatch | undefined, now: number): Write {
  const key = vaultKey(vaultId);
  return {
    keys: [key],
    decide: ([current]) => {
      const row = requireVault(current);
      requireMatch(row, match);
      const vault = decodeVault(row.body);
      return vault.name === name ? [] : [{ key, body: encodeVault({ ...vault, name, updatedAt: now }) }];
    },
  };
}

/**
 * The first step of a vault's deletion: from its commit on the vault is unknown to everybody, and no entry can be added.
 * What is left of it is what the store lists as orphans.
 */
export function deleteVault(vaultId: VaultId, accessId: AccessId, match: RowMatch | undefined): Write {
  const keys: readonly RowKey[] = [vaultKey(vaultId), { kind: "access", vaultId, accessId }];
  return {
    keys,
    decide: (current) => {
      requireMatch(requireVault(current[0]), match);
      return tombstonesOfLive(keys, current);
    },
  };
}

/** Tombstones for those of the rows that are live; the others are left as they are, so that it may be repeated. */
export function buryRows(keys: readonly RowKey[]): Write {
  return { keys, decide: (current) => tombstonesOfLive(keys, current) };
}

function tombstonesOfLive(
  keys: readonly RowKey[],
  current: readonly (StoredRow | undefined)[],
): readonly RowChange[] {
  const isThere = (row: StoredRow | undefined) => row !== undefined && isLive(row);
  return keys.filter((_, index) => isThere(current[index])).map((key) => ({ key, body: null }));
}
