import type { AccessId, VaultId } from "../ids.ts";
import type { StoredRow } from "../row.ts";

/** An access that this site refuses, whatever its row says, and since when. */
export type BlockedAccess = { readonly accessId: AccessId; readonly at: number };

/** What is known of accesses. The deny list is this site's own, and never travels. */
export interface AccessReader {
  /** A token's row by the token's id alone, live or tombstone. */
  find(accessId: AccessId): Promise<StoredRow | undefined>;
  /** A vault's live accesses behind `after` (all where undefined), by id, at most `limit`. Costs what it returns. */
  ofVault(vaultId: VaultId, after: AccessId | undefined, limit: number): Promise<readonly StoredRow[]>;
  /** The live rows of one access in all vaults: a person has one id in each vault that he may open. */
  everywhere(accessId: AccessId): Promise<readonly StoredRow[]>;
  isBlocked(accessId: AccessId): Promise<boolean>;
  blocked(): Promise<readonly BlockedAccess[]>;
}

/** Changes the deny list. */
export interface AccessWriter extends AccessReader {
  /** Refuses an access on this site from now on; one that no row is known of too. Survives a rejoin. May be repeated. */
  block(accessId: AccessId): Promise<void>;
  /** May be repeated. */
  unblock(accessId: AccessId): Promise<void>;
}

/** When accesses were last used on this site. No transaction: it may be lost when the site ends. */
export interface AccessUses {
  /**
   * Notes that an access was used. Never waits and never writes: it is kept in memory, in bounded room, and goes to the disk with
   * the next write of a client.
   */
  note(vaultId: VaultId, accessId: AccessId, at: number): void;
  /** When the accesses of a vault were last used here, as far as it is known. */
  last(vaultId: VaultId): Promise<ReadonlyMap<AccessId, number>>;
}
