import { compareEpochs, type Promotion } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { formatPosition } from "../../core/position.ts";
import type { Grant } from "../../core/store/roles.ts";
import type { Site } from "../../core/store/site.ts";
import type { PromotionKind, PromotionResult } from "../../protocol/admin-requests.ts";
import type { PeerLink } from "../peer-link.ts";
import { sendGrant, tellDeclined } from "./grants.ts";
import { askPeers, describeView, expectAnswer, type PeerView, primaryAmong } from "./peer-views.ts";
import type { RolePorts } from "./role-ports.ts";

/** How long a planned promotion may keep the primary from taking writes. */
const grantMs = 30_000;

export type PromoteCall = {
  readonly force: boolean;
  readonly progress: (event: object) => void;
  /** Ends the wait of a planned promotion: the grant is given back. */
  readonly signal: AbortSignal;
};

/**
 * What `promote` is on this site as it is.
 * @throws Refusal `primary_behind`, `site_fenced` where this site must come home first
 */
export function kindOfPromotion(site: Site, force: boolean): PromotionKind {
  if (site.role === "backup") return force ? "forced" : "planned";
  switch (site.fenced) {
    case null:
      return "nothing";
    case "promotion_granted":
      return "take_back";
    case "primary_behind":
      throw new Refusal("primary_behind");
    case "primary_superseded": {
      const remedy = "`dormouse rejoin` brings it home; `dormouse promote --force` makes it primary again";
      if (!force) throw new Refusal("site_fenced", `another site was promoted: ${remedy}`);
      return "forced";
    }
  }
}

/**
 * Makes this site the primary: the design, section 8. What was committed by a crash is found by the next call, which goes on
 * from there or says what came of it.
 * @throws Refusal `unreachable`, `not_proved`, `rows_quarantined`, `grant_open`, `site_fenced`, `primary_behind`, `grant_unmet`
 */
export async function promote(ports: RolePorts, call: PromoteCall): Promise<PromotionResult> {
  const site = await ports.store.read((r) => r.site.record());
  switch (kindOfPromotion(site, call.force)) {
    case "nothing":
      return alreadyPrimary(ports, site);
    case "take_back":
      return takeBack(ports, site, call);
    case "forced":
      return crown(ports, "promoted", await ports.store.transact((tx) => tx.roles.promote()));
    case "planned":
      return promotePlanned(ports, site, call);
  }
}

async function alreadyPrimary({ store }: RolePorts, site: Site): Promise<PromotionResult> {
  const last = (await store.read((r) => r.site.timeline())).at(-1);
  const from = last ? formatPosition(last.from.position) : null;
  return { ...reignOf(site), from, result: "already_primary" };
}

function reignOf({ site, role, epoch }: Site): Pick<PromotionResult, "site" | "role" | "epoch"> {
  return { site, role, epoch: epoch.number };
}

/** The promotion is committed: from here on it only has to be told. */
async function crown(
  { keeper }: RolePorts,
  result: "promoted" | "taken_back",
  { site, epoch, from }: Promotion,
): Promise<PromotionResult> {
  await keeper.look();
  return { site, role: "primary", epoch: epoch.number, from: formatPosition(from.position), result };
}

/** Asks the primary to hand over, and waits until everything that it had is here and proved. */
async function promotePlanned(ports: RolePorts, site: Site, call: PromoteCall): Promise<PromotionResult> {
  refuseIncomplete(site);
  const views = await askPeers(ports, call.signal);
  const primary = primaryAmong(views, await ports.store.read((r) => r.site.record()));
  if (!primary) throw noPrimary(views);
  const { link } = primary;
  const reply = await sendGrant(ports, link, { action: "request" }, call.signal);
  const { grant } = expectAnswer(reply, link);
  if (!grant) throw new Refusal("unreachable", `${link.site} answers without a grant`);
  call.progress({ stage: "granted", by: link.site, head: formatPosition(grant.head.position) });
  return useGrant(ports, link, grant, call);
}

/** @throws Refusal `not_proved` for a site that came home and was not proved equal since */
export function refuseIncomplete({ site, isComplete }: Site): void {
  if (isComplete) return;
  const detail = `${site} has come home and was not proved equal since: rows may be missing that nobody has named`;
  throw new Refusal("not_proved", detail);
}

function noPrimary(views: readonly PeerView[]): Refusal {
  const said = views.map((view) => `${view.link.site}: ${describeView(view)}`);
  const who = said.length === 0 ? "no peer is configured" : said.join("; ");
  const remedy = "`dormouse promote --force` promotes without the primary's consent";
  return new Refusal("unreachable", `no primary answers (${who}); ${remedy}`);
}

async function useGrant(
  ports: RolePorts,
  link: PeerLink,
  grant: Grant,
  call: PromoteCall,
): Promise<PromotionResult> {
  const held = await whenHeldInTime(ports, grant, call);
  if (held.promotion) return crown(ports, "promoted", held.promotion);
  // Whatever went wrong here, the primary must not wait for it.
  const given = await giveBack(ports, link, grant);
  if (held.refusal && given.result === "declined") throw held.refusal;
  return given;
}

type Held = { readonly promotion?: Promotion | undefined; readonly refusal?: Refusal };

