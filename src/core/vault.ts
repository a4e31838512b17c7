import { fromUtf8, utf8 } from "./bytes.ts";
import { Refusal } from "./errors.ts";
import type { AccessId, VaultId } from "./ids.ts";
import { type AccessBody, encodeAccess } from "./access.ts";
import { isLive, type LiveRow, type RowKey, type StoredRow } from "./row.ts";
import { type RowMatch, requireMatch } from "./row-match.ts";
import type { RowChange, Write } from "./store.ts";

/** What a vault's row holds. Times are wall-clock milliseconds. */
export type VaultBody = { readonly name: string; readonly createdAt: number; readonly updatedAt: number };

export function encodeVault(vault: VaultBody): Uint8Array {
  return utf8(JSON.stringify({ name: vault.name, created_at: vault.createdAt, updated_at: vault.updatedAt }));
}

/** @param body of an intact row; anything else is a bug and throws */
export function decodeVault(body: Uint8Array): VaultBody {
  const wire = JSON.parse(fromUtf8(body)) as { name: string; created_at: number; updated_at: number };
  return { name: wire.name, createdAt: wire.created_at, updatedAt: wire.updated_at };
}

export function vaultKey(vaultId: VaultId): RowKey {
  return { kind: "vault", vaultId };
}

/** A vault's row where the vault is there; refuses where it never was or is deleted. */
export function requireVault(row: StoredRow | undefined): LiveRow {
  if (row === undefined || !isLive(row)) throw new Refusal("vault_unknown");
  return row;
}

/** A new vault with its first access, in one commit: a vault that nobody can open is never seen. */
export function createVault(
  vaultId: VaultId,
  vault: VaultBody,
  accessId: AccessId,
  owner: AccessBody,
): Write {
  const keys: readonly RowKey[] = [vaultKey(vaultId), { kind: "access", vaultId, accessId }];
  const changes = [encodeVault(vault), encodeAccess(owner)];
  return { keys, decide: () => keys.map((key, index) => ({ key, body: changes[index] ?? null })) };
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
