import type { AdminCommand } from "../core/edition.ts";
import type { Store } from "../core/store/store.ts";
import { listAudit } from "../http/audit-answers.ts";
import { auditFields } from "../protocol/audit-requests.ts";
import { check } from "../protocol/check.ts";
import { systemClock, systemHash } from "./system-ports.ts";
import { verifyAudit } from "./verify-audit.ts";

/** Lists the audit, or proves it. */
export function auditCommand(store: Store): AdminCommand {
  return {
    name: "audit",
    handle: async ({ body, signal }) => {
      const request = check(auditFields, body);
      if (request.action === "list") return await listAudit(store, request);
      return await verifyAudit({ store, hash: systemHash, clock: systemClock, signal });
    },
  };
}
