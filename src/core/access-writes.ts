import { decodeAccess, encodeAccess, type AccessBody } from "./access.ts";
import { Refusal } from "./errors.ts";
import type { AccessId, KeyId, VaultId } from "./ids.ts";
import { comparePositions, type Position } from "./position.ts";
import { formatKey, isLive, type StoredRow } from "./row.ts";
import type { Write } from "./store/rows.ts";
import {
  accessKey,
  encodeVault,
  type NewAccess,
  requireKey,
  requireVault,
  vaultKey,
  type VaultBody,
} from "./vault.ts";

/** The decisions on accesses and on the vault's key: each is a write for the store. */

/**
 * Adds an access. The vault's row changes with it, so that a change of the key, which must know every access, finds out.
 * @param keyId of the vault key that the access's slot holds
 * @throws Refusal `access_exists`, also where an access of this id was revoked: what is revoked never comes back
 */
export function addAccess(
  vaultId: VaultId,
  { accessId, access }: NewAccess,
  keyId: KeyId,
  now: number,
): Write {
  const key = accessKey(vaultId, accessId);
  return {
    keys: [vaultKey(vaultId), key],
    decide: ([vaultRow, row]) => {
      const vault = requireKey(vaultRow, keyId);
      if (row !== undefined) throw new Refusal("access_exists");
      return [
        { key, body: encodeAccess(access) },
        { key: vaultKey(vaultId), body: encodeVault({ ...vault, updatedAt: now }) },
      ];
    },
  };
}

/** An access as it was when a change was prepared: where its row stands otherwise by now, the change is prepared anew. */
export type SeenAccess = {
  readonly accessId: AccessId;
  readonly position: Position;
  /** Whether it opens the vault: one that was forged, or that no link leads on for, does not. */
  readonly isUsable: boolean;
};

/**
 * Ends an access, and leaves the vault's key as it is.
 * @param seen every live access of the vault
 * @throws Refusal `access_unknown`, `last_owner`; `write_raced`
 */
export function revokeAccess(vaultId: VaultId, accessId: AccessId, seen: readonly SeenAccess[]): Write {
  return {
    keys: [vaultKey(vaultId), ...seen.map((access) => accessKey(vaultId, access.accessId))],
    decide: ([vault, ...rows]) => {
      requireVault(vault);
      const accesses = requireSeen(seen, rows);
      requireRevocable(accesses, accessId);
      return [{ key: accessKey(vaultId, accessId), body: null }];
    },
  };
}

/** A change of a vault's key, prepared: sealing to those who are absent takes more than a decision may. */
export type KeyChange = {
  readonly vaultId: VaultId;
  /** Where the vault's row stood. */
  readonly at: Position;
  /** Every live access of the vault. */
  readonly seen: readonly SeenAccess[];
  readonly revoked: AccessId | null;
  /** The vault's row with the new key, the older keys sealed under it, and links for everybody who stays. */
  readonly vault: VaultBody;
  /** The access of whoever asked, its slot made anew; null where that is the one that ends. */
  readonly own: NewAccess | null;
};

/**
 * Changes a vault's key, and ends an access with it. The vault's row alone makes everybody who stays able to open the new key
 * (docs/adr/0015), so it is the last to change: a site that is promoted in between has the vault as it was.
 * @throws Refusal `access_unknown`, `last_owner`; `write_raced` where the vault or an access was changed since
 */
export function changeKey({ vaultId, at, seen, revoked, vault, own }: KeyChange): Write {
  return {
    keys: [vaultKey(vaultId), ...seen.map((access) => accessKey(vaultId, access.accessId))],
    decide: ([vaultRow, ...rows]) => {
      if (comparePositions(requireVault(vaultRow).position, at) !== 0) throw new Refusal("write_raced");
      const accesses = requireSeen(seen, rows);
      if (revoked !== null) requireRevocable(accesses, revoked);
      return [
        ...(revoked === null ? [] : [{ key: accessKey(vaultId, revoked), body: null }]),
        ...(own === null ? [] : [{ key: accessKey(vaultId, own.accessId), body: encodeAccess(own.access) }]),
        { key: vaultKey(vaultId), body: encodeVault(vault) },
      ];
    },
  };
}

/** An access that was absent when the key was changed, with a slot that holds the current key. */
export type SlotRenewal = NewAccess & { readonly position: Position; readonly keyId: KeyId };

/** Who makes a write, with an access to its vault. */
export type Caller = {
  readonly vaultId: VaultId;
  readonly accessId: AccessId;
  readonly now: number;
  /** Where the access was absent when the key was changed. */
  readonly renewal: SlotRenewal | undefined;
};

/**
 * A write as somebody's: it is made only while the access is there, since between the check of a token and the commit an owner may
 * have ended it. Where it changes anything at all, it also gives an access that was absent a slot of the current key.
 * @throws Refusal `unauthorized` where the access has ended, beside what the write throws
 */
export function byCaller(write: Write, { vaultId, accessId, now, renewal }: Caller): Write {
  const key = accessKey(vaultId, accessId);
  const count = write.keys.length;
  return {
    ...write,
    keys: [...write.keys, vaultKey(vaultId), key],
    decide: (current) => {
      const [vault, row] = current.slice(count);
      requireAccess(row, now);
      const changes = write.decide(current.slice(0, count));
      const isOwn = changes.some((change) => formatKey(change.key) === formatKey(key));
      if (changes.length === 0 || isOwn || !renewal || !isCurrent(vault, row, renewal)) return changes;
      return [{ key, body: encodeAccess(renewal.access) }, ...changes];
    },
  };
}

function requireAccess(row: StoredRow | undefined, now: number): void {
  const access = row && isLive(row) ? decodeAccess(row.body) : undefined;
  const isOver = access === undefined || (access.expiresAt !== null && access.expiresAt <= now);
  if (isOver) throw new Refusal("unauthorized");
}

function isCurrent(
  vault: StoredRow | undefined,
  row: StoredRow | undefined,
  { keyId, position }: SlotRenewal,
): boolean {
  if (!row || !isLive(row) || comparePositions(row.position, position) !== 0) return false;
  return vault !== undefined && isLive(vault) && requireKey(vault, undefined).keyId === keyId;
}

type Seen = Pick<SeenAccess, "accessId" | "isUsable"> & { readonly access: AccessBody };

function requireSeen(seen: readonly SeenAccess[], rows: readonly (StoredRow | undefined)[]): readonly Seen[] {
  return seen.map(({ accessId, position, isUsable }, index) => {
    const row = rows[index];
    if (!row || !isLive(row) || comparePositions(row.position, position) !== 0) {
      throw new Refusal("write_raced");
    }
    return { accessId, isUsable, access: decodeAccess(row.body) };
  });
}

/** Somebody must be left who can let others in, for good. */
function requireRevocable(accesses: readonly Seen[], accessId: AccessId): void {
  const target = accesses.find((access) => access.accessId === accessId);
  if (target === undefined) throw new Refusal("access_unknown");
  const isLasting = ({ access }: Seen) => access.scope === "owner" && access.expiresAt === null;
  const isLeft = accesses.some((access) => access !== target && access.isUsable && isLasting(access));
  if (isLasting(target) && !isLeft) throw new Refusal("last_owner");
}
