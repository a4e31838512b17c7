import { decodeAccess } from "../../src/core/access.ts";
import type { SiteName, VaultId } from "../../src/core/ids.ts";
import { formatKey, isIntact, type Row } from "../../src/core/row.ts";
import { readSealedHeader } from "../../src/core/sealed-header.ts";
import { decodeVault, type VaultBody } from "../../src/core/vault.ts";
import { sha256Hash } from "../support/ports.ts";
import { hasWay } from "./vault-keys.ts";

/**
 * What a site holds can be opened there, by everybody whose access was not ended: whatever it has of the vault's rows, it might be
 * promoted now. Returns what cannot.
 * @param rows every live row of the site; those that are damaged prove nothing
 * @param isEnded whether somebody has ended an access, here or elsewhere
 */
export function lockedRows(
  site: SiteName,
  rows: Iterable<Row>,
  isEnded: (key: Row["key"]) => boolean,
): readonly string[] {
  const intact = [...rows].filter((row) => isIntact(sha256Hash, row));
  const vaults = new Map<VaultId, VaultBody>();
  for (const { key, body } of intact)
    if (key.kind === "vault" && body) vaults.set(key.vaultId, decodeVault(body));
  return intact.flatMap(({ key, body }) => {
    const vault = vaults.get(key.vaultId);
    if (!vault || !body) return [];
    if (key.kind === "access" && !hasWay(key.accessId, decodeAccess(body), vault) && !isEnded(key))
      return [`${formatKey(key)} has no way to the key ${vault.keyId} on ${site}`];
    if (key.kind !== "entry" && key.kind !== "version") return [];
    const keyId = readSealedHeader(body)?.keyId;
    const isKnown = keyId === vault.keyId || vault.older.some((older) => older.keyId === keyId);
    return isKnown ? [] : [`${formatKey(key)} is sealed under ${keyId}, which its vault has not on ${site}`];
  });
}
