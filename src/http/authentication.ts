import { type AccessKind, covers, decodeAccess, type Scope } from "../core/access.ts";
import type { AuditActor } from "../core/audit.ts";
import { Refusal } from "../core/errors.ts";
import { type AccessId, formatUuid, isUuid, type VaultId } from "../core/ids.ts";
import { isLive, type LiveRow, type StoredRow } from "../core/row.ts";
import { accessKey, vaultKey } from "../core/vault.ts";
import { AccessSecret } from "../crypto/access-secret.ts";
import { formatTokenId, isSameVerifier, parseToken, type Token, verifierOf } from "../crypto/token.ts";
import { actorOf } from "./audit-calls.ts";
import type { AccessPrincipal, HttpContext, Principal } from "./call.ts";
import type { Kept } from "./kept-vaults.ts";
import type { Caller } from "./route-table.ts";
import { isOfRows, openKept, openVault, readVaultRows, VaultSession } from "./vault-opening.ts";

type Site = Pick<HttpContext, "store" | "edition" | "clock" | "random" | "people" | "keptVaults">;

/** What a call asks of its caller. `vaultId` is the path's, as it was sent. */
export type Requirement = { readonly caller: Caller; readonly vaultId: string | undefined };

/**
 * Who may make a call. An access is let in without any key: `enter` opens the vault when the call is about to be handled, and whoever
 * asked disposes the session.
 */
export type Admitted =
  | Exclude<Principal, { kind: "access" }>
  | (Omit<AccessPrincipal, "vault"> & { readonly enter: () => VaultSession; readonly kept: Kept });

type AdmittedAccess = Extract<Admitted, { kind: "access" }>;

/** A token or session that was verified, before it is known whether the call is open to it. */
type Verified =
  | Exclude<Principal, { kind: "access" }>
  /** The access's row was found by its token's id. */
  | { readonly kind: "token"; readonly row: LiveRow; readonly secret: AccessSecret };

/** Tells who sends a request. */
export class Authentication {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /**
   * Who sends a request, where the call is open to them.
   * @throws Refusal `unauthorized`, always in the same words and for the same work, whether an id is unknown, a secret wrong
   * or an access revoked, blocked or expired; `forbidden` or `other_vault` for a valid token; `vault_unknown` for a path that
   * names none; `access_forged`
   * @param onVerified called with whose token or session it is, before it is known whether the call is open to them
   */
  async authenticate(
    authorization: string | undefined,
    { caller, vaultId = "" }: Requirement,
    onVerified: (actor: AuditActor) => void = () => {},
  ): Promise<Admitted> {
    if (caller === "anyone") return { kind: "anyone" };
    const bearer = bearerOf(authorization);
    const needed = isScope(caller) ? caller : undefined;
    const kept = needed && isUuid(vaultId) && (await this.#findKept(bearer, vaultId as VaultId));
    if (needed && kept) {
      const { session, vault } = kept;
      onVerified(session ? { kind: "session", id: session.login } : { kind: "access", id: vault.accessId });
      return requireScope(this.#admit(bearer, kept), needed);
    }
    const isPeer = caller === "peer" || bearer.startsWith("dms_");
    const verified = isPeer ? this.#peerBy(bearer) : await this.#clientBy(bearer);
    if (verified === undefined) throw new Refusal("unauthorized");
    onVerified(actorOf(verified));
    if (!isScope(caller)) return expect(verified, caller);
    return requireScope(this.#admit(bearer, await this.#enter(verified, bearer, vaultId)), caller);
  }

  /** Whether what a call was let in for still holds: the same access, with the same rows. To be asked where a body took its time. */
  stillHolds({ kept }: AdmittedAccess): Promise<boolean> {
    return this.#holds(kept);
  }

  /** A vault that this bearer has opened before, with rows that still are what they were. */
  async #findKept(bearer: string, vaultId: VaultId): Promise<Kept | undefined> {
    const { keptVaults } = this.#site;
    const kept = keptVaults.find(bearer, vaultId);
    if (kept === undefined || (await this.#holds(kept))) return kept;
    keptVaults.forget(vaultId, kept.vault.accessId);
    return undefined;
  }

  async #holds({ vault, session }: Kept): Promise<boolean> {
    const { store, people } = this.#site;
    if (session !== null && !people.sessions.use(session.id)) return false;
    if (
      !this.#isValid(vault.access.expiresAt) ||
      (await store.read((r) => r.accesses.isBlocked(vault.accessId)))
    )
      return false;
    const rows = await readVaultRows(store, vault.vaultId, vault.accessId);
    return rows !== undefined && isOfRows(vault, rows);
  }

  #admit(bearer: string, kept: Kept): AdmittedAccess {
    const { store, clock, random } = this.#site;
    const { vaultId, accessId, access } = kept.vault;
    store.uses.note(vaultId, accessId, clock.now());
    const login = kept.session?.login ?? null;
    const enter = () => {
      const secretOf = () => this.#secretOf(bearer, accessId);
      return new VaultSession({ store, random, clock }, secretOf, openKept(kept.vault, bearer, random));
    };
    return { kind: "access", vaultId, accessId, scope: access.scope, login, kept, enter };
  }

  /** @throws Refusal `unauthorized` where the session has ended since it was let in */
  #secretOf(bearer: string, accessId: AccessId): AccessSecret {
    const token = parseToken(bearer);
    if (token?.kind === "vault") return AccessSecret.ofToken(token);
    const session = this.#site.people.sessions.open(bearer);
    if (session === undefined) throw new Refusal("unauthorized");
    return session.secretOf(accessId);
  }

  #peerBy(text: string): Verified | undefined {
    const peer = this.#site.edition.peerOf(text);
    return peer === undefined ? undefined : { kind: "peer", site: peer };
  }

