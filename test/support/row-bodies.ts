import type { AccessBody } from "../../src/core/access.ts";
import { utf8 } from "../../src/core/bytes.ts";
import type { EntryId, KeyId, VaultId } from "../../src/core/ids.ts";
import { encodeSealedHeader } from "../../src/core/sealed-header.ts";
import type { VaultBody } from "../../src/core/vault.ts";

/** Bodies of the form that rows have, for tests that need no more of them: nothing in them is sealed, and nobody can open them. */

export const sampleKeyId = "0123456789abcdef0123456789abcdef" as KeyId;

export const sampleVault: VaultBody = {
  name: "Family",
  createdAt: 1,
  updatedAt: 1,
  keyId: sampleKeyId,
  older: [],
  links: [],
};

export const sampleAccess: AccessBody = {
  kind: "machine",
  name: "owner",
  scope: "owner",
  verifier: new Uint8Array(32).fill(0xab),
  publicKey: new Uint8Array(32).fill(0xcd),
  slot: { keyId: sampleKeyId, sealed: new Uint8Array(60).fill(0xef) },
  mac: new Uint8Array(32).fill(0x12),
  passphrase: null,
  createdAt: 1,
  expiresAt: null,
};

export type SampleOf = {
  readonly vaultId: VaultId;
  readonly entryId: EntryId;
  readonly version: number;
  readonly keyId?: KeyId;
};

/** An entry's body with a header as it would be, and a text behind it. */
export function sampleSealed({ keyId = sampleKeyId, ...of }: SampleOf, text: string): Uint8Array {
  const [header, rest] = [encodeSealedHeader({ ...of, keyId }), utf8(text)];
  const body = new Uint8Array(header.length + rest.length);
  body.set(header);
  body.set(rest, header.length);
  return body;
}
