import { z } from "zod";
import type { AuditPart } from "../core/audit.ts";
import { formatPosition } from "../core/position.ts";
import type { Identity, Push, PushRefusal, Rejection } from "../core/push.ts";
import { encodeAuditPart, readAuditPart } from "./audit-frames.ts";
import { decodeIdentity, encodeIdentity, identityFrame } from "./identity-frames.ts";
import {
  type Decoded,
  decodePoint,
  decodePosition,
  decodeTimeline,
  encodePoints,
  encodeTimeline,
  epochField,
  fromHex,
  hashField,
  pointsField,
  positionField,
  protocolField,
  readEnvelope,
  realmField,
  siteNameField,
  timelineField,
  toHex,
} from "./wire-fields.ts";
import { encodeRowsText } from "./row-text.ts";
import { encodeKeys, foreignKeyField, readPushedRow, wireKeyFrame } from "./wire-rows.ts";

/**
 * The push and its answers: the design, section 5. Rows are read one by one, since a row that cannot be read is refused alone
 * and must not take the batch with it.
 */

/** The largest batch, and as many vaults as it may carry in front. */
const rowsMax = 20_000;
const exceptMax = 1_000;
const rejectedMax = 10_000;

const pushFrame = z.object({
  protocol: protocolField,
  realm: realmField,
  site: siteNameField,
  public_url: z.string().max(2048),
  epoch: epochField,
  timeline: timelineField,
  after: positionField,
  after_chain: hashField,
  through: positionField,
  chain: hashField,
  points: pointsField,
  digest: hashField.nullable(),
  except: z.array(foreignKeyField).max(exceptMax),
  rows: z.array(z.unknown()).max(rowsMax),
  audit: z.unknown().optional(),
});

/** How many rows are encoded in one go. */
const sliceRows = 200;

/**
 * The JSON text of a push as UTF-8, in slices, of which a push of few rows has a single one: a backlog's batch is megabytes, and
 * clients wait for the thread that makes it.
 */
export function* encodePush(push: Push): Generator<Uint8Array, void, void> {
  const { rows } = push;
  const head = Buffer.from(`${encodeFields(push).slice(0, -1)},"rows":[`);
  const ahead = madeAhead.get(rows);
  if (ahead) return yield Buffer.concat([head, ...ahead, end]);
  for (let start = 0; start === 0 || start < rows.length; start += sliceRows) {
    const isLast = start + sliceRows >= rows.length;
    yield Buffer.concat([start === 0 ? head : comma, encodeSlice(rows, start), isLast ? end : nothing]);
  }
}

/** The texts of lists of rows, slices and the commas between them; a text is kept for as long as its list is. */
const madeAhead = new WeakMap<Push["rows"], readonly Uint8Array[]>();

/**
 * Encodes rows before the rest of their push is known. Others may run between two slices. `encodePush` uses the text for a push with
 * this very list.
 */
export function* encodeRowsAhead(rows: Push["rows"]): Generator<void, void, void> {
  const slices: Uint8Array[] = [];
  for (let start = 0; start < rows.length; start += sliceRows) {
    if (start > 0) slices.push(comma);
    slices.push(encodeSlice(rows, start));
    yield;
  }
  madeAhead.set(rows, slices);
}

function encodeSlice(rows: Push["rows"], start: number): Uint8Array {
  return encodeRowsText(rows.slice(start, start + sliceRows));
}

const comma = Buffer.from(",");
const end = Buffer.from("]}");
const nothing = Buffer.alloc(0);

function encodeFields(push: Push): string {
  return JSON.stringify({
    protocol: push.protocol,
    realm: push.realm,
    site: push.site,
    public_url: push.publicUrl,
    epoch: push.epoch,
    timeline: encodeTimeline(push.timeline),
    after: formatPosition(push.after.position),
    after_chain: toHex(push.after.chain),
    through: formatPosition(push.through.position),
    chain: toHex(push.through.chain),
    points: encodePoints(push.points),
    digest: push.digest && toHex(push.digest),
    except: encodeKeys(push.except),
    ...(push.audit && { audit: encodeAuditPart(push.audit) }),
  });
}