  async #clientBy(text: string): Promise<Verified | undefined> {
    const token = parseToken(text);
    switch (token?.kind) {
      case "operator":
        return await this.#operatorBy(token);
      case "vault":
        return await this.#accessBy(token);
      case "session": {
        const session = this.#site.people.sessions.open(text);
        return session && { kind: "session", session };
      }
      case "peer":
      case undefined:
        return undefined;
    }
  }

  async #operatorBy(token: Token): Promise<Verified | undefined> {
    const operator = await this.#site.store.read((r) => r.operators.find(formatTokenId(token)));
    const isVerified = isSameVerifier(verifierOf(token), operator?.verifier);
    if (!isVerified || !operator || !this.#isValid(operator.expiresAt)) return undefined;
    return { kind: "operator", tokenId: operator.tokenId };
  }

  async #accessBy(token: Token): Promise<Verified | undefined> {
    const secret = AccessSecret.ofToken(token);
    const row = await this.#site.store.read((r) => r.accesses.find(secret.accessId));
    if (await this.#isGood(row, secret)) return { kind: "token", row: row as LiveRow, secret };
    secret[Symbol.dispose]();
    return undefined;
  }

  /** Whether the secret is this access's, which has not ended here in any way. Asked anew with every request. */
  async #isGood(row: StoredRow | undefined, secret: AccessSecret): Promise<boolean> {
    const access = row && isLive(row) ? decodeAccess(row.body) : undefined;
    const isVerified = isSameVerifier(secret.verifier(), access?.verifier);
    if (!isVerified || !access || !row || !this.#isValid(access.expiresAt)) return false;
    if (await this.#site.store.read((r) => r.accesses.isBlocked(secret.accessId))) return false;
    // A vault's accesses are tombstoned after the vault itself; they end with it all the same.
    const vault = await this.#site.store.read((r) => r.rows.row(vaultKey(row.key.vaultId)));
    return vault !== undefined && isLive(vault);
  }

  #isValid(expiresAt: number | null): boolean {
    return expiresAt === null || expiresAt > this.#site.clock.now();
  }

  /** Opens the vault that a path names, with a token of it or with the session of a person who has an access to it, and keeps it. */
  async #enter(verified: Verified, bearer: string, path: string): Promise<Kept> {
    if (verified.kind !== "token" && verified.kind !== "session") {
      throw new Refusal("forbidden", "This call needs a token of the vault.");
    }
    const { row, secret } = await this.#findAccess(verified, path);
    try {
      const vault = await this.#site.store.read((r) => r.rows.row(vaultKey(row.key.vaultId)));
      if (vault === undefined || !isLive(vault)) throw new Refusal("unauthorized");
      using open = await openVault({ vault, access: row }, secret, this.#site.random);
      if (open?.access.kind !== kindOf[verified.kind]) throw new Refusal("unauthorized");
      const session = verified.kind === "session" ? verified.session : null;
      return this.#site.keptVaults.keep(bearer, open, { vault, access: row }, session);
    } catch (error) {
      this.#tellForgery(error, row);
      throw error;
    } finally {
      secret[Symbol.dispose]();
    }
  }

  async #findAccess(
    verified: Extract<Verified, { kind: "token" | "session" }>,
    path: string,
  ): Promise<{ readonly row: LiveRow; readonly secret: AccessSecret }> {
    const isNamed = isUuid(path);
    if (verified.kind === "token") {
      if (isNamed && verified.row.key.vaultId === path) return verified;
      verified.secret[Symbol.dispose]();
    }
    if (!isNamed) throw new Refusal("vault_unknown");
    const found = verified.kind === "session" && (await this.#accessOf(verified.session, path as VaultId));
    if (!found) throw new Refusal("other_vault");
    return found;
  }

  /** The access of a session's person to this vault; undefined where there is none, or its passphrase is another. */
  async #accessOf(
    { accessIds, secretOf }: Extract<Principal, { kind: "session" }>["session"],
    vaultId: VaultId,
  ): Promise<{ readonly row: LiveRow; readonly secret: AccessSecret } | undefined> {
    for (const accessId of accessIds) {
      const row = await this.#site.store.read((r) => r.rows.row(accessKey(vaultId, accessId)));
      if (!row || !isLive(row)) continue;
      const secret = secretOf(accessId);
      if (await this.#isGood(row, secret)) return { row, secret };
      secret[Symbol.dispose]();
    }
    return undefined;
  }

  #tellForgery(error: unknown, { key }: LiveRow): void {
    if (!(error instanceof Refusal) || error.code !== "access_forged" || key.kind !== "access") return;
    const details = { vault_id: key.vaultId, access_id: key.accessId };
    this.#site.edition.alertOperator(
      "access_forged",
      "An access was changed without the vault's key",
      details,
    );
  }
}

