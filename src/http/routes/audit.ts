import { auditListQuerySchema } from "../../protocol/audit-requests.ts";
import { check } from "../../protocol/check.ts";
import { listAudit } from "../audit-answers.ts";
import type { Handlers, HttpContext } from "../call.ts";

export function auditRoutes({ store }: HttpContext): Pick<Handlers, "listAudit"> {
  return {
    listAudit: async ({ query }) => ({
      status: 200,
      body: await listAudit(store, check(auditListQuerySchema, query)),
    }),
  };
}
