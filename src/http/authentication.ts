import { hash } from "node:crypto";
import { covers, decodeAccess } from "../core/access.ts";
import { Refusal } from "../core/errors.ts";
import { type AccessId, isUuid } from "../core/ids.ts";
import { vaultKey } from "../core/vault.ts";
import { formatTokenId, isSameVerifier, parseToken, type Token, verifierOf } from "../crypto/token.ts";
import type { HttpContext, Principal } from "./call.ts";
import type { Caller } from "./route-table.ts";

type Site = Pick<HttpContext, "store" | "edition" | "clock">;

/** What a call asks of its caller. `vaultId` is the path's, as it was sent. */
export type Requirement = { readonly caller: Caller; readonly vaultId: string | undefined };

/** What a site needs of a token to look it up and to check it; its secret is gone. */
type Credential =
  | { readonly kind: "operator"; readonly tokenId: string; readonly verifier: Uint8Array }
  | { readonly kind: "vault"; readonly accessId: AccessId; readonly verifier: Uint8Array };

/** Enough for every client of a busy site. */
const rememberedMax = 1_000;

/** Tells who sends a request. */
export class Authentication {
  readonly #site: Site;
  /**
   * Credentials of tokens that were verified, by the token's SHA-256: deriving a verifier is most of what checking a token
   * costs. They are compared with what is stored each time, so that a revocation counts at once.
   */
  readonly #remembered = new Map<string, Credential>();

  constructor(site: Site) {
    this.#site = site;
  }

  /**
   * Who sends a request, where the call is open to them.
   * @throws Refusal `unauthorized`, always in the same words and for the same work, whether an id is unknown, a secret wrong
   * or an access revoked or expired; `forbidden` or `other_vault` for a valid token; `vault_unknown` for a path that names none
   */
  async authenticate(authorization: string | undefined, requirement: Requirement): Promise<Principal> {
    if (requirement.caller === "anyone") return { kind: "anyone" };
    const text = bearerOf(authorization);
    const isPeer = requirement.caller === "peer" || text.startsWith("dms_");
    const principal = isPeer ? this.#peerBy(text) : await this.#clientBy(text);
    if (principal === undefined) throw new Refusal("unauthorized");
    authorize(principal, requirement);
    return principal;
  }

  #peerBy(text: string): Principal | undefined {
    const peer = this.#site.edition.peerOf(text);
    return peer === undefined ? undefined : { kind: "peer", site: peer };
  }

  async #clientBy(text: string): Promise<Principal | undefined> {
    const digest = hash("sha256", text, "base64");
    const credential = this.#remembered.get(digest) ?? credentialOf(text);
    if (credential === undefined) return undefined;
    const principal = await this.#principalOf(credential);
    if (principal !== undefined) this.#remember(digest, credential);
    return principal;
  }

  #principalOf(credential: Credential): Promise<Principal | undefined> {
    return credential.kind === "operator" ? this.#operator(credential) : this.#access(credential);
  }

  async #operator({
    tokenId,
    verifier,
  }: Extract<Credential, { kind: "operator" }>): Promise<Principal | undefined> {
    const operator = await this.#site.store.operator(tokenId);
    const isVerified = isSameVerifier(verifier, operator?.verifier);
    return isVerified && operator && this.#isValid(operator.expiresAt) ? { kind: "operator" } : undefined;
  }

  async #access({
    accessId,
    verifier,
  }: Extract<Credential, { kind: "vault" }>): Promise<Principal | undefined> {
    const { store } = this.#site;
    const row = await store.access(accessId);
    const access = row?.body ? decodeAccess(row.body) : undefined;
    const isVerified = isSameVerifier(verifier, access && Buffer.from(access.verifier, "hex"));
    if (!isVerified || !access || !row || !this.#isValid(access.expiresAt)) return undefined;
    // A vault's accesses are tombstoned after the vault itself; they end with it all the same.
    const { vaultId } = row.key;
    const vault = await store.row(vaultKey(vaultId));
    return vault?.body ? { kind: "access", vaultId, accessId, scope: access.scope } : undefined;
  }

  #isValid(expiresAt: number | null): boolean {
    return expiresAt === null || expiresAt > this.#site.clock.now();
  }

  #remember(digest: string, credential: Credential): void {
    if (this.#remembered.has(digest)) return;
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
    this.#remembered.set(digest, credential);
  }
}

const bearerPattern = /^Bearer +([\x21-\x7e]{1,200}) *$/i;

function bearerOf(authorization: string | undefined): string {
  return bearerPattern.exec(authorization ?? "")?.[1] ?? "";
}

function credentialOf(text: string): Credential | undefined {
  const token = parseToken(text);
  switch (token?.kind) {
    case "operator":
      return { kind: "operator", tokenId: formatTokenId(token), verifier: verifierOf(token) };
    case "vault":
      return { kind: "vault", accessId: accessIdOf(token), verifier: verifierOf(token) };
    case "peer":
    case undefined:
      return undefined;
  }
}

/** The id of the access that a `dmv_` token is for: the token's id, written as a UUID. */
export function accessIdOf(token: Token): AccessId {
  const id = formatTokenId(token);
  const parts = [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20)];
  return parts.join("-") as AccessId;
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
