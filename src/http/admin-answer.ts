import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { Audit } from "../core/audit.ts";
import type { AdminCommand } from "../core/edition.ts";
import { Refusal } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { adminMediaType } from "../protocol/admin.ts";
import { problemOf, refusalOf } from "./problem.ts";
import { recordCommand } from "./audit-calls.ts";
import { logFault } from "./request-log.ts";

export type AdminContext = {
  /** Where commands are recorded; at the socket by what the machine's owner is called. */
  readonly audit: Audit;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when the server begins to close. */
  readonly closing: AbortSignal;
};

/** Progress that the caller has not read yet; of what comes beyond, the caller sees a later line. */
const unreadBytesMax = 64 * 1024;
/** What a command gets to end by itself when the server closes. */
const closingMs = 1_000;

type End = { readonly status: number; readonly line: object; readonly result: string };

/**
 * Runs a command and answers with its lines: progress as it comes, then one result or problem. The status is the problem's
 * where nothing was sent before it. A caller who goes away aborts the command.
 */
export async function answerAdmin(
  context: AdminContext,
  command: AdminCommand,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const lines = new Readable({ read: () => undefined });
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const { promise: begun, resolve: begin } = Promise.withResolvers<number>();
  const send = (line: object): void => void lines.push(`${JSON.stringify(line)}\n`);
  let isEnded = false;
  const progress = (event: object): void => {
    if (isEnded || gone.signal.aborted || lines.readableLength > unreadBytesMax) return;
    begin(200);
    send({ progress: event });
  };
  const signal = AbortSignal.any([context.closing, gone.signal]);
  // In a function of its own: what is thrown before the first await is an end like any other.
  const run = async () => await command.handle({ body: request.body ?? {}, progress, signal });
  void endOf(context, run(), request, signal).then(async ({ status, line, result }) => {
    await recordCommand(context.audit, command, request, result);
    isEnded = true;
    send(line);
    lines.push(null);
    begin(status);
  });
  const status = await begun;
  return reply.code(status).header("content-type", adminMediaType).send(lines);
}

async function endOf(
  context: AdminContext,
  run: Promise<object>,
  request: FastifyRequest,
  signal: AbortSignal,
): Promise<End> {
  const ended = new AbortController();
  try {
    const result = await Promise.race([run, outOfPatience(context, ended.signal)]);
    return { status: 200, line: { result }, result: "ok" };
  } catch (error) {
    const refusal = refusalOf(error) ?? (signal.aborted ? new Refusal("shutting_down") : undefined);
    const problem = problemOf(refusal ?? new Refusal("internal"));
    if (problem.status === 500 || problem.status === 507) logFault(context.logger, request, error);
    const line = { problem: { ...problem, request_id: request.id } };
    return { status: problem.status, line, result: problem.code };
  } finally {
    ended.abort();
  }
}

/** Rejects a moment after the server began to close: a command that does not listen must not keep the site from stopping. */
async function outOfPatience({ clock, closing }: AdminContext, ended: AbortSignal): Promise<never> {
  await new Promise<void>((resolve) => {
    if (closing.aborted) resolve();
    else closing.addEventListener("abort", () => resolve(), { once: true, signal: ended });
  });
  await clock.sleep(closingMs, ended);
  throw new Refusal("shutting_down");
}
