import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Refusal } from "../core/errors.ts";
import { formatPosition } from "../core/position.ts";
import type { Answer, Call, Handlers, HttpContext, WriteAnswer } from "./call.ts";
import { gateOf } from "./gate.ts";
import { waitForBackups } from "./replication-wait.ts";
import { parseIfMatch, parsePreferWait } from "./request-headers.ts";
import { type RouteName, type RouteSpec, routeTable } from "./route-table.ts";
import { alertRoutes } from "./routes/alerts.ts";
import { editionHandler, specOfEditionRoute } from "./routes/edition-routes.ts";
import { entryRoutes } from "./routes/entries.ts";
import { healthRoutes } from "./routes/health.ts";
import { importRoutes } from "./routes/imports.ts";
import { vaultRoutes } from "./routes/vaults.ts";
import { replicationAnswer } from "./row-answers.ts";
import { sendJson } from "./send-json.ts";

/** Registers every call of the table and every call of the edition, each behind its gate. Returns what it registered. */
export function registerRoutes(app: FastifyInstance, context: HttpContext): readonly RouteSpec[] {
  const handlers: Handlers = {
    ...healthRoutes(context),
    ...vaultRoutes(context),
    ...entryRoutes(context),
    ...importRoutes(context),
    ...alertRoutes(context),
  };
  const specs: RouteSpec[] = [];
  for (const [name, spec] of Object.entries(routeTable)) {
    // The table's type ties each name to the calls and answers of its handler; a loop over names cannot say so.
    const handler = handlers[name as RouteName] as (call: Call) => Promise<Answer | WriteAnswer>;
    register(app, context, spec, handler);
    specs.push(spec);
  }
  for (const route of context.edition.routes) {
    const spec = specOfEditionRoute(route);
    register(app, context, spec, editionHandler(route));
    specs.push(spec);
  }
  return specs;
}

function register(
  app: FastifyInstance,
  context: HttpContext,
  spec: RouteSpec,
  handler: (call: Call) => Promise<Answer | WriteAnswer>,
): void {
  app.route({
    method: spec.method,
    url: spec.path,
    bodyLimit: spec.bodyBytesMax,
    config: {
      bodyBytesMax: spec.bodyBytesMax,
      isImport: spec === routeTable.importEntries,
      isCompressible: spec.caller === "peer",
    },
    onRequest: gateOf(context, spec),
    handler: async (request, reply) => {
      const waitSeconds = spec.isClientWrite ? parsePreferWait(request.headers.prefer) : undefined;
      const answer = await handler(callOf(request, spec));
      const body = "row" in answer ? await finishWrite(context, reply, answer, waitSeconds) : answer.body;
      if (answer.tagged !== undefined) reply.header("etag", `"${formatPosition(answer.tagged.position)}"`);
      return sendJson(reply, answer.status, body);
    },
  });
}

function callOf(request: FastifyRequest, spec: RouteSpec): Call {
  if (!spec.takesQuery) refuseQuery(request.query as object);
  return {
    principal: request.principal,
    params: request.params as Readonly<Record<string, string>>,
    query: request.query,
    body: request.body,
    match: spec.isClientWrite ? parseIfMatch(request.headers["if-match"]) : undefined,
  };
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
  { body, row, isChanged, location }: WriteAnswer,
  waitSeconds: number | undefined,
): Promise<object> {
  if (isChanged) context.edition.signalReplication();
  if (location !== undefined) reply.header("location", location);
  if (waitSeconds === undefined)
    return "replication" in body ? body : { ...body, replication: replicationAnswer(row) };
  const replication = await waitForBackups(context, row, waitSeconds);
  reply.header("preference-applied", `wait=${waitSeconds}`);
  return { ...body, replication };
}
