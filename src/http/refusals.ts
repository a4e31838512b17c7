import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { Refusal } from "../core/errors.ts";
import { problemMediaType } from "../protocol/answers.ts";
import { problemOf, refusalOf } from "./problem.ts";
import { logFault } from "./request-log.ts";
import type { RouteSpec } from "./route-table.ts";
import { securityHeaders } from "./security-headers.ts";
import { sendJson } from "./send-json.ts";

/** What is too much now is done soon: it is a queue of passphrases, each a fraction of a second. */
const busySeconds = 2;

/** Sends whatever was thrown as a problem. What is no refusal is a bug, and nobody outside learns more of it. */
export function sendProblem(
  logger: Logger,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const refusal = refusalOf(error);
  const problem = problemOf(refusal ?? new Refusal("internal"));
  if (problem.status === 500 || problem.status === 507) logFault(logger, request, error);
  if (problem.status === 401) reply.header("www-authenticate", "Bearer");
  if (problem.code === "busy") reply.header("retry-after", String(busySeconds));
  void sendJson(reply, problem.status, problem);
}

/** What no route takes: an address that takes other methods is told from one that is not there. */
export function refuseUnknownRoutes(app: FastifyInstance, specs: readonly RouteSpec[]): void {
  const addresses = new Map<string, { readonly pattern: RegExp; readonly methods: string[] }>();
  for (const { path, method } of specs) {
    const address = addresses.get(path) ?? { pattern: patternOf(path), methods: [] };
    address.methods.push(...(method === "GET" ? ["GET", "HEAD"] : [method]));
    addresses.set(path, address);
  }
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "";
    const found = [...addresses.values()].find(({ pattern }) => pattern.test(path));
    if (found === undefined) throw new Refusal("route_unknown");
    reply.header("allow", found.methods.join(", "));
    throw new Refusal("method_not_allowed");
  });
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/:[A-Za-z]+/g, "[^/]+")}$`);
}

/** What Node itself cannot read as HTTP has no request and no reply: the answer is written by hand, and the line ends. */
export function refuseMalformedHttp(this: unknown, error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const isTooLarge = error.code === "HPE_HEADER_OVERFLOW";
  const detail = isTooLarge ? "The headers are too large." : "The request is not HTTP.";
  const status = isTooLarge ? 431 : 400;
  const problem = { ...problemOf(new Refusal("invalid_request", detail)), status };
  const body = JSON.stringify(problem);
  const headers = {
    ...securityHeaders,
    "content-type": problemMediaType,
    "content-length": body.length,
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`);
}
