import { z } from "zod";
import type { Promotion } from "../core/epoch.ts";
import { type ErrorCode, errorCodes } from "../core/errors.ts";
import { formatPosition } from "../core/position.ts";
import { type Identity, protocolVersion } from "../core/push.ts";
import {
  type Decoded,
  decodePoint,
  decodeTimeline,
  encodeTime,
  encodeTimeline,
  epochField,
  hashField,
  isRecord,
  positionField,
  protocolField,
  readEnvelope,
  realmField,
  siteNameField,
  timeField,
  timelineField,
  toHex,
} from "./wire-fields.ts";

export const identityFrame = z.object({
  site: siteNameField,
  realm: realmField.nullable(),
  role: z.enum(["primary", "backup"]),
  epoch: epochField,
  applied: positionField,
  chain: hashField,
});

/** What every request but a push begins with. */
export const requestFrame = identityFrame.extend({ protocol: protocolField });

/** The fields in which a site names itself; they stand in every answer after the credential, refusals included. */
export function encodeIdentity(identity: Identity): z.input<typeof identityFrame> {
  return {
    site: identity.site,
    realm: identity.realm,
    role: identity.role,
    epoch: identity.epoch,
    applied: formatPosition(identity.applied.position),
    chain: toHex(identity.applied.chain),
  };
}

export function decodeIdentity(frame: z.output<typeof identityFrame>): Identity {
  const { site, realm, role, epoch } = frame;
  return { site, realm, role, epoch, applied: decodePoint(frame.applied, frame.chain) };
}

/** The identity in an answer's body; undefined where there is none that makes sense. */
export function readIdentity(body: unknown): Identity | undefined {
  const frame = identityFrame.safeParse(body);
  return frame.success ? decodeIdentity(frame.data) : undefined;
}

/** The text of a request, with who sends it in front. */
export function encodeRequest(identity: Identity, fields: object): string {
  return JSON.stringify({ protocol: protocolVersion, ...encodeIdentity(identity), ...fields });
}

/** Why a request is refused, in the words of problem+json; undefined where the body is no such thing. */
export function readRefusal(
  body: unknown,
): { readonly code: ErrorCode; readonly detail: string } | undefined {
  if (!isRecord(body)) return undefined;
  const { code, detail } = body;
  if (typeof code !== "string" || !isErrorCode(code)) return undefined;
  return {
    code,
    detail: typeof detail === "string" ? detail.slice(0, detailLengthMax) : errorCodes[code].meaning,
  };
}

const detailLengthMax = 1_000;

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

export type Hello = { readonly identity: Identity; readonly publicUrl: string };

const helloFrame = requestFrame.extend({ public_url: z.string().max(2048) });

export function encodeHello({ identity, publicUrl }: Hello): string {
  return encodeRequest(identity, { public_url: publicUrl });
}

export function decodeHello(body: unknown): Decoded<Hello> {
  const frame = readEnvelope(helloFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  return { kind: "decoded", value: { identity: decodeIdentity(value), publicUrl: value.public_url } };
}

/** What a site answers to a hello beside its identity: its timeline, and when it was last proved equal. */
export type HelloReply = { readonly timeline: readonly Promotion[]; readonly verifiedAt: number | null };

const helloReplyFrame = z.object({ timeline: timelineField, verified_at: timeField.nullable() });

export function encodeHelloReply(identity: Identity, { timeline, verifiedAt }: HelloReply): object {
  return {
    ...encodeIdentity(identity),
    timeline: encodeTimeline(timeline),
    verified_at: verifiedAt === null ? null : encodeTime(verifiedAt),
  };
}

export function readHelloReply(body: unknown): HelloReply | undefined {
  const frame = helloReplyFrame.safeParse(body);
  if (!frame.success) return undefined;
  const { timeline, verified_at: at } = frame.data;
  return { timeline: decodeTimeline(timeline), verifiedAt: at === null ? null : Date.parse(at) };
}
