import { compareEpochs } from "../../core/epoch.ts";
import { Refusal } from "../../core/errors.ts";
import { comparePositions, formatPosition } from "../../core/position.ts";
import type { Identity } from "../../core/push.ts";
import type { Grant } from "../../core/store/roles.ts";
import type { Site } from "../../core/store/site.ts";
import type { RecoverResult } from "../../protocol/admin-requests.ts";
import type { PeerLink } from "../peer-link.ts";
import { sendGrant } from "./grants.ts";
import { askPeers, describeView, errorOf, expectAnswer, type PeerView } from "./peer-views.ts";
import { holderOf, type PromoteCall, promote } from "./promote.ts";
import { rejoin } from "./rejoin.ts";
import type { RolePorts } from "./role-ports.ts";

/** How long nothing may come from the new primary before this site no longer waits to be proved equal. */
const quietMs = 120_000;

/**
 * The way back of a primary that was put back to an older copy: the design, section 8. The backup that holds most becomes
 * primary where it stands, this site comes home to it, and once both are proved equal it hands over to this one. After a crash
 * it goes on where it was while this site is fenced; once it is a backup, a promotion of it is all that is left.
 * @throws Refusal `not_behind`, `unreachable`, `grant_unmet`, `not_proved`; what rejoining and promoting throw
 */
export async function recover(ports: RolePorts, call: PromoteCall): Promise<RecoverResult> {
  refuseOthers(await ports.store.read((r) => r.site.record()));
  if (call.force) return goOnAsItIs(ports);
  const steps: string[] = [];
  const step = (text: string) => {
    steps.push(text);
    call.progress({ stage: text });
  };
  step(await handToFurthest(ports, call.signal));
  const home = await rejoin(ports, call);
  step(`this site came home to ${home.winner}: ${home.put_aside} rows after ${home.common} were put aside`);
  await untilProved(ports, home.winner, call.signal);
  step(`this site is proved equal to ${home.winner}`);
  const { site, role, epoch, from } = await promote(ports, { ...call, force: false });
  step(`${site} is primary of epoch ${epoch} from ${from ?? "where it stood"} on`);
  return { site, role, epoch, put_aside: home.put_aside, steps };
}

/** What `recover` would do, as far as it can be known. Changes nothing but an epoch that is seen to be higher. */
export async function describeRecovery(
  ports: RolePorts,
  force: boolean,
  signal: AbortSignal,
): Promise<RecoverResult> {
  refuseOthers(await ports.store.read((r) => r.site.record()));
  const views = await askPeers(ports, signal);
  const site = await ports.store.read((r) => r.site.record());
  refuseOthers(site);
  const steps = force ? forcedSteps(site, views) : plannedSteps(site, views);
  return { site: site.site, role: site.role, epoch: site.epoch.number, put_aside: 0, steps };
}

function forcedSteps({ head }: Site, views: readonly PeerView[]): string[] {
  const at = formatPosition(head.position);
  const backups = views.map((view) => `${view.link.site}: ${describeView(view)}`);
  return [
    ...backups,
    `this site goes on as primary of a new epoch from ${at} on, with the older state that it has`,
    "what a backup holds beyond that is put aside when it rejoins, and listed as stranded here",
  ];
}

function plannedSteps(site: Site, views: readonly PeerView[]): string[] {
  const holder = site.grant?.to ?? furthest(site, views)?.link.site;
  const name = holder ?? "the backup that holds most";
  const steps = views.map((view) => `${view.link.site}: ${describeView(view)}`);
  if (!holder) steps.push("no backup answers: without one there is only --force");
  return [
    ...steps,
    `${name} becomes primary where it stands`,
    `this site puts aside what it wrote since it was put back, and takes over the state of ${name}`,
    `once both are proved equal, ${name} hands over to this site; what was put aside is listed as stranded`,
  ];
}

function refuseOthers({ role, fenced, site }: Site): void {
  if (role === "primary" && fenced === "primary_behind") return;
  if (role === "primary") throw new Refusal("not_behind");
  const detail = `${site} is a backup: it has come home already. \`dormouse promote\` makes it the primary again`;
  throw new Refusal("not_behind", detail);
}

