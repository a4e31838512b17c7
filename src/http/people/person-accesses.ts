import { type AccessBody, decodeAccess } from "../../core/access.ts";
import type { AccessId, VaultId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import { isLive, type StoredRow } from "../../core/row.ts";
import type { Reads } from "../../core/store/store.ts";
import { decodeVault, vaultKey } from "../../core/vault.ts";
import { type Login, loginAccessIds } from "../../crypto/passphrase.ts";

/** One of a person's ways into a vault, which has not ended here in any way. */
export type PersonAccess = {
  readonly vaultId: VaultId;
  readonly vaultName: string;
  readonly accessId: AccessId;
  readonly access: AccessBody;
};

export type PersonStore = Reads<"accesses" | "rows">;
type Site = { readonly store: PersonStore; readonly clock: Pick<Clock, "now"> };

/** The accesses that a person has at this site, oldest first; none for one who is not there. */
export async function personAccesses(
  site: Site,
  accessIds: readonly AccessId[],
): Promise<readonly PersonAccess[]> {
  const found: PersonAccess[] = [];
  for (const accessId of accessIds) {
    const rows = await site.store.read((r) => r.accesses.everywhere(accessId));
    if (rows.length === 0 || (await site.store.read((r) => r.accesses.isBlocked(accessId)))) continue;
    for (const row of rows) found.push(...(await openAccess(site, row)));
  }
  return found.toSorted((a, b) => a.access.createdAt - b.access.createdAt);
}

/** As `personAccesses`, by the login. */
export function accessesOfLogin(site: Site, login: Login): Promise<readonly PersonAccess[]> {
  return personAccesses(site, loginAccessIds(login));
}

/** A vault's accesses are tombstoned after the vault itself; they end with it all the same. */
async function openAccess(
  { store, clock }: Site,
  { key, body }: StoredRow,
): Promise<readonly PersonAccess[]> {
  if (key.kind !== "access" || body === null) return [];
  const access = decodeAccess(body);
  const isOver = access.expiresAt !== null && access.expiresAt <= clock.now();
  const vault = await store.read((r) => r.rows.row(vaultKey(key.vaultId)));
  if (access.kind !== "person" || isOver || vault === undefined || !isLive(vault)) return [];
  const { name: vaultName } = decodeVault(vault.body);
  return [{ vaultId: key.vaultId, vaultName, accessId: key.accessId, access }];
}
