import { z } from "zod";
import type { Promotion } from "../core/epoch.ts";
import type { GrantMessage } from "../core/ports.ts";
import { formatPosition, type Point } from "../core/position.ts";
import type { Identity } from "../core/push.ts";
import type { Grant, GrantAnswer } from "../core/store/roles.ts";
import { decodeIdentity, encodeIdentity, encodeRequest, requestFrame } from "./identity-frames.ts";
import {
  type Decoded,
  decodePoint,
  decodeTimeline,
  encodePoints,
  encodeTimeline,
  epochField,
  hashField,
  pointsField,
  positionField,
  readEnvelope,
  siteNameField,
  timelineField,
  toHex,
  uuidField,
} from "./wire-fields.ts";

/** What sites say to each other when a role changes: the design, section 8. */

export type Locate = { readonly identity: Identity; readonly points: readonly Point[] };

const locateFrame = requestFrame.extend({ points: pointsField });

export function encodeLocate({ identity, points }: Locate): string {
  return encodeRequest(identity, { points: encodePoints(points) });
}

export function decodeLocate(body: unknown): Decoded<Locate> {
  const frame = readEnvelope(locateFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  return {
    kind: "decoded",
    value: { identity: decodeIdentity(value), points: value.points },
  };
}

/** `common`: the first of the points that the answering site's history went through. */
export type LocateReply = { readonly timeline: readonly Promotion[]; readonly common: Point | null };

const locateReplyFrame = z.object({
  timeline: timelineField,
  common: z.tuple([positionField, hashField]).nullable(),
});

export function encodeLocateReply(identity: Identity, { timeline, common }: LocateReply): object {
  return {
    ...encodeIdentity(identity),
    timeline: encodeTimeline(timeline),
    common: common && [formatPosition(common.position), toHex(common.chain)],
  };
}

export function readLocateReply(body: unknown): LocateReply | undefined {
  const frame = locateReplyFrame.safeParse(body);
  if (!frame.success) return undefined;
  const { timeline, common } = frame.data;
  return { timeline: decodeTimeline(timeline), common: common && decodePoint(...common) };
}

const grantFields = z.object({
  id: uuidField,
  to: siteNameField,
  epoch: epochField,
  head: positionField,
  chain: hashField,
});

const grantMessage = z.discriminatedUnion("action", [
  z.object({ action: z.literal("request") }),
  z.object({ action: z.literal("declined"), grant_id: uuidField }),
  z.object({ action: z.literal("revoke"), grant_id: uuidField }),
  z.object({ action: z.literal("take"), grant: grantFields }),
]);

const grantFrame = z.intersection(requestFrame, grantMessage);

export type GrantRequest = { readonly identity: Identity; readonly message: GrantMessage };

export function encodeGrantRequest({ identity, message }: GrantRequest): string {
  return encodeRequest(identity, encodeGrantMessage(message));
}

function encodeGrantMessage(message: GrantMessage): z.input<typeof grantMessage> {
  const { action } = message;
  switch (action) {
    case "request":
      return { action };
    case "declined":
    case "revoke":
      return { action, grant_id: message.grantId };
    case "take":
      return { action, grant: encodeGrant(message.grant) };
  }
}

export function decodeGrantRequest(body: unknown): Decoded<GrantRequest> {
  const frame = readEnvelope(grantFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  return {
    kind: "decoded",
    value: { identity: decodeIdentity(value), message: decodeGrantMessage(value) },
  };
}

function decodeGrantMessage(message: z.output<typeof grantMessage>): GrantMessage {
  const { action } = message;
  switch (action) {
    case "request":
      return { action };
    case "declined":
    case "revoke":
      return { action, grantId: message.grant_id };
    case "take":
      return { action, grant: decodeGrant(message.grant) };
  }
}

/** The grant that is open, and the answer to one; each null where the message asks for none. */
export type GrantResult = { readonly grant: Grant | null; readonly answer: GrantAnswer | null };

const grantReplyFrame = z.object({
  grant: grantFields.nullable(),
  answer: z.enum(["promoted", "declined"]).nullable(),
});

export function encodeGrantReply(identity: Identity, { grant, answer }: GrantResult): object {
  return { ...encodeIdentity(identity), grant: grant && encodeGrant(grant), answer };
}

export function readGrantReply(body: unknown): GrantResult | undefined {
  const frame = grantReplyFrame.safeParse(body);
  if (!frame.success) return undefined;
  const { grant, answer } = frame.data;
  return { grant: grant && decodeGrant(grant), answer };
}

function encodeGrant({ id, to, epoch, head }: Grant): z.input<typeof grantFields> {
  return { id, to, epoch, head: formatPosition(head.position), chain: toHex(head.chain) };
}

function decodeGrant({ id, to, epoch, head, chain }: z.output<typeof grantFields>): Grant {
  return { id, to, epoch, head: decodePoint(head, chain) };
}
