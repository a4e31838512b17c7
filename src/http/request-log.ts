import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { Refusal } from "../core/errors.ts";
import { framesOf } from "./problem.ts";

/** One line for each answer. The route's pattern stands for the address: an address holds ids, and what a client mistyped. */
export function logAnswer(logger: Logger, request: FastifyRequest, reply: FastifyReply): void {
  logger.info(
    {
      request_id: request.id,
      method: request.method,
      route: request.routeOptions.url ?? "unknown",
      status: reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 1000) / 1000,
    },
    "answered",
  );
}

/** A fault of the machine or a bug: where it came from, without what it said. */
export function logFault(logger: Logger, request: FastifyRequest, error: unknown): void {
  const route = request.routeOptions.url ?? "unknown";
  const code = error instanceof Refusal ? error.code : "internal";
  logger.error({ request_id: request.id, method: request.method, route, code, ...framesOf(error) }, "failed");
}
