import { compareEpochs } from "../../core/epoch.ts";
import type { Site } from "../../core/store/site.ts";

/** What a site's role and fence make it do: the table in docs/ARCHITECTURE.md, "Roles". */
export type Duty =
  /** A primary that ships: in its right, or until its open grant is answered. */
  | "ship"
  /** A primary with an open grant that has met a higher epoch: whoever holds the grant is asked what became of it. */
  | "await_answer"
  /** A fenced primary: nothing is shipped, and the operator knows. */
  | "rest"
  /** A backup. */
  | "follow";

export function dutyOf({ role, fenced, epoch, epochSeen }: Site): Duty {
  if (role === "backup") return "follow";
  if (fenced === null) return "ship";
  if (fenced !== "promotion_granted") return "rest";
  return compareEpochs(epochSeen, epoch) > 0 ? "await_answer" : "ship";
}

/** What of a site's record decides on what it runs. Everything that belongs to one standing ends with it. */
export type Standing = Pick<Site, "fenced" | "epoch"> & { readonly duty: Duty };

export function standingOf(site: Site): Standing {
  return { duty: dutyOf(site), fenced: site.fenced, epoch: site.epoch };
}

/** A backup's epoch rises with whoever pushes, and its duty is the same. */
export function isSameStanding(a: Standing | null, b: Standing): boolean {
  if (a?.duty !== b.duty || a.fenced !== b.fenced) return false;
  return b.duty === "follow" || compareEpochs(a.epoch, b.epoch) === 0;
}