export function decodePush(body: unknown): Decoded<Push> {
  const frame = readEnvelope(pushFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  const rows = value.rows.map(readPushedRow);
  const unnamed = rows.findIndex((row) => row === undefined);
  if (unnamed >= 0) return { kind: "malformed", paths: [`rows.${unnamed}`] };
  return {
    kind: "decoded",
    value: {
      protocol: value.protocol,
      realm: value.realm,
      site: value.site,
      publicUrl: value.public_url,
      epoch: value.epoch,
      timeline: decodeTimeline(value.timeline),
      after: decodePoint(value.after, value.after_chain),
      through: decodePoint(value.through, value.chain),
      points: value.points,
      digest: value.digest === null ? null : fromHex(value.digest),
      // A row of an unknown kind is none that this site holds: leaving it out changes no digest here.
      except: value.except.filter((key) => key !== null),
      rows: rows.filter((row) => row !== undefined),
      audit: readAuditPart(value.audit),
    },
  };
}

const rejectionCodes = ["row_kind_unknown", "row_malformed", "row_too_large", "row_hash_wrong"] as const;
const rejection = wireKeyFrame.extend({ position: positionField, code: z.enum(rejectionCodes) });

const appliedFrame = identityFrame.extend({
  accepted: z.int().min(0),
  ignored: z.int().min(0),
  rejected: z.array(rejection).max(rejectedMax),
  verified: z.boolean().nullable(),
  aside: z.int().min(0),
  audit: z.unknown().optional(),
});

/** What a backup says of a push that it has applied. */
export type Applied = {
  readonly identity: Identity;
  readonly accepted: number;
  readonly ignored: number;
  readonly rejected: readonly Rejection[];
  readonly verified: boolean | null;
  /** Rows put aside that the primary has not decided on. */
  readonly aside: number;
  readonly audit?: AuditPart | undefined;
};

export function encodeApplied(applied: Applied): object {
  const { identity, accepted, ignored, rejected, verified, aside, audit } = applied;
  return {
    ...encodeIdentity(identity),
    accepted,
    ignored,
    rejected: rejected.map(encodeRejection),
    verified,
    aside,
    ...(audit && { audit: encodeAuditPart(audit) }),
  };
}

export function readApplied(body: unknown): Applied | undefined {
  const frame = appliedFrame.safeParse(body);
  if (!frame.success) return undefined;
  const { accepted, ignored, rejected, verified, aside } = frame.data;
  return {
    identity: decodeIdentity(frame.data),
    accepted,
    ignored,
    rejected: rejected.map(decodeRejection),
    verified,
    aside,
    audit: readAuditPart(frame.data.audit),
  };
}

const refusalCodes = [
  "other_realm",
  "other_primary",
  "stale_epoch",
  "not_a_backup",
  "protocol_unsupported",
  "forked",
  "resume",
] as const satisfies readonly PushRefusal[];
const refusedFrame = identityFrame.extend({
  code: z.enum(refusalCodes),
  rejected: z.array(rejection).max(rejectedMax).default([]),
});

export type Refused = {
  readonly code: PushRefusal;
  readonly identity: Identity;
  readonly rejected: readonly Rejection[];
};

export function encodeRefused(
  code: PushRefusal,
  identity: Identity,
  rejected: readonly Rejection[] = [],
): object {
  return { code, ...encodeIdentity(identity), rejected: rejected.map(encodeRejection) };
}

export function readRefused(body: unknown): Refused | undefined {
  const frame = refusedFrame.safeParse(body);
  if (!frame.success) return undefined;
  const { code, rejected } = frame.data;
  return { code, identity: decodeIdentity(frame.data), rejected: rejected.map(decodeRejection) };
}

function encodeRejection({ key, position, code }: Rejection): z.input<typeof rejection> {
  return { kind: key.kind, key: key.key, position: formatPosition(position), code };
}

function decodeRejection({ kind, key, position, code }: z.output<typeof rejection>): Rejection {
  return { key: { kind, key }, position: decodePosition(position), code };
}
