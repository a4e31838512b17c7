import { compareEpochs } from "../../core/epoch.ts";
import { isOfAnothersReign, type Push, samePoint } from "../../core/push.ts";
import type { Site } from "../../core/store/site.ts";
import { recordAnswer } from "./grants.ts";
import { flagAcknowledged } from "./history.ts";
import { clearAllMarks } from "./marks.ts";
import { forgetPeers } from "./roles.ts";
import type { Steps, Transaction } from "./transaction.ts";

/**
 * Whether a push shows that this primary's open grant was used: its sender became primary, by the timeline, from exactly the
 * head that was granted, and this site still stands there. A site that granted another's point, because it went back itself,
 * has rows above it and must rejoin.
 */
function isGrantUsed({ role, realm, epoch, head, grant }: Site, push: Push): boolean {
  if (role !== "primary" || !grant || push.realm !== realm) return false;
  if (push.site !== grant.to || !samePoint(head, grant.head)) return false;
  return push.timeline.some(
    (line) =>
      line.site === grant.to && compareEpochs(line.epoch, epoch) > 0 && samePoint(line.from, grant.head),
  );
}

/** Becomes the backup of the site that this one has handed over to, where a push shows that it has. Returns whether it did. */
export function* yieldToPromoted(tx: Transaction, push: Push, now: number): Steps<boolean> {
  const site = tx.site();
  if (!site.grant || !isGrantUsed(site, push)) return false;
  if (isOfAnothersReign(tx.state, push)) return false;
  const primary = { site: push.site, url: push.publicUrl, lastPushAt: now };
  // The other site was proved equal at this very point, or it could not have used the grant.
  const verified = { position: site.head.position, at: now };
  tx.saveSite({ ...site, role: "backup", fenced: null, grant: null, primary, verified });
  recordAnswer(tx.connection, site.grant.id, "promoted");
  forgetPeers(tx);
  flagAcknowledged(tx.connection, site.head);
  yield* clearAllMarks(tx);
  return true;
}
