import type { AccessId } from "../../core/ids.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { AccessSecret } from "../../crypto/access-secret.ts";
import { loginAccessIds, type Login } from "../../crypto/passphrase.ts";
import { openSessionSecret, sealSessionSecret } from "../../crypto/session-secret.ts";
import {
  formatToken,
  formatTokenId,
  isSameVerifier,
  newToken,
  parseToken,
  type Token,
  verifierOf,
} from "../../crypto/token.ts";
import type { PersonSession } from "../call.ts";

const sessionsMax = 10_000;
const sessionsOfPersonMax = 20;
const idleMsMax = 30 * 60_000;
const ageMsMax = 12 * 3_600_000;

type Instant = { readonly wallMs: number; readonly monotonicMs: number };

type Session = {
  readonly id: string;
  readonly login: Login;
  readonly verifier: Uint8Array;
  /** The person's secret, for any of the login's accesses, sealed under what the session's token gives. */
  readonly sealed: Uint8Array;
  readonly begun: Instant;
  used: Instant;
};

/** Until when a session lasts: wall clock, milliseconds since 1970. */
export type SessionTimes = { readonly idleExpiresAt: number; readonly expiresAt: number };

/**
 * The people who are logged in at this site, in memory only: a restart ends every session. One that is not used for 30 minutes or
 * is 12 hours old has ended, which is found out when somebody looks: by either clock, since one stands still while the machine sleeps
 * and the other may be put back. Bounded: the one that was idle longest goes first.
 */
export class Sessions {
  readonly #clock: Pick<Clock, "now" | "monotonicMs">;
  readonly #random: Random;
  /** By the id in the token; the one used last is last. */
  readonly #sessions = new Map<string, Session>();
  /** The same, in the same order, by whose they are. */
  readonly #ofLogin = new Map<Login, Map<string, Session>>();

  constructor({
    clock,
    random,
  }: { readonly clock: Pick<Clock, "now" | "monotonicMs">; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @param secret what the passphrase gives, 32 bytes, which the caller zeroes */
  begin(login: Login, secret: Uint8Array): { readonly id: string; readonly token: string } {
    const token = newToken("session", this.#random);
    const id = formatTokenId(token);
    const now = this.#now();
    const sealed = sealSessionSecret(token, secret);
    this.#dropExpired(now);
    this.#makeRoom(login);
    this.#add({ id, login, verifier: verifierOf(token), sealed, begun: now, used: now });
    return { id, token: formatToken(token) };
  }

  /** The session that a text is the token of, used by this; undefined where there is none, or it has ended. */
  open(text: string): PersonSession | undefined {
    const token = parseToken(text);
    if (token?.kind !== "session") return undefined;
    const found = this.#live(formatTokenId(token));
    if (!isSameVerifier(verifierOf(token), found?.verifier) || found === undefined) return undefined;
    this.#touch(found);
    const { id, login } = found;
    return {
      id,
      login,
      accessIds: loginAccessIds(login),
      secretOf: (accessId) => secretOf(token, found, accessId),
    };
  }

  /** Uses a session whose token was checked before. Returns whether it lasts. */
  use(id: string): boolean {
    const session = this.#live(id);
    if (session === undefined) return false;
    this.#touch(session);
    return true;
  }

  times(id: string): SessionTimes | undefined {
    const session = this.#live(id);
    if (session === undefined) return undefined;
    const expiresAt = session.begun.wallMs + ageMsMax;
    return { idleExpiresAt: Math.min(session.used.wallMs + idleMsMax, expiresAt), expiresAt };
  }

  /** May be repeated. */
  end(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    const own = this.#ofLogin.get(session.login);
    this.#sessions.delete(id);
    own?.delete(id);
    if (own?.size === 0) this.#ofLogin.delete(session.login);
  }

  #add(session: Session): void {
    const own = this.#ofLogin.get(session.login) ?? new Map<string, Session>();
    this.#sessions.set(session.id, session);
    this.#ofLogin.set(session.login, own.set(session.id, session));
  }

  #live(id: string): Session | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined || !isOver(session, this.#now())) return session;
    this.end(id);
    return undefined;
  }

  #touch(session: Session): void {
    session.used = this.#now();
    this.end(session.id);
    this.#add(session);
  }

  /** Whoever was idle longest stands first. */
  #dropExpired(now: Instant): void {
    for (const session of this.#sessions.values()) {
      if (!isOver(session, now)) return;
      this.end(session.id);
    }
  }

  #makeRoom(login: Login): void {
    const own = this.#ofLogin.get(login);
    const full = own !== undefined && own.size >= sessionsOfPersonMax ? own : this.#sessions;
    if (full === this.#sessions && full.size < sessionsMax) return;
    const [oldest] = full.keys();
    if (oldest !== undefined) this.end(oldest);
  }

  #now(): Instant {
    return { wallMs: this.#clock.now(), monotonicMs: this.#clock.monotonicMs() };
  }
}

function secretOf(token: Token, { sealed }: Session, accessId: AccessId): AccessSecret {
  const secret = openSessionSecret(token, sealed, accessId);
  if (secret === undefined) throw new Error("a session's token fits and does not open it");
  return secret;
}

function isOver({ begun, used }: Session, now: Instant): boolean {
  return elapsedMs(begun, now) >= ageMsMax || elapsedMs(used, now) >= idleMsMax;
}

function elapsedMs(from: Instant, to: Instant): number {
  return Math.max(to.wallMs - from.wallMs, to.monotonicMs - from.monotonicMs);
}
