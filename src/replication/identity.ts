import type { Identity } from "../core/push.ts";
import type { Site } from "../core/store/site.ts";

/** What a site says of itself in replication messages. */
export function identityOf({ site, realm, role, epoch, head }: Site): Identity {
  return { site, realm, role, epoch, applied: head };
}
