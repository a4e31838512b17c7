import { covers, decodeAccess } from "../core/access.ts";
import { Refusal } from "../core/errors.ts";
import { type AccessId, isUuid } from "../core/ids.ts";
import { vaultKey } from "../core/vault.ts";
import { formatTokenId, isVerifiedBy, parseToken, type Token } from "../crypto/token.ts";
import type { HttpContext, Principal } from "./call.ts";
import type { Caller } from "./route-table.ts";

type Site = Pick<HttpContext, "store" | "edition" | "clock">;

/** What a call asks of its caller. `vaultId` is the path's, as it was sent. */
export type Requirement = { readonly caller: Caller; readonly vaultId: string | undefined };

/**
 * Who sends a request, where the call is open to them.
 * @throws Refusal `unauthorized`, always in the same words and for the same work, whether an id is unknown, a secret wrong or
 * an access revoked or expired; `forbidden` or `other_vault` for a valid token; `vault_unknown` for a path that names none
 */
export async function authenticate(
  site: Site,
  authorization: string | undefined,
  requirement: Requirement,
): Promise<Principal> {
  if (requirement.caller === "anyone") return { kind: "anyone" };
  const text = bearerOf(authorization);
  const principal = requirement.caller === "peer" ? peerBy(site, text) : await principalBy(site, text);
  if (principal === undefined) throw new Refusal("unauthorized");
  authorize(principal, requirement);
  return principal;
}

const bearerPattern = /^Bearer +([\x21-\x7e]{1,200}) *$/i;

function bearerOf(authorization: string | undefined): string {
  return bearerPattern.exec(authorization ?? "")?.[1] ?? "";
}

function peerBy(site: Site, text: string): Principal | undefined {
  const peer = site.edition.peerOf(text);
  return peer === undefined ? undefined : { kind: "peer", site: peer };
}

async function principalBy(site: Site, text: string): Promise<Principal | undefined> {
  const token = parseToken(text);
  switch (token?.kind) {
    case undefined:
      return undefined;
    case "operator":
      return await operatorBy(site, token);
    case "vault":
      return await accessBy(site, token);
    case "peer":
      return peerBy(site, text);
  }
}

async function operatorBy({ store, clock }: Site, token: Token): Promise<Principal | undefined> {
  const operator = await store.operator(formatTokenId(token));
  if (!isVerifiedBy(token, operator?.verifier)) return undefined;
  return operator === undefined || isExpired(operator.expiresAt, clock.now())
    ? undefined
    : { kind: "operator" };
}

async function accessBy({ store, clock }: Site, token: Token): Promise<Principal | undefined> {
  const row = await store.access(accessIdOf(token));
  const access = row?.body ? decodeAccess(row.body) : undefined;
  const isVerified = isVerifiedBy(token, access && Buffer.from(access.verifier, "hex"));
  if (!isVerified || access === undefined || row?.key.kind !== "access") return undefined;
  const { vaultId, accessId } = row.key;
  if (isExpired(access.expiresAt, clock.now())) return undefined;
  // A vault's accesses are tombstoned after the vault itself; they end with it all the same.
  const vault = await store.row(vaultKey(vaultId));
  return vault?.body ? { kind: "access", vaultId, accessId, scope: access.scope } : undefined;
}

function isExpired(expiresAt: number | null, now: number): boolean {
  return expiresAt !== null && expiresAt <= now;
}

/** The id of the access that a `dmv_` token is for: the token's id, written as a UUID. */
export function accessIdOf(token: Token): AccessId {
  return formatTokenId(token).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5") as AccessId;
}

function authorize(principal: Principal, { caller, vaultId }: Requirement): void {
  switch (caller) {
    case "anyone":
      return;
    case "operator":
    case "peer":
      if (principal.kind !== caller)
        throw new Refusal("forbidden", `This call needs the token of ${holders[caller]}.`);
      return;
    case "read":
    case "write":
    case "owner":
      authorizeAccess(principal, caller, vaultId ?? "");
  }
}

const holders = { operator: "an operator", peer: "a peer" } as const;

function authorizeAccess(principal: Principal, needed: "read" | "write" | "owner", vaultId: string): void {
  if (principal.kind !== "access") throw new Refusal("forbidden", "This call needs a token of the vault.");
  if (!isUuid(vaultId)) throw new Refusal("vault_unknown");
  if (principal.vaultId !== vaultId) throw new Refusal("other_vault");
  if (!covers(principal.scope, needed)) {
    throw new Refusal("forbidden", `This call needs a token of scope ${needed}.`);
  }
}
