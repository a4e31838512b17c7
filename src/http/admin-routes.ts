import type { FastifyInstance, FastifyRequest } from "fastify";
import type { FastifyReply } from "fastify";
import type { AdminCommand } from "../core/edition.ts";
import { adminBytesMax } from "../protocol/admin.ts";
import { type AdminContext, answerAdmin } from "./admin-answer.ts";
import type { recordRefusals } from "./audit-calls.ts";
import type { RouteSpec } from "./route-table.ts";

export type AdminRouteOptions = {
  readonly context: AdminContext;
  readonly commands: readonly AdminCommand[];
  readonly pathOf: (command: string) => string;
  /** What a call passes before its body is read. */
  readonly gateOf: (spec: RouteSpec) => (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
  /** What an answer passes that no command has made: refusals at the gate are recorded there. */
  readonly onSend?: ReturnType<typeof recordRefusals>;
};

/** Registers a call for each command. Returns what it registered. */
export function registerAdminRoutes(app: FastifyInstance, options: AdminRouteOptions): readonly RouteSpec[] {
  return options.commands.map((command) => {
    const spec = specOf(options.pathOf(command.name));
    app.route({
      method: spec.method,
      url: spec.path,
      bodyLimit: spec.bodyBytesMax,
      config: { bodyBytesMax: spec.bodyBytesMax },
      onRequest: options.gateOf(spec),
      ...(options.onSend && { onSend: options.onSend({ name: `admin ${command.name}`, spec }) }),
      handler: (request, reply) => answerAdmin(options.context, command, request, reply),
    });
    return spec;
  });
}

/** Never a client's write: a backup and a fenced site are where most of these commands are needed. */
function specOf(path: string): RouteSpec {
  const bodyBytesMax = adminBytesMax;
  return { method: "POST", path, caller: "operator", isClientWrite: false, takesQuery: false, bodyBytesMax };
}
