import { decodeAccess } from "../../src/core/access.ts";
import { type Epoch, compareEpochs } from "../../src/core/epoch.ts";
import type { SiteName, VaultId } from "../../src/core/ids.ts";
import { formatKey, isIntact, type Row } from "../../src/core/row.ts";
import { readSealedHeader } from "../../src/core/sealed-header.ts";
import type { Site } from "../../src/core/store/site.ts";
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

type Refill = { readonly sinceWallMs: number; readonly epoch: Epoch };

/**
 * Sites that are behind for another reason than that a push is late: a disk was put back to an older copy, or another site was told to
 * know them no more, and has dropped what they need. They are filled batch by batch, each with the vault's row of today in front, and
 * hold what can be opened again when they are proved equal. One that is promoted before that has lost keys for good, and gives what it
 * holds to all others.
 */
export class Refills {
  readonly #refilled = new Map<SiteName, Refill>();
  #isSpread = false;

  begin(site: SiteName, refill: Refill): void {
    this.#refilled.set(site, refill);
  }

  /** Whether what a site holds must be open there now. */
  isWhole({ site, role, epoch, verified }: Site): boolean {
    const refill = this.#refilled.get(site);
    if (refill && role === "primary" && compareEpochs(epoch, refill.epoch) > 0) this.#isSpread = true;
    if (refill && role === "backup" && verified && verified.at > refill.sinceWallMs) {
      this.#refilled.delete(site);
      return !this.#isSpread;
    }
    return !this.#isSpread && (refill === undefined || role === "primary");
  }
}
