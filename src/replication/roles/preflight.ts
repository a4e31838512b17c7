import { Refusal } from "../../core/errors.ts";
import { comparePositions, formatPosition } from "../../core/position.ts";
import type { Rejection } from "../../core/push.ts";
import { formatKey } from "../../core/row.ts";
import type { Site, Verified } from "../../core/store/site.ts";
import type { PromotionKind, PromotionPreflight } from "../../protocol/admin-requests.ts";
import { decodeKey } from "../../protocol/wire-rows.ts";
import { askPeers, describeView, type PeerView, primaryAmong } from "./peer-views.ts";
import { kindOfPromotion, refuseIncomplete } from "./promote.ts";
import type { RolePorts } from "./role-ports.ts";

/**
 * What a promotion of this site would be, what this site and the peers that answer know, and what nobody can know from here.
 * Changes nothing but an epoch that a peer's answer shows to be higher. Guesses nothing.
 */
export async function describePromotion(
  ports: RolePorts,
  force: boolean,
  signal: AbortSignal,
): Promise<PromotionPreflight> {
  const views = await askPeers(ports, signal);
  const [site, lacking] = await Promise.all([
    ports.store.read((r) => r.site.record()),
    ports.store.read((r) => r.replication.rejections()),
  ]);
  const head = { site: site.site, epoch: site.epoch.number };
  const { kind, refused } = judge(site, force);
  if (kind === "nothing") return { ...head, kind, known: {}, unknown: [], refused };
  return {
    ...head,
    kind,
    known: { ...knownOf(site), ...lackingOf(site, lacking), ...knownOfPeers(views), ...aheadOf(site, views) },
    unknown: unknownOf(kind, site, views),
    refused: refused ?? refusalOf(kind, site, views, lacking),
  };
}

type Judgement = { readonly kind: PromotionKind; readonly refused: string | null };

function judge(site: Site, force: boolean): Judgement {
  try {
    return { kind: kindOfPromotion(site, force), refused: null };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: "forced", refused: error.message };
  }
}

function refusalOf(
  kind: PromotionKind,
  site: Site,
  views: readonly PeerView[],
  lacking: readonly Rejection[],
): string | null {
  if (site.realm === null) return "this site was never filled, and belongs to no installation yet";
  if (kind !== "planned") return null;
  try {
    refuseIncomplete(site);
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
  if (lacking.length > 0) return "this site refuses rows, which would be missing for good";
  return primaryAmong(views, site) ? null : "no primary answers, so that none can hand over";
}

function knownOf({ role, head, primary, verified, isComplete, grant }: Site): Record<string, string> {
  const known: Record<string, string> = {};
  known[role === "backup" ? "applied" : "head"] = formatPosition(head.position);
  if (role === "backup") {
    known["last push"] = primary
      ? `from ${primary.site} at ${formatTime(primary.lastPushAt)}`
      : "none since this site follows";
    known["last proof"] = describeProof(verified);
    if (!isComplete)
      known["complete"] = "no: it came home and was not proved equal since; rows may be missing";
  }
  if (grant) known["grant"] = `to ${grant.to}, from ${formatPosition(grant.head.position)} on`;
  return known;
}

/** Rows named in one line, at most. */
const namedRowsMax = 5;

/** What this site has passed over. The others have it, and must then come home to a history without it. */
function lackingOf({ role }: Site, lacking: readonly Rejection[]): Record<string, string> {
  if (role !== "backup" || lacking.length === 0) return {};
  const named = lacking.slice(0, namedRowsMax).map(nameOf);
  const more = lacking.length > namedRowsMax ? ", …" : "";
  const text = `${lacking.length} that it refused (${named.join(", ")}${more}): the other sites must rejoin, and those rows are stranded`;
  return { "missing rows": text };
}

/** A key of a kind that this program does not know is named by its kind alone. */
function nameOf({ key }: Rejection): string {
  const known = decodeKey(key);
  return known ? formatKey(known) : key.kind;
}

function describeProof(verified: Verified | null): string {
  if (!verified) return "none";
  return `equal at ${formatPosition(verified.position)}, at ${formatTime(verified.at)}`;
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

function knownOfPeers(views: readonly PeerView[]): Record<string, string> {
  return Object.fromEntries(views.map((view) => [view.link.site, describeView(view)]));
}

/** Another backup that holds more: promoting it instead loses less. */
function aheadOf(site: Site, views: readonly PeerView[]): Record<string, string> {
  const ahead = views.flatMap(({ link, said }) =>
    said?.identity.role === "backup" &&
    comparePositions(said.identity.applied.position, site.head.position) > 0
      ? [{ name: link.site, at: said.identity.applied.position }]
      : [],
  );
  const [furthest] = ahead.toSorted((a, b) => comparePositions(b.at, a.at));
  if (!furthest) return {};
  const { name, at } = furthest;
  const text = `${name} is at ${formatPosition(at)} and this site at ${formatPosition(site.head.position)}`;
  return { "better choice": `promote ${name} instead: ${text}` };
}

function unknownOf(kind: PromotionKind, site: Site, views: readonly PeerView[]): readonly string[] {
  const at = formatPosition(site.head.position);
  const silent = views.filter(({ said }) => !said).map(({ link }) => link.site);
  const texts = silent.map((name) => `which role ${name} has, and up to where it has come`);
  if (kind === "planned")
    texts.push("whether the primary holds rows that this site refuses: then it hands over nothing");
  if (kind === "forced" && site.role === "backup") texts.push(...unknownOfForce(at));
  if (kind === "forced" && site.role === "primary") texts.push(unknownOfOther);
  if (kind === "take_back" && site.grant) {
    texts.push(`whether ${site.grant.to} was promoted meanwhile, unless it answers above as a backup`);
  }
  return texts;
}

const unknownOfOther =
  "what the site that was promoted took alone: it is fenced at the first contact, and that is stranded once it rejoins";

function unknownOfForce(at: string): readonly string[] {
  return [
    `whether the primary took writes after ${at} that never came here: they would be listed as stranded once it rejoins`,
    "whether the primary still runs and takes writes: until the two meet, both would",
  ];
}
