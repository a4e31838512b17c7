import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { Refusal } from "../core/errors.ts";
import { framesOf } from "./problem.ts";

type Answered = { readonly request: FastifyRequest; readonly reply: FastifyReply };

/**
 * Logs answers a turn after they were sent: the push of what was just written leaves before its line is written, and the lines of
 * what was answered in one turn are written at once.
 */
export class AnswerLog {
  readonly #logger: Logger;
  readonly #together: (write: () => void) => void;
  #answered: Answered[] = [];

  /** @param together runs what logs many lines */
  constructor(logger: Logger, together: (write: () => void) => void = (write) => write()) {
    this.#logger = logger;
    this.#together = together;
  }

  add(answered: Answered): void {
    if (this.#answered.push(answered) === 1) setImmediate(() => this.#write());
  }

  #write(): void {
    const all = this.#answered;
    this.#answered = [];
    this.#together(() => {
      for (const { request, reply } of all) logAnswer(this.#logger, request, reply);
    });
  }
}

/** One line for each answer. The route's pattern stands for the address: an address holds ids, and what a client mistyped. */
function logAnswer(logger: Logger, request: FastifyRequest, reply: FastifyReply): void {
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
