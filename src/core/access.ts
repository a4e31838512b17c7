import { fromUtf8, utf8 } from "./bytes.ts";

/** What a token may do in its vault; each scope includes those before it. */
export const scopes = ["read", "write", "owner"] as const;
export type Scope = (typeof scopes)[number];

/** What an access's row holds: everything needed to check a token, and nothing that could be used as one. */
export type AccessBody = {
  readonly kind: "machine";
  readonly name: string;
  readonly scope: Scope;
  /** Derived from the token's secret; lower-case hex. */
  readonly verifier: string;
  /** Wall clock, milliseconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number | null;
};

type AccessWire = Pick<AccessBody, "kind" | "name" | "scope" | "verifier"> & {
  readonly created_at: number;
  readonly expires_at: number | null;
};

/** Whether a scope covers what a call needs. */
export function covers(scope: Scope, needed: Scope): boolean {
  return scopes.indexOf(scope) >= scopes.indexOf(needed);
}

export function encodeAccess(access: AccessBody): Uint8Array {
  const { kind, name, scope, verifier, createdAt, expiresAt } = access;
  const wire: AccessWire = { kind, name, scope, verifier, created_at: createdAt, expires_at: expiresAt };
  return utf8(JSON.stringify(wire));
}

/** @param body of an intact row; anything else is a bug and throws */
export function decodeAccess(body: Uint8Array): AccessBody {
  const wire = JSON.parse(fromUtf8(body)) as AccessWire;
  const { kind, name, scope, verifier, created_at: createdAt, expires_at: expiresAt } = wire;
  return { kind, name, scope, verifier, createdAt, expiresAt };
}
