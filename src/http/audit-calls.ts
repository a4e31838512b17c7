import type { FastifyReply, FastifyRequest } from "fastify";
import type { Audit, AuditActor, AuditEvent } from "../core/audit.ts";
import type { AdminCommand } from "../core/edition.ts";
import { isUuid } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import type { HttpContext, Principal } from "./call.ts";
import { addressKey, clientOf, forwardedForOf } from "./people/client-address.ts";
import type { RouteSpec } from "./route-table.ts";

/** A call as the audit sees it. `name`: of the table, or method and path of an edition's. */
export type AuditedRoute = { readonly name: string; readonly spec: RouteSpec };

/**
 * What the audit is to say of a client's write. The handler passes it to the commit, so that the write and its record are on disk or
 * neither is.
 */
export type WriteRecord = {
  readonly event: AuditEvent;
  /** Set by the commit: a write that was answered and never recorded is a bug. */
  isCommitted: boolean;
};

/** Asked again and again by whoever watches a site, and about no vault. */
const unrecorded: ReadonlySet<string> = new Set(["GET /api/replication"]);

/** Calls at which whoever asks becomes known only by what he asks. */
const logins: ReadonlySet<string> = new Set(["createSession"]);

/** @param name of the call */
export function recordOfWrite(
  { isProxy }: Pick<HttpContext, "isProxy">,
  name: string,
  request: FastifyRequest,
): WriteRecord {
  return { event: eventOf(request, name, isProxy, "ok"), isCommitted: false };
}

type Done = (error: Error | null, payload: unknown) => void;

/** What Fastify calls before an answer is sent. */
export type AnswerHook = (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: Done) => void;

/**
 * Records each call of somebody who is known, once its answer is, and before it is sent; of those who are not known, what may be an
 * attempt to get in, so many times.
 */
export function recordAnswers(
  context: Pick<HttpContext, "audit" | "isProxy" | "clock">,
): (route: AuditedRoute) => AnswerHook {
  const failures = new RareFailures(context.clock);
  return ({ name, spec }) =>
    (request, reply, payload, done) => {
      const send = (): void => done(null, payload);
      const result = resultOf(reply, payload);
      if (isUnwanted(spec, name) || (result === "ok" && request.isRecorded)) return send();
      const event = eventOf(request, name, context.isProxy, result);
      if (isWanted(event, failures)) void context.audit.record(event).then(send);
      else send();
    };
}

/** As `recordAnswers`, for calls that record themselves unless they are refused before they begin. */
export function recordRefusals(recordAnswer: ReturnType<typeof recordAnswers>): typeof recordAnswer {
  return (route) => {
    const record = recordAnswer(route);
    return (request, reply, payload, done) =>
      typeof payload === "string" ? record(request, reply, payload, done) : done(null, payload);
  };
}

function isUnwanted({ caller }: RouteSpec, name: string): boolean {
  return caller === "peer" || unrecorded.has(name);
}

function isWanted({ action, actor, result, address }: AuditEvent, failures: RareFailures): boolean {
  if (actor.kind !== "anyone") return true;
  const isAttempt = result === "unauthorized" || (logins.has(action) && result !== "ok");
  return isAttempt && failures.take(address ?? "");
}

function eventOf(
  request: FastifyRequest,
  action: string,
  isProxy: HttpContext["isProxy"],
  result: string,
): AuditEvent {
  const { vaultId, entryId, accessId, strandedId } = request.params as Partial<Record<string, string>>;
  return {
    actor: request.actor ?? anyone,
    action,
    vaultId: idOf(vaultId),
    itemId: idOf(entryId ?? accessId ?? strandedId),
    address: addressOf(request, isProxy),
    result,
  };
}

/** Commands that change nothing, and are given again and again by whoever watches a site. */
const quietCommands: ReadonlySet<string> = new Set(["status", "audit"]);

/**
 * Records a command for the machine's owner, before its result is sent. Who gives it over HTTP is an operator; at the socket it is
 * the machine's owner.
 */
export async function recordCommand(
  audit: Audit,
  { name }: Pick<AdminCommand, "name">,
  { actor, body, ip }: Pick<FastifyRequest, "actor" | "body" | "ip">,
  result: string,
): Promise<void> {
  if (quietCommands.has(name)) return;
  const { action, id } = (body ?? {}) as Readonly<Record<string, unknown>>;
  const kind = typeof action === "string" && /^[a-z-]{1,20}$/.test(action) ? ` ${action}` : "";
  await audit.record({
    actor: actor ?? { kind: "machine", id: null },
    action: `admin ${name}${kind}`,
    vaultId: null,
    itemId: typeof id === "string" && /^[0-9a-f-]{32,36}$/.test(id) ? id : null,
    address: actor ? ip : null,
    result,
  });
}

const anyone: AuditActor = { kind: "anyone", id: null };

/** What stands in a path and is no id may be anything, a secret in the wrong place too. */
function idOf(text: string | undefined): string | null {
  return text !== undefined && isUuid(text) ? text : null;
}

/** Where a call came from; of a proxy in front that does not say, the proxy's own address. */
function addressOf(
  { ip, headers }: Pick<FastifyRequest, "ip" | "headers">,
  isProxy: HttpContext["isProxy"],
): string | null {
  const forwardedFor = forwardedForOf(headers);
  if (forwardedFor === undefined) return ip || null;
  return (clientOf({ address: ip, forwardedFor }, isProxy) ?? ip) || null;
}

/** `ok`, or the code in the problem that is about to be sent. */
function resultOf({ statusCode }: FastifyReply, payload: unknown): string {
  if (statusCode < 400) return "ok";
  try {
    const { code } = JSON.parse(payload as string) as { readonly code?: unknown };
    return typeof code === "string" ? code : `status ${statusCode}`;
  } catch {
    return `status ${statusCode}`;
  }
}

/** Whom the audit names for a principal. A session is its person's, by the login that it began with. */
export function actorOf(principal: ActorSource): AuditActor {
  switch (principal.kind) {
    case "anyone":
      return anyone;
    case "operator":
      return { kind: "operator", id: principal.tokenId };
    case "token":
      return { kind: "access", id: principal.secret.accessId };
    case "session":
      return { kind: "session", id: principal.session.login };
    case "peer":
      return { kind: "peer", id: principal.site };
  }
}

/** Who was verified, before it is known whether the call is open to them. */
type ActorSource =
  | Exclude<Principal, { kind: "access" }>
  | { readonly kind: "token"; readonly secret: { readonly accessId: string } };

const minuteMs = 60_000;
const rememberedMax = 1_000;

/** One failure for each address, or 64 bits of one, and minute; beyond so many addresses one for all others together. */
class RareFailures {
  readonly #clock: Clock;
  readonly #last = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a failure now is to be recorded. */
  take(address: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const key = this.#keyOf(addressKey(address), nowMs);
    const last = this.#last.get(key);
    if (last !== undefined && nowMs - last < minuteMs) return false;
    this.#last.set(key, nowMs);
    return true;
  }

  #keyOf(key: string, nowMs: number): string {
    if (this.#last.has(key) || this.#last.size < rememberedMax) return key;
    for (const [known, last] of this.#last) if (nowMs - last >= minuteMs) this.#last.delete(known);
    return this.#last.size < rememberedMax ? key : "others";
  }
}
