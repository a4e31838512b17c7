import { compareEpochs, isForked } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { formatPosition, origin } from "../../core/position.ts";
import { samePoint } from "../../core/push.ts";
import type { Winner as StoredWinner } from "../../core/store/roles.ts";
import type { Site } from "../../core/store/site.ts";
import type { RejoinResult } from "../../protocol/admin-requests.ts";
import { identityOf } from "../identity.ts";
import type { PeerLink } from "../peer-link.ts";
import { askPeers, describeView, expectAnswer, type PeerView, primaryAmong } from "./peer-views.ts";
import type { RolePorts } from "./role-ports.ts";

/** Points named in one request. */
const pointsMax = 1_000;

export type RejoinCall = {
  readonly progress: (event: object) => void;
  readonly signal: AbortSignal;
};

/**
 * Brings this site home to the primary that was promoted in its place: the design, section 8. Rows that only this site has are
 * put aside in the same transaction that makes it a backup; that primary's worker does the rest. Repeated, it says what is.
 * @throws Refusal `not_fenced`, `winner_unknown`, `unreachable`
 */
export async function rejoin(ports: RolePorts, call: RejoinCall): Promise<RejoinResult> {
  const { store, keeper } = ports;
  const before = await store.read((r) => r.site.record());
  // An open grant whose holder is primary by now ends with its first push; one that somebody else's promotion has overtaken
  // does not, and this is the way out of it.
  if (before.role === "primary" && before.fenced === null) throw new Refusal("not_fenced");
  const views = await askPeers(ports, call.signal);
  const site = await store.read((r) => r.site.record());
  const winner = primaryAmong(views, site);
  if (!winner || isOwnReign(site, winner.identity)) throw noWinner(views);
  const { link } = winner;
  const found = await locate(ports, link, call);
  const home = { site: site.site, role: "backup", winner: link.site, common: positionOf(found) } as const;
  if (await isHome(ports, site, found)) return { ...home, put_aside: 0 };
  const { putAside } = await store.homecoming.rejoin(found);
  await keeper.look();
  return { ...home, put_aside: putAside };
}

/**
 * Whether this site is the winner's backup already. Two sites promoted apart may have made the same first change, and so have
 * one chain; the timelines tell them apart, and this site has to take over the winner's.
 */
async function isHome({ store }: RolePorts, { role, head }: Site, winner: StoredWinner): Promise<boolean> {
  if (role !== "backup" || !samePoint(winner.common, head)) return false;
  return !isForked(await store.read((r) => r.site.timeline()), winner.timeline, head.position);
}

/** A fenced primary has nobody to come home to in its own epoch, and a backup has its primary. */
function isOwnReign(site: Site, { epoch }: Pick<StoredWinner, "epoch">): boolean {
  return site.role === "primary" && compareEpochs(epoch, site.epoch) <= 0;
}

function noWinner(views: readonly PeerView[]): Refusal {
  const said = views.map((view) => `${view.link.site}: ${describeView(view)}`).join("; ");
  return new Refusal("winner_unknown", `no peer that answers is a primary of a newer epoch (${said})`);
}

function positionOf({ common }: StoredWinner): string {
  return formatPosition(common.position);
}

/** Names this site's points from the newest on, until the winner knows one; it knows the origin at last. */
async function locate(ports: RolePorts, link: PeerLink, call: RejoinCall): Promise<StoredWinner> {
  const { store } = ports;
  const own = await store.read((r) => r.site.record());
  let below = own.head.position;
  for (;;) {
    const points = await store.read((r) => r.site.pointsBelow(below, pointsMax));
    const last = points.at(-1) ?? origin;
    const reply = await link.transport.locate(identityOf(own), points, call.signal);
    const { common, timeline, identity } = expectAnswer(reply, link);
    if (identity.role !== "primary")
      throw new Refusal("winner_unknown", `${link.site} is no primary any more`);
    if (common) return { epoch: identity.epoch, timeline, common };
    if (samePoint(last, origin))
      throw new Refusal("winner_unknown", `${link.site} does not even know the beginning`);
    below = last.position;
    call.progress({ stage: "locating", below: formatPosition(below) });
  }
}
