import { type ErrorCode, errorCodes, Refusal } from "../core/errors.ts";
import type { Problem } from "../protocol/answers.ts";
import { problemStatus } from "./problem-status.ts";

/** The body of a refusal (RFC 9457), but for the request's id. */
export function problemOf(refusal: Refusal): Omit<Problem, "request_id"> {
  const { code, message, mistakes } = refusal;
  return {
    ...problemHead(code),
    detail: message,
    ...(mistakes.length > 0 && { errors: mistakes }),
  };
}

/** What a problem says because of its code alone. */
export function problemHead(code: ErrorCode): Pick<Problem, "type" | "title" | "status" | "code"> {
  return {
    type: `urn:dormouse:error:${code}`,
    title: errorCodes[code].meaning,
    status: problemStatus[code],
    code,
  };
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorCodes, code);
}

/** Fastify's own refusals, by its codes; whatever is not here and no Refusal is a bug. */
const frameworkRefusals: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupported_media_type",
  FST_ERR_CTP_BODY_TOO_LARGE: "body_too_large",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "invalid_request",
  FST_ERR_CTP_EMPTY_JSON_BODY: "malformed_json",
  FST_ERR_BAD_URL: "route_unknown",
  FST_ERR_MAX_PARAM_LENGTH: "route_unknown",
  // Only a call of QUERY (RFC 10008) meets this one, and no route takes QUERY.
  FST_ERR_ROUTE_MISSING_CONTENT_TYPE: "method_not_allowed",
  ECONNRESET: "invalid_request",
};

/** The refusal that an error is or stands for; undefined for a bug, whose message nobody outside may see. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  const framework =
    frameworkRefusals[String(error.code)] ?? (isClients(error) ? "invalid_request" : undefined);
  return framework === undefined ? undefined : new Refusal(framework);
}

/** Whether Fastify blames the client for an error. */
function isClients(error: Error & { readonly code: unknown; readonly statusCode?: unknown }): boolean {
  const { code, statusCode } = error;
  return (
    String(code).startsWith("FST_") && typeof statusCode === "number" && statusCode >= 400 && statusCode < 500
  );
}

/**
 * Where an error was thrown, for the log. Without its message: a parser's message quotes what it could not read, and that
 * may be a secret.
 */
export function framesOf(error: unknown): { readonly name: string; readonly frames: readonly string[] } {
  if (!(error instanceof Error)) return { name: typeof error, frames: [] };
  const lines = (error.stack ?? "").split("\n").map((line) => line.trim());
  return { name: error.name, frames: lines.filter((line) => line.startsWith("at ")) };
}
