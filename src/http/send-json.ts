import type { FastifyReply } from "fastify";
import { problemMediaType } from "../protocol/answers.ts";

/**
 * Sends a body as JSON, from 400 on as a problem with the request's id. As a text, which Node sends in one piece with the headers;
 * with a serializer of its own, because Fastify would add a charset to the media type, and JSON has none (RFC 8259, section 11).
 */
export function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  const isProblem = status >= 400;
  const sent = isProblem ? { ...body, request_id: reply.request.id } : body;
  return reply
    .code(status)
    .header("content-type", isProblem ? problemMediaType : "application/json")
    .serializer(asItIs)
    .send(JSON.stringify(sent));
}

const asItIs = (text: string): string => text;
