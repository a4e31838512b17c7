import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Refusal } from "../core/errors.ts";
import { formatPosition } from "../core/position.ts";
import { adminOverHttpPath } from "../protocol/admin.ts";
import { registerAdminRoutes } from "./admin-routes.ts";
import {
  type AuditedRoute,
  recordAnswers,
  recordOfWrite,
  recordRefusals,
  type WriteRecord,
} from "./audit-calls.ts";
import { type Admitted, Authentication } from "./authentication.ts";
import type { Answer, Call, Handlers, HttpContext, Principal, WriteAnswer } from "./call.ts";
import { gateOf } from "./gate.ts";
import { forwardedForOf } from "./people/client-address.ts";
import { waitForBackups } from "./replication-wait.ts";
import { parseIfMatch, parsePreferWait } from "./request-headers.ts";
import { type RouteName, type RouteSpec, routeTable } from "./route-table.ts";
import { accessRoutes } from "./routes/accesses.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { auditRoutes } from "./routes/audit.ts";
import { editionHandler, specOfEditionRoute } from "./routes/edition-routes.ts";
import { entryRoutes } from "./routes/entries.ts";
import { healthRoutes } from "./routes/health.ts";
import { importRoutes } from "./routes/imports.ts";
import { sessionRoutes } from "./routes/sessions.ts";
import { searchRoutes } from "./routes/search.ts";
import { totpRoutes } from "./routes/totp.ts";
import { strandedRoutes } from "./routes/stranded.ts";
import { versionRoutes } from "./routes/versions.ts";
import { vaultRoutes } from "./routes/vaults.ts";
import { replicationAnswer } from "./row-answers.ts";
import { sendJson } from "./send-json.ts";

type AnyHandler = (
  call: Call & { readonly record: WriteRecord | undefined },
) => Promise<Answer | WriteAnswer>;

/**
 * Registers every call of the table, every call of the edition and every command that an operator may give over HTTP, each
 * behind its gate. Returns what it registered.
 */
export function registerRoutes(app: FastifyInstance, context: HttpContext): readonly RouteSpec[] {
  const authentication = new Authentication(context);
  const site = { context, authentication };
  const routes = [...ownRoutes(context), ...editionRoutes(context)];
  const recordAnswer = recordAnswers(context);
  for (const route of routes) {
    const { spec } = route;
    app.route({
      ...optionsOf(spec),
      onRequest: gateOf(context, authentication, spec),
      onSend: recordAnswer(route),
      handler: (request, reply) => answerCall(site, route, request, reply),
    });
  }
  const admin = registerAdminRoutes(app, {
    context,
    commands: context.adminCommands,
    pathOf: adminOverHttpPath,
    gateOf: (spec) => gateOf(context, authentication, spec),
    onSend: recordRefusals(recordAnswer),
  });
  return [...routes.map(({ spec }) => spec), ...admin];
}

type Route = AuditedRoute & { readonly handler: AnyHandler };

function ownRoutes(context: HttpContext): readonly Route[] {
  const handlers: Handlers = {
    ...healthRoutes(context),
    ...sessionRoutes(context),
    ...vaultRoutes(context),
    ...entryRoutes(context),
    ...importRoutes(context),
    ...searchRoutes(context),
    ...totpRoutes(context),
    ...versionRoutes(context),
    ...accessRoutes(context),
    ...strandedRoutes(context),
    ...alertRoutes(context),
    ...auditRoutes(context),
  };
  return Object.entries(routeTable).map(([name, spec]) => {
    // The table's type ties each name to the calls and answers of its handler; a loop over names cannot say so.
    return { name, spec, handler: handlers[name as RouteName] as AnyHandler };
  });
}

function editionRoutes({ edition }: HttpContext): readonly Route[] {
  return edition.routes.map((route) => ({
    name: `${route.method} ${route.path}`,
    spec: specOfEditionRoute(route),
    handler: editionHandler(route),
  }));
}

function optionsOf(spec: RouteSpec) {
  return {
    method: spec.method,
    url: spec.path,
    bodyLimit: spec.bodyBytesMax,
    config: {
      bodyBytesMax: spec.bodyBytesMax,
      isImport: spec === routeTable.importEntries,
      isCompressible: spec.caller === "peer",
    },
  };
}

type Site = { readonly context: HttpContext; readonly authentication: Authentication };

async function answerCall(
  site: Site,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { answer, body } = await handleCall(site, route, request, reply);
  if (answer.tagged !== undefined) reply.header("etag", `"${formatPosition(answer.tagged.position)}"`);
  return sendJson(reply, answer.status, body);
}