/** Whose an access must be: what a passphrase gives is no token, though it has a token's length. */
const kindOf: Readonly<Record<"token" | "session", AccessKind>> = { token: "machine", session: "person" };

function isScope(caller: Caller): caller is Scope {
  return caller === "read" || caller === "write" || caller === "owner";
}

function requireScope(admitted: AdmittedAccess, needed: Scope): AdmittedAccess {
  if (covers(admitted.scope, needed)) return admitted;
  throw new Refusal("forbidden", `This call needs a token of scope ${needed}.`);
}

/** The principal of a call that is open to one kind of caller. */
function expect(verified: Verified, caller: "operator" | "peer" | "session"): Admitted {
  if (verified.kind === "token") verified.secret[Symbol.dispose]();
  else if (verified.kind === caller) return verified;
  throw new Refusal("forbidden", `This call needs ${holders[caller]}.`);
}

const holders = {
  operator: "the token of an operator",
  peer: "the token of a peer",
  session: "a session",
} as const;

const bearerPattern = /^Bearer +([\x21-\x7e]{1,200}) *$/i;

function bearerOf(authorization: string | undefined): string {
  return bearerPattern.exec(authorization ?? "")?.[1] ?? "";
}

/** The id of the access that a `dmv_` token is for: the token's id, written as a UUID. */
export function accessIdOf(token: Token): AccessId {
  return formatUuid(token.id) as AccessId;
}