async function goOnAsItIs({ store, keeper }: RolePorts): Promise<RecoverResult> {
  const { site, epoch, from } = await store.transact((tx) => tx.roles.promote());
  await keeper.look();
  const at = formatPosition(from.position);
  const steps = [`this site goes on as primary of epoch ${epoch.number} from ${at} on`];
  return { site, role: "primary", epoch: epoch.number, put_aside: 0, steps };
}

/** Makes the backup that holds most the primary, by a grant at the point where it stands. Says what was done. */
async function handToFurthest(ports: RolePorts, signal: AbortSignal): Promise<string> {
  const { store, keeper } = ports;
  const { link, grant } = await grantToFurthest(ports, signal);
  const reply = await sendGrant(ports, link, { action: "take", grant }, signal);
  if (reply.kind === "refused") await withdraw(ports, link, grant, signal);
  const { identity } = expectAnswer(reply, link);
  await store.transact((tx) => tx.roles.endGrant(grant.id, "promoted"));
  await keeper.look();
  return `${link.site} is primary of epoch ${identity.epoch.number} from ${formatPosition(grant.head.position)} on`;
}

async function grantToFurthest(
  ports: RolePorts,
  signal: AbortSignal,
): Promise<{ readonly link: PeerLink; readonly grant: Grant }> {
  const { store } = ports;
  const open = (await store.read((r) => r.site.record())).grant;
  if (open) return { link: holderOf(ports, open), grant: open };
  const views = await askPeers(ports, signal);
  const site = await store.read((r) => r.site.record());
  refuseOthers(site);
  const best = furthest(site, views);
  if (!best) {
    const said = views.map((view) => `${view.link.site}: ${describeView(view)}`).join("; ");
    const remedy = "`dormouse recover --force` goes on with the older state that this site has";
    throw new Refusal("unreachable", `no backup answers (${said}); ${remedy}`);
  }
  return {
    link: best.link,
    grant: await store.transact((tx) => tx.roles.grant(best.link.site, best.identity.applied)),
  };
}

/** The backup stands elsewhere by now: it decides that it does not take the grant, so that the next call may make another. */
async function withdraw(ports: RolePorts, link: PeerLink, grant: Grant, signal: AbortSignal): Promise<void> {
  const reply = await sendGrant(ports, link, { action: "revoke", grantId: grant.id }, signal);
  if (errorOf(reply, link) !== null || reply.kind !== "answered" || !reply.answer) return;
  const { answer } = reply;
  await ports.store.transact((tx) => tx.roles.endGrant(grant.id, answer));
}

type Furthest = { readonly link: PeerLink; readonly identity: Identity };

function furthest(site: Site, views: readonly PeerView[]): Furthest | undefined {
  const backups = views.flatMap(({ link, said }) =>
    said?.identity.role === "backup" && said.identity.realm === site.realm
      ? [{ link, identity: said.identity }]
      : [],
  );
  const [best] = backups.toSorted(
    (a, b) =>
      compareEpochs(b.identity.epoch, a.identity.epoch) ||
      comparePositions(b.identity.applied.position, a.identity.applied.position),
  );
  return best;
}

/** @throws Refusal `not_proved` where nothing comes for a while, or the caller goes away */
async function untilProved(ports: RolePorts, winner: string, signal: AbortSignal): Promise<void> {
  const { store, applied, clock } = ports;
  for (;;) {
    const came = new AbortController();
    const quiet = new AbortController();
    const abort = AbortSignal.any([signal, quiet.signal]);
    const more = applied.next(abort);
    const site = await store.read((r) => r.site.record());
    if (site.role === "primary" || isProved(site)) return;
    void clock.sleep(quietMs, came.signal).then(() => quiet.abort());
    await more;
    const isOver = abort.aborted;
    came.abort();
    if (isOver) {
      const rest = "`dormouse status` shows when it is; then `dormouse promote` makes it the primary again";
      throw new Refusal("not_proved", `this site is a backup of ${winner} and not proved equal yet: ${rest}`);
    }
  }
}

function isProved({ isComplete, verified, head }: Site): boolean {
  return isComplete && verified !== null && comparePositions(verified.position, head.position) === 0;
}