/** The handler's answer and its body. The keys that came with a request end with its handler, before it waits for anybody. */
async function handleCall(
  site: Site,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<{ readonly answer: Answer; readonly body: object }> {
  const { context } = site;
  const { isClientWrite } = route.spec;
  const waitSeconds = isClientWrite ? parsePreferWait(request.headers.prefer) : undefined;
  const answer = await runHandler(site, route, request, reply);
  // Before it waits for the backups, which wait for the writes in flight.
  request.endWrite?.();
  if (answer.actor) request.actor = answer.actor;
  const body = "row" in answer ? await finishWrite(context, reply, answer, waitSeconds) : answer.body;
  return { answer, body };
}

async function runHandler(
  { context, authentication }: Site,
  { name, spec, handler }: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Answer | WriteAnswer> {
  const record = spec.isClientWrite ? recordOfWrite(context, name, request) : undefined;
  const handle = (principal: Principal) =>
    handler(callOf(context, spec, { request, reply, principal, record }));
  const answer = await withPrincipal(context, authentication, { spec, request }, handle);
  if (record?.isCommitted === false) throw new Error(`${name} was answered and is not recorded`);
  request.isRecorded = record !== undefined;
  return answer;
}

async function withPrincipal<T>(
  { resealing }: HttpContext,
  authentication: Authentication,
  { spec, request }: { readonly spec: RouteSpec; readonly request: FastifyRequest },
  handle: (principal: Principal) => Promise<T>,
): Promise<T> {
  const admitted = await admittedNow(authentication, spec, request);
  if (admitted.kind !== "access") return await handle(admitted);
  using vault = admitted.enter();
  const { kind, vaultId, accessId, scope, login } = admitted;
  try {
    return await handle({ kind, vaultId, accessId, scope, login, vault });
  } finally {
    // What is left of a change of the vault's key is continued with the keys of whoever writes to it.
    if (spec.isClientWrite) resealing.continue(vault.open, vault.isRenewed);
  }
}

/** Who may make a call when it is handled: a body may have taken its time since they were let in. */
async function admittedNow(
  authentication: Authentication,
  spec: RouteSpec,
  request: FastifyRequest,
): Promise<Admitted> {
  const { admitted, headers, params } = request;
  if (admitted.kind !== "access" || !hasBody(request) || (await authentication.stillHolds(admitted))) {
    return admitted;
  }
  const { vaultId } = params as { readonly vaultId?: string };
  return await authentication.authenticate(headers.authorization, { caller: spec.caller, vaultId });
}

/** Whether the request was read after its caller was let in. Of a GET, Fastify reads none. */
function hasBody({ method, headers }: FastifyRequest): boolean {
  if (method === "GET" || method === "HEAD") return false;
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

type Handling = {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly principal: Principal;
  readonly record: WriteRecord | undefined;
};

function callOf(
  { closing }: HttpContext,
  spec: RouteSpec,
  { request, reply, principal, record }: Handling,
): Call & { readonly record: WriteRecord | undefined } {
  if (!spec.takesQuery) refuseQuery(request.query as object);
  return {
    principal,
    record,
    params: request.params as Readonly<Record<string, string>>,
    query: request.query,
    body: request.body,
    address: request.ip,
    forwardedFor: forwardedForOf(request.headers),
    get signal() {
      return AbortSignal.any([closing, goneSignal(reply)]);
    },
    match: spec.isClientWrite ? parseIfMatch(request.headers["if-match"]) : undefined,
  };
}

/** Fastify's own signal aborts as soon as the request was read. */
function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (raw.closed) gone.abort();
  else raw.once("close", () => gone.abort());
  return gone.signal;
}

function refuseQuery(query: object): void {
  if (Object.keys(query).length === 0) return;
  const message = "this call has no query parameters";
  throw new Refusal("invalid_request", undefined, [{ path: "query", message }]);
}

/** What follows a commit: the backups' workers are woken, and a client that asked to wait is let wait. */
async function finishWrite(
  context: HttpContext,
  reply: FastifyReply,
  { body, row, isChanged, location, finish }: WriteAnswer,
  waitSeconds: number | undefined,
): Promise<object> {
  if (isChanged) {
    context.edition.signalReplication();
    // Of what was kept as it is, the position says nothing of how new the site is.
    reply.header("dormouse-position", formatPosition(row.position));
  }
  const added = await finish?.();
  if (location !== undefined) reply.header("location", location);
  if (waitSeconds === undefined) return { replication: replicationAnswer(row), ...body, ...added };
  const replication = await waitForBackups(context, row, waitSeconds);
  reply.header("preference-applied", `wait=${waitSeconds}`);
  return { ...body, ...added, replication };
}