async function whenHeldInTime(ports: RolePorts, grant: Grant, call: PromoteCall): Promise<Held> {
  const ended = new AbortController();
  const expired = new AbortController();
  void ports.clock.sleep(grantMs, ended.signal).then(() => expired.abort());
  const abort = AbortSignal.any([expired.signal, call.signal]);
  try {
    return { promotion: await whenHeld(ports, grant, call, abort) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { refusal: error };
  } finally {
    ended.abort();
  }
}

/** Tries after each push that was applied. Undefined where the time was up before everything was here and proved. */
async function whenHeld(
  { store, applied }: RolePorts,
  grant: Grant,
  { progress }: PromoteCall,
  abort: AbortSignal,
): Promise<Promotion | undefined> {
  for (;;) {
    const more = applied.next(abort);
    try {
      return await store.transact((tx) => tx.roles.promoteBy(grant, true));
    } catch (error) {
      const site = await store.read((r) => r.site.record());
      if (!isEarly(error, site, grant)) throw error;
      if (abort.aborted) return undefined;
      const [at, head] = [site.head, grant.head].map(({ position }) => formatPosition(position));
      progress({ stage: "waiting", applied: at, head });
    }
    await more;
  }
}

/** Whether what the grant needs can still come. */
function isEarly(error: unknown, site: Site, grant: Grant): boolean {
  if (!(error instanceof Refusal)) return false;
  if (error.code === "not_proved") return true;
  if (error.code !== "grant_unmet" || site.role !== "backup") return false;
  return compareEpochs(site.epochSeen, grant.epoch) <= 0;
}

/**
 * Gives the grant back for good, unless it was used in the same moment.
 * @throws Refusal `unreachable` where the primary could not be told at once
 */
async function giveBack(ports: RolePorts, link: PeerLink, grant: Grant): Promise<PromotionResult> {
  const answer = await ports.store.transact((tx) =>
    tx.roles.decline(grant.id, { site: link.site, epoch: grant.epoch }),
  );
  const site = await ports.store.read((r) => r.site.record());
  if (answer === "promoted") return { ...(await alreadyPrimary(ports, site)), result: "promoted" };
  if (!(await tellDeclined(ports, link, grant.id))) throw untold(link);
  return { ...reignOf(site), from: null, result: "declined" };
}

function untold({ site }: PeerLink): Refusal {
  const detail =
    `the grant is given back for good, but ${site} could not be told: it takes no writes until this site has reached it, ` +
    `which goes on trying, or until \`dormouse promote\` is run on ${site}`;
  return new Refusal("unreachable", detail);
}

/** On the primary itself: the promise to another site is taken back, unless that site has used it. */
async function takeBack(ports: RolePorts, site: Site, call: PromoteCall): Promise<PromotionResult> {
  const { store, keeper } = ports;
  if (call.force) return crown(ports, "taken_back", await store.transact((tx) => tx.roles.promote()));
  const { grant } = site;
  if (!grant) throw new Error("a primary is fenced for a grant and has none");
  const link = holderOf(ports, grant);
  const reply = await sendGrant(ports, link, { action: "revoke", grantId: grant.id }, call.signal);
  if (reply.kind === "failed" || reply.kind === "unauthorized") throw undecided(link, grant);
  const { answer, identity } = expectAnswer(reply, link);
  if (!answer) throw undecided(link, grant);
  await store.transact((tx) => tx.roles.endGrant(grant.id, answer));
  await keeper.look();
  if (answer === "promoted") {
    const { site: to, role, epoch } = identity;
    return {
      site: to,
      role,
      epoch: epoch.number,
      from: formatPosition(grant.head.position),
      result: "promoted",
    };
  }
  const now = await store.read((r) => r.site.record());
  // A grant hides a fence that had a better reason: another site was promoted by force meanwhile.
  kindOfPromotion(now, false);
  return { ...reignOf(now), from: null, result: "taken_back" };
}

/** @throws Refusal `peer_unknown` where the configuration no longer names the site that the grant is to */
export function holderOf({ peers }: Pick<RolePorts, "peers">, { to }: Grant): PeerLink {
  const link = peers().find(({ site }) => site === to);
  if (link) return link;
  const detail = `the grant is to ${to}, which is no peer any more; \`dormouse promote --force\` takes it back`;
  throw new Refusal("peer_unknown", detail);
}

function undecided({ site }: PeerLink, { head }: Grant): Refusal {
  const at = formatPosition(head.position);
  return new Refusal(
    "unreachable",
    `${site} does not answer, and only ${site} knows whether it was promoted from ${at} on. ` +
      "`dormouse promote --force` takes the grant back by a higher epoch: if it was promoted, it is fenced at the first " +
      "contact, and what it wrote is stranded when it rejoins",
  );
}

/**
 * On the site that a grant is to: gives it back, so that the primary takes writes again.
 * @throws Refusal `already_primary`; `unreachable` where the primary does not answer
 */
export async function decline(ports: RolePorts, signal: AbortSignal): Promise<void> {
  const { store } = ports;
  const site = await store.read((r) => r.site.record());
  if (site.role === "primary") throw new Refusal("already_primary");
  const views = await askPeers(ports, signal);
  const primary = primaryAmong(views, await store.read((r) => r.site.record()));
  if (!primary) throw noPrimary(views);
  // Asked for once more, a grant that is open is the same one.
  const reply = await sendGrant(ports, primary.link, { action: "request" }, signal);
  const { grant } = expectAnswer(reply, primary.link);
  if (!grant) return;
  const answer = await store.transact((tx) =>
    tx.roles.decline(grant.id, { site: primary.link.site, epoch: grant.epoch }),
  );
  if (answer === "promoted") throw new Refusal("already_primary");
  if (!(await tellDeclined(ports, primary.link, grant.id))) throw untold(primary.link);
}
