import { type AccessBody, decodeAccess } from "../core/access.ts";
import type { SeenAccess } from "../core/access-writes.ts";
import type { AccessId, VaultId } from "../core/ids.ts";
import { isLive, type LiveRow } from "../core/row.ts";
import type { Reads } from "../core/store/store.ts";
import { isSameMac } from "../crypto/vault-key.ts";
import type { AccessState } from "../protocol/answers.ts";
import { macOf, type OpenVault } from "./vault-opening.ts";

/** A live access of a vault, and its row. */
export type ListedAccess = {
  readonly accessId: AccessId;
  readonly access: AccessBody;
  readonly row: LiveRow;
};

const pageRows = 200;

/** Every live access of a vault, by id. */
export async function readAccesses(
  store: Reads<"accesses">,
  vaultId: VaultId,
): Promise<readonly ListedAccess[]> {
  const accesses: ListedAccess[] = [];
  for (;;) {
    const rows = await store.read((r) => r.accesses.ofVault(vaultId, accesses.at(-1)?.accessId, pageRows));
    for (const row of rows) {
      if (row.key.kind !== "access" || !isLive(row)) throw new Error("a list of accesses holds another row");
      accesses.push({ accessId: row.key.accessId, access: decodeAccess(row.body), row });
    }
    if (rows.length < pageRows) return accesses;
  }
}

/** Whether an access opens the vault's current key, and whether its row is what somebody with that key has made. */
export function stateOf({ key, vault, vaultId }: OpenVault, { accessId, access }: ListedAccess): AccessState {
  const mac = macOf(accessId, access, vault);
  if (mac === undefined) return "ended";
  const { kind, scope, expiresAt, publicKey } = access;
  if (!isSameMac(key.accessMac({ vaultId, accessId, kind, scope, expiresAt, publicKey }), mac))
    return "forged";
  return access.slot.keyId === vault.keyId ? "direct" : "linked";
}

/** Whether an access opens the vault. */
export function isUsable(open: OpenVault, access: ListedAccess): boolean {
  const state = stateOf(open, access);
  return state === "direct" || state === "linked";
}

/** Every access as a change finds it, to be compared when it is committed. */
export function seenOf(open: OpenVault, accesses: readonly ListedAccess[]): readonly SeenAccess[] {
  return accesses.map((each) => ({
    accessId: each.accessId,
    position: each.row.position,
    isUsable: isUsable(open, each),
  }));
}
