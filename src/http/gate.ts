import type { FastifyReply, FastifyRequest } from "fastify";
import { Refusal } from "../core/errors.ts";
import { formatPosition } from "../core/position.ts";
import type { Authentication } from "./authentication.ts";
import type { HttpContext } from "./call.ts";
import { demandCertificate } from "./client-certificate.ts";
import type { RouteSpec } from "./route-table.ts";

/**
 * What a request passes before anything of its body is read: whether the server still takes requests, whether this site
 * takes writes, and who asks.
 */
export function gateOf(
  context: HttpContext,
  authentication: Authentication,
  spec: RouteSpec,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    if (context.closing.aborted) throw new Refusal("shutting_down");
    if (spec.caller === "peer" && context.demandsCertificates) demandCertificate(request.raw.socket);
    if (spec.isClientWrite) {
      request.endWrite = context.writesInFlight.begin();
      reply.raw.once("close", request.endWrite);
      await guardWrite(context, reply);
    }
    const { vaultId } = request.params as { readonly vaultId?: string };
    const requirement = { caller: spec.caller, vaultId };
    const { authorization } = request.headers;
    request.admitted = await authentication.authenticate(authorization, requirement, (actor) => {
      request.actor = actor;
    });
    if (isRead(spec)) await markRole(context, reply);
  };
}

async function guardWrite({ edition }: HttpContext, reply: FastifyReply): Promise<void> {
  const refusal = await edition.writeGuard();
  if (refusal === undefined) return;
  if (refusal.primaryUrl !== null) reply.header("x-primary-location", refusal.primaryUrl);
  throw new Refusal(refusal.code);
}

function isRead({ caller, isClientWrite }: RouteSpec): boolean {
  return !isClientWrite && caller !== "anyone" && caller !== "peer";
}

/**
 * A reader is told how new the site's newest change is, so that it finds out when it is shown older things than before; at a
 * site that is not the acting primary also that, and up to where it has followed.
 */
async function markRole({ store }: HttpContext, reply: FastifyReply): Promise<void> {
  const { role, fenced, head } = await store.read((r) => r.site.record());
  reply.header("dormouse-position", formatPosition(head.position));
  if (role === "primary" && fenced === null) return;
  reply.header("dormouse-role", role);
  reply.header("dormouse-applied", formatPosition(head.position));
}
