import { fromHex, fromUtf8, toHex, utf8 } from "./bytes.ts";
import type { KeyId } from "./ids.ts";

/** What an access may do in its vault; each scope includes those before it. */
export const scopes = ["read", "write", "owner"] as const;
export type Scope = (typeof scopes)[number];

/** Whose an access is: a machine has a token, a person a passphrase. */
export const accessKinds = ["machine", "person"] as const;
export type AccessKind = (typeof accessKinds)[number];

/** How a person's secret is made of the passphrase: Argon2id (RFC 9106). */
export type PassphraseParameters = {
  /** 16 bytes. */
  readonly salt: Uint8Array;
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
};

/** What an access's row holds: everything needed to check its secret and to open the vault with it, and nothing without it. */
export type AccessBody = {
  readonly kind: AccessKind;
  readonly name: string;
  readonly scope: Scope;
  /** 32 bytes derived from the secret: checks it. */
  readonly verifier: Uint8Array;
  /** X25519, 32 bytes, derived from the secret: a new vault key can be sealed to it while the access is absent. */
  readonly publicKey: Uint8Array;
  /** The vault key, sealed under what follows from the secret; `keyId` is the id of that vault key. */
  readonly slot: { readonly keyId: KeyId; readonly sealed: Uint8Array };
  /** 32 bytes under a key that follows from the slot's vault key, over what must not be forged (`AccessClaim`). */
  readonly mac: Uint8Array;
  /** Of a person; null of a machine. */
  readonly passphrase: PassphraseParameters | null;
  /** Wall clock, milliseconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number | null;
};

/** Whether a scope covers what a call needs. */
export function covers(scope: Scope, needed: Scope): boolean {
  return scopes.indexOf(scope) >= scopes.indexOf(needed);
}

type AccessWire = {
  readonly kind: AccessKind;
  readonly name: string;
  readonly scope: Scope;
  readonly verifier: string;
  readonly public_key: string;
  readonly slot: { readonly key_id: KeyId; readonly sealed: string };
  readonly mac: string;
  readonly passphrase: {
    readonly salt: string;
    readonly memory_kib: number;
    readonly passes: number;
    readonly lanes: number;
  } | null;
  readonly created_at: number;
  readonly expires_at: number | null;
};

export function encodeAccess(access: AccessBody): Uint8Array {
  const { kind, name, scope, verifier, publicKey, slot, mac, passphrase, createdAt, expiresAt } = access;
  const wire: AccessWire = {
    kind,
    name,
    scope,
    verifier: toHex(verifier),
    public_key: toHex(publicKey),
    slot: { key_id: slot.keyId, sealed: toHex(slot.sealed) },
    mac: toHex(mac),
    passphrase: passphrase && {
      salt: toHex(passphrase.salt),
      memory_kib: passphrase.memoryKiB,
      passes: passphrase.passes,
      lanes: passphrase.lanes,
    },
    created_at: createdAt,
    expires_at: expiresAt,
  };
  return utf8(JSON.stringify(wire));
}

/** @param body of an intact row; anything else is a bug and throws */
export function decodeAccess(body: Uint8Array): AccessBody {
  const wire = JSON.parse(fromUtf8(body)) as AccessWire;
  const { kind, name, scope, created_at: createdAt, expires_at: expiresAt, passphrase } = wire;
  return {
    kind,
    name,
    scope,
    verifier: fromHex(wire.verifier),
    publicKey: fromHex(wire.public_key),
    slot: { keyId: wire.slot.key_id, sealed: fromHex(wire.slot.sealed) },
    mac: fromHex(wire.mac),
    passphrase: passphrase && {
      salt: fromHex(passphrase.salt),
      memoryKiB: passphrase.memory_kib,
      passes: passphrase.passes,
      lanes: passphrase.lanes,
    },
    createdAt,
    expiresAt,
  };
}
