import { fromHex, setU64be, toHex } from "./bytes.ts";
import { type EntryId, formatUuid, type KeyId, uuidBytes, type VaultId } from "./ids.ts";

/**
 * What stands readable in front of every sealed entry, and is its associated data as it stands there: nobody who has no key can
 * change it, and everybody can see to which entry, version and key a body belongs.
 */
export type SealedHeader = {
  readonly vaultId: VaultId;
  readonly entryId: EntryId;
  readonly version: number;
  readonly keyId: KeyId;
};

/** u8 format, vault 16, entry 16, u64be version, key id 16, u8 flags. */
export const sealedHeaderBytes = 58;
const sealedFormat = 1;

const entryAt = 17;
const versionAt = 33;
const keyAt = 41;
const flagsAt = 57;

export function encodeSealedHeader({ vaultId, entryId, version, keyId }: SealedHeader): Uint8Array {
  const bytes = new Uint8Array(sealedHeaderBytes);
  bytes[0] = sealedFormat;
  bytes.set(uuidBytes(vaultId), 1);
  bytes.set(uuidBytes(entryId), entryAt);
  setU64be(new DataView(bytes.buffer), versionAt, version);
  bytes.set(fromHex(keyId), keyAt);
  bytes[flagsAt] = 0;
  return bytes;
}

/** The header of a sealed body; undefined where it is too short for one, or of a format or with flags that are unknown. */
export function readSealedHeader(body: Uint8Array): SealedHeader | undefined {
  if (body.length < sealedHeaderBytes || body[0] !== sealedFormat || body[flagsAt] !== 0) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, sealedHeaderBytes);
  return {
    vaultId: formatUuid(body.subarray(1, entryAt)) as VaultId,
    entryId: formatUuid(body.subarray(entryAt, versionAt)) as EntryId,
    version: view.getUint32(versionAt) * 2 ** 32 + view.getUint32(versionAt + 4),
    keyId: toHex(body.subarray(keyAt, flagsAt)) as KeyId,
  };
}
