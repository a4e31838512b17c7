import type { Entry } from "./entry.ts";
import type { EntryId, KeyId, VaultId } from "./ids.ts";

/**
 * Turns the entries of one vault into sealed bodies and back, with the keys of that vault. Synchronous, so that the decisions of
 * a write can use it inside of the store's transaction.
 */
export interface EntrySeal {
  readonly vaultId: VaultId;
  /** Of the vault's current key, under which `seal` seals. */
  readonly keyId: KeyId;
  /** A new body each time: its nonce is random. */
  seal(entryId: EntryId, entry: Entry): Uint8Array;
  /** As `seal` does, of what `encodeEntry` has made already. Leaves those bytes as they are. */
  sealEncoded(entryId: EntryId, version: number, encoded: Uint8Array): Uint8Array;
  /**
   * @throws Refusal `sealed_truncated`, `sealed_swapped` for a body of another vault or entry, `sealed_key_unknown`,
   *   `sealed_tampered`; never a part of what was sealed
   */
  open(entryId: EntryId, body: Uint8Array): Entry;
}
