import type { AuditPart } from "./audit.ts";
import { bytesEqual } from "./bytes.ts";
import { compareEpochs, type Epoch, isForked, isReignOfAnother, type Promotion } from "./epoch.ts";
import type { RealmId, SiteName } from "./ids.ts";
import { comparePositions, type Point, type Position } from "./position.ts";
import type { Row, RowKey } from "./row.ts";

/** The protocol this program speaks; a receiver takes its own number and the one below. */
export const protocolVersion = 1;

export type Role = "primary" | "backup";

/** What a site says of itself in every replication message. */
export type Identity = {
  readonly site: SiteName;
  /** null on a backup that no primary has filled yet: it takes over the realm of the first that pushes. */
  readonly realm: RealmId | null;
  readonly role: Role;
  readonly epoch: Epoch;
  /** A primary's head, a backup's watermark: up to where everything is durably here. */
  readonly applied: Point;
};

/** One push: section 5 of the design. `after` is where it continues from, `through` the last position it covers. */
export type Push = {
  readonly protocol: number;
  readonly realm: RealmId;
  readonly site: SiteName;
  readonly publicUrl: string;
  readonly epoch: Epoch;
  readonly timeline: readonly Promotion[];
  readonly after: Point;
  readonly through: Point;
  /** Points of the sender's history strictly between `after` and `through`, ascending: what makes the receiver's as dense. */
  readonly points: readonly Point[];
  /** The site's digest at its head, on the last push of a drain; `except` names the rows that it leaves out. */
  readonly digest: Uint8Array | null;
  /** Keys of the rows that the receiver refuses: both sides leave theirs out of the digest. */
  readonly except: readonly RowKey[];
  readonly rows: readonly PushedRow[];
  /** What the sender tells of its audit; nothing where it is of a program that keeps none. Never a reason to refuse a push. */
  readonly audit?: AuditPart | undefined;
};

/** A row as it arrived: readable, or refused alone with the key as it was sent. */
export type PushedRow =
  | { readonly kind: "row"; readonly row: Row }
  | ({ readonly kind: "unreadable" } & Rejection);

/** A row's kind and key as they stand on the wire, where they may be of a kind that this program does not know. */
export type WireKey = { readonly kind: string; readonly key: Readonly<Record<string, string>> };

export function wireKeyOf(key: RowKey): WireKey {
  switch (key.kind) {
    case "vault":
      return { kind: "vault", key: { vault_id: key.vaultId } };
    case "access":
      return { kind: "access", key: { vault_id: key.vaultId, access_id: key.accessId } };
    case "entry":
      return { kind: "entry", key: { vault_id: key.vaultId, entry_id: key.entryId } };
    case "version":
      return { kind: "version", key: { vault_id: key.vaultId, version_id: key.versionId } };
    case "stranded":
      return { kind: "stranded", key: { vault_id: key.vaultId, stranded_id: key.strandedId } };
  }
}

export type RejectionCode = "row_kind_unknown" | "row_malformed" | "row_too_large" | "row_hash_wrong";

/**
 * A row that a backup refused alone, at the position it was pushed at. The backup keeps it until it takes that row at this
 * position or a higher one, and names it in every ACK and `resume` until then: the watermark has passed it, and an ACK that
 * was lost with it would otherwise make the primary believe that the row is there.
 */
export type Rejection = { readonly key: WireKey; readonly position: Position; readonly code: RejectionCode };

/** Why a whole push is refused; nothing changes at the backup. */
export type PushRefusal =
  | "other_realm"
  | "other_primary"
  | "stale_epoch"
  | "not_a_backup"
  | "protocol_unsupported"
  | "forked"
  | "resume";

/** What a backup knows of itself when a push arrives. */
export type Receiver = Identity & { readonly timeline: readonly Promotion[] };

/** Refusals of a sender whose epoch says nothing about this site's: it is not recorded. */
export const refusalsOfStrangers: ReadonlySet<PushRefusal | undefined> = new Set([
  "other_realm",
  "other_primary",
]);

/** Whether a push comes in an epoch of which this site, or the push itself, knows another to be the primary. */
export function isOfAnothersReign(
  receiver: Pick<Receiver, "timeline">,
  { timeline, epoch, site }: Pick<Push, "timeline" | "epoch" | "site">,
): boolean {
  return [receiver.timeline, timeline].some((lines) => isReignOfAnother(lines, epoch, site));
}

/**
 * The backup's checks in the order of section 5: realm, sender, epoch, role, protocol, timeline, history. Undefined: apply it.
 * The order matters: a site of another realm must learn nothing but that, what is said in the name of an epoch by another than
 * its primary must not count for that epoch, and a stale primary must hear of the higher epoch before anything about histories
 * that it can no longer judge. Must run inside the transaction that applies.
 */
export function judgePush(receiver: Receiver, push: Omit<Push, "rows">): PushRefusal | undefined {
  if (receiver.realm !== null && receiver.realm !== push.realm) return "other_realm";
  if (isOfAnothersReign(receiver, push)) return "other_primary";
  if (compareEpochs(push.epoch, receiver.epoch) < 0) return "stale_epoch";
  if (receiver.role !== "backup") return "not_a_backup";
  if (push.protocol !== protocolVersion && push.protocol !== protocolVersion - 1)
    return "protocol_unsupported";
  if (isForked(receiver.timeline, push.timeline, receiver.applied.position)) return "forked";
  if (!samePoint(push.after, receiver.applied)) return "resume";
  return undefined;
}

/** The apply rule: a row replaces the stored one only where its position is higher. Makes applying twice applying once. */
export function replaces(incoming: Row, stored: Pick<Row, "position"> | undefined): boolean {
  return stored === undefined || comparePositions(incoming.position, stored.position) > 0;
}

export function samePoint(a: Point, b: Point): boolean {
  return comparePositions(a.position, b.position) === 0 && bytesEqual(a.chain, b.chain);
}
