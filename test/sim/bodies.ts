import { decodeAccess, encodeAccess } from "../../src/core/access.ts";
import { fromUtf8, utf8 } from "../../src/core/bytes.ts";
import { type KeyId, parseVersionId } from "../../src/core/ids.ts";
import type { RowKey } from "../../src/core/row.ts";
import { readSealedHeader } from "../../src/core/sealed-header.ts";
import { decodeVault, encodeVault } from "../../src/core/vault.ts";
import { sampleAccess, sampleKeyId, sampleVault } from "../support/row-bodies.ts";
import { sealText, textBehind } from "./header-seal.ts";

/**
 * What rows hold in the simulator: as much of the real thing as the sites look at, and a text of the simulator's own where a person's
 * words would be. Nothing is sealed: of an entry, only the header is as it would be, and of keys only their ids.
 */

/** What a body takes from where it is written. */
export type BodyPlace = {
  /** Of the vault's current key. */
  readonly keyId?: KeyId;
  /** What stands there now: a vault or an access keeps its keys. */
  readonly current?: Uint8Array | null;
};

/** @param version of an entry */
export function encodeBody(
  key: RowKey,
  text: string,
  version: number,
  { keyId = sampleKeyId, current = null }: BodyPlace = {},
): Uint8Array {
  switch (key.kind) {
    case "vault":
      return encodeVault({ ...(current ? decodeVault(current) : sampleVault), name: text });
    case "access": {
      const fresh = { ...sampleAccess, slot: { keyId, sealed: new Uint8Array(0) } };
      return encodeAccess({ ...(current ? decodeAccess(current) : fresh), name: text });
    }
    case "entry":
      return sealText({ ...key, version, keyId }, text);
    default:
      return utf8(text);
  }
}
/** The text of an intact row's body. */
export function textOf(key: RowKey, body: Uint8Array): string {
  switch (key.kind) {
    case "vault":
      return decodeVault(body).name;
    case "access":
      return decodeAccess(body).name;
    case "entry":
    case "version":
      return textBehind(body);
    default:
      return fromUtf8(body);
  }
}

/** The version of an entry, or of an earlier one, that an intact row's body names. */
export function versionOf(key: RowKey, body: Uint8Array): number {
  const header = readSealedHeader(body);
  if (!header) throw new Error(`${key.kind} ${key.vaultId} holds no header`);
  return header.version;
}

/** The entry that a version is one of. */
export function entryKeyOf({ vaultId, versionId }: RowKey & { readonly kind: "version" }): RowKey {
  return { kind: "entry", vaultId, entryId: parseVersionId(versionId).entryId };
}
