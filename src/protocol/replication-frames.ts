import { z } from "zod";
import type { Epoch, Promotion } from "../core/epoch.ts";
import { type AccessId, type EntryId, isSiteName, isUuid, type RealmId, type VaultId } from "../core/ids.ts";
import { formatPosition, type Point, type Position, parsePosition } from "../core/position.ts";
import {
  type Identity,
  type Push,
  type PushedRow,
  type PushRefusal,
  protocolVersion,
  type Rejection,
  type WireKey,
  wireKeyOf,
} from "../core/push.ts";
import { type Row, type RowKey, rowBodyBytesMax } from "../core/row.ts";

/**
 * The frames that sites exchange, as JSON: the design, section 5. Envelopes are read by schema, rows one by one, since a row
 * that cannot be read is refused alone and must not take the batch with it. Unknown fields of an envelope are ignored: a peer
 * one protocol newer may send them.
 */

const siteName = z.string().refine(isSiteName, "a site's name");
const hash = z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits");
const position = z.string().refine((text) => parsePosition(text) !== undefined, "a position such as 1:52");
const realmId = z
  .string()
  .refine(isUuid, "a realm's id")
  .transform((text) => text as RealmId);
const epoch = z.object({ number: z.int().min(0), id: z.string().max(64) });
const promotion = z.object({ epoch, site: siteName, from: position, from_chain: hash });

const identityFrame = z.object({
  site: siteName,
  realm: realmId.nullable(),
  role: z.enum(["primary", "backup"]),
  epoch,
  applied: position,
  chain: hash,
});

const pushFrame = z.object({
  protocol: z.int().min(0),
  realm: realmId,
  site: siteName,
  public_url: z.string().max(2048),
  epoch,
  timeline: z.array(promotion).max(10_000),
  after: position,
  after_chain: hash,
  through: position,
  chain: hash,
  digest: hash.nullable(),
  rows: z.array(z.unknown()).max(10_000),
});

const helloFrame = identityFrame.extend({ protocol: z.int().min(0), public_url: z.string().max(2048) });

const rejectionCodes = ["row_kind_unknown", "row_malformed", "row_too_large", "row_hash_wrong"] as const;
const wireKeyFrame = z.object({
  kind: z.string().min(1).max(64),
  key: z
    .record(z.string().max(64), z.string().max(64))
    .refine((ids) => Object.keys(ids).length <= 4, "at most four ids"),
});

const rejection = wireKeyFrame.extend({ position, code: z.enum(rejectionCodes) });

const appliedFrame = identityFrame.extend({
  accepted: z.int().min(0),
  ignored: z.int().min(0),
  rejected: z.array(rejection).max(10_000),
  verified: z.boolean().nullable(),
});

const refusalCodes = [
  "other_realm",
  "stale_epoch",
  "not_a_backup",
  "protocol_unsupported",
  "forked",
  "resume",
] as const satisfies readonly PushRefusal[];
const refusedFrame = identityFrame.extend({
  code: z.enum(refusalCodes),
  rejected: z.array(rejection).max(10_000).default([]),
});

/** What a frame turned out to be: readable, of a protocol that this program does not speak, or malformed. */
export type Decoded<T> =
  | { readonly kind: "decoded"; readonly value: T }
  | { readonly kind: "unsupported" }
  | { readonly kind: "malformed"; readonly paths: readonly string[] };

export type Hello = { readonly identity: Identity; readonly publicUrl: string };

export function encodePush(push: Push): string {
  return JSON.stringify({
    protocol: push.protocol,
    realm: push.realm,
    site: push.site,
    public_url: push.publicUrl,
    epoch: push.epoch,
    timeline: push.timeline.map(encodePromotion),
    after: formatPosition(push.after.position),
    after_chain: toHex(push.after.chain),
    through: formatPosition(push.through.position),
    chain: toHex(push.through.chain),
    digest: push.digest && toHex(push.digest),
    rows: push.rows.map((pushed) => (pushed.kind === "row" ? encodeRow(pushed.row) : pushed.key)),
  });
}

export function decodePush(body: unknown): Decoded<Push> {
  const frame = read(pushFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  const rows = value.rows.map(readRow);
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
      timeline: value.timeline.map(decodePromotion),
      after: point(value.after, value.after_chain),
      through: point(value.through, value.chain),
      digest: value.digest === null ? null : fromHex(value.digest),
      rows: rows.filter((row) => row !== undefined),
    },
  };
}

export function encodeHello(hello: Hello): string {
  const frame = { protocol: protocolVersion, public_url: hello.publicUrl, ...encodeIdentity(hello.identity) };
  return JSON.stringify(frame);
}

export function decodeHello(body: unknown): Decoded<Hello> {
  const frame = read(helloFrame, body);
  if (frame.kind !== "decoded") return frame;
  return {
    kind: "decoded",
    value: { identity: decodeIdentity(frame.value), publicUrl: frame.value.public_url },
  };
}

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

/** The identity in an answer's body; undefined where there is none that makes sense. */
export function readIdentity(body: unknown): Identity | undefined {
  const frame = identityFrame.safeParse(body);
  return frame.success ? decodeIdentity(frame.data) : undefined;
}

export type Applied = {
  readonly identity: Identity;
  readonly accepted: number;
  readonly ignored: number;
  readonly rejected: readonly Rejection[];
  readonly verified: boolean | null;
};

export function encodeApplied(applied: Applied): object {
  return {
    ...encodeIdentity(applied.identity),
    accepted: applied.accepted,
    ignored: applied.ignored,
    rejected: applied.rejected.map(encodeRejection),
    verified: applied.verified,
  };
}

export function readApplied(body: unknown): Applied | undefined {
  const frame = appliedFrame.safeParse(body);
  if (!frame.success) return undefined;
  const { accepted, ignored, rejected, verified } = frame.data;
  return {
    identity: decodeIdentity(frame.data),
    accepted,
    ignored,
    rejected: rejected.map(decodeRejection),
    verified,
  };
}

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

function encodeRejection({ key, position: at, code }: Rejection): z.input<typeof rejection> {
  return { kind: key.kind, key: key.key, position: formatPosition(at), code };
}

function decodeRejection({ kind, key, position: text, code }: z.output<typeof rejection>): Rejection {
  return { key: { kind, key }, position: positionOf(text), code };
}

/** The key that a wire form names; null where its ids are none, undefined where its kind is unknown. */
export function decodeKey({ kind, key }: WireKey): RowKey | null | undefined {
  const { vault_id: vaultId = "", access_id: accessId = "", entry_id: entryId = "" } = key;
  const ids = Object.keys(key).length;
  switch (kind) {
    case "vault":
      return ids === 1 && isUuid(vaultId) ? { kind, vaultId: vaultId as VaultId } : null;
    case "access":
      if (ids !== 2 || !isUuid(vaultId) || !isUuid(accessId)) return null;
      return { kind, vaultId: vaultId as VaultId, accessId: accessId as AccessId };
    case "entry":
      if (ids !== 2 || !isUuid(vaultId) || !isUuid(entryId)) return null;
      return { kind, vaultId: vaultId as VaultId, entryId: entryId as EntryId };
    default:
      return undefined;
  }
}

function encodeRow(row: Row): object {
  return {
    ...wireKeyOf(row.key),
    position: formatPosition(row.position),
    deleted: row.body === null,
    hash: toHex(row.hash),
    body: row.body && toBase64(row.body),
  };
}

/**
 * Reads one row by hand: at a hundred rows a push, this is the hot path of a backup. Hashes are checked where it is applied.
 * Undefined where not even its key and position can be read: what cannot be named cannot be refused alone, and passing over
 * it would lose it.
 */
function readRow(raw: unknown): PushedRow | undefined {
  if (!isRecord(raw)) return undefined;
  const wireKey = readWireKey(raw);
  const at = typeof raw["position"] === "string" ? parsePosition(raw["position"]) : undefined;
  const key = wireKey && decodeKey(wireKey);
  if (wireKey === undefined || key === null || at === undefined) return undefined;
  const unreadable = (code: Rejection["code"]): PushedRow => ({
    kind: "unreadable",
    key: wireKey,
    position: at,
    code,
  });
  if (key === undefined) return unreadable("row_kind_unknown");
  const { deleted, hash: hashText, body: bodyText } = raw;
  const isBody = deleted === true ? bodyText === null : deleted === false && isBase64(bodyText);
  if (!isBody || typeof hashText !== "string" || !hexPattern.test(hashText))
    return unreadable("row_malformed");
  const body = typeof bodyText === "string" ? new Uint8Array(Buffer.from(bodyText, "base64")) : null;
  if (body !== null && body.length > rowBodyBytesMax) return unreadable("row_too_large");
  return { kind: "row", row: { key, position: at, hash: fromHex(hashText), body } };
}

const hexPattern = /^[0-9a-f]{64}$/;
const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;

function isBase64(value: unknown): value is string {
  return typeof value === "string" && value.length % 4 === 0 && base64Pattern.test(value);
}

/** A kind and at most four short ids, whatever they are called. */
function readWireKey(fields: Record<string, unknown>): WireKey | undefined {
  const key = wireKeyFrame.safeParse(fields);
  return key.success ? key.data : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads an envelope. A frame of another protocol need not have this one's form, so that is looked at first. */
function read<T>(schema: z.ZodType<T>, body: unknown): Decoded<T> {
  const result = schema.safeParse(body);
  if (result.success) return { kind: "decoded", value: result.data };
  const protocol = isRecord(body) ? body["protocol"] : undefined;
  if (typeof protocol === "number" && protocol > protocolVersion) return { kind: "unsupported" };
  return { kind: "malformed", paths: result.error.issues.map((issue) => issue.path.join(".")) };
}

type IdentityFrame = z.output<typeof identityFrame>;

function decodeIdentity(frame: IdentityFrame): Identity {
  const { site, realm, role, epoch: at } = frame;
  return { site, realm, role, epoch: at, applied: point(frame.applied, frame.chain) };
}

function encodePromotion(line: Promotion): z.input<typeof promotion> {
  const { epoch: at, site, from } = line;
  return { epoch: at, site, from: formatPosition(from.position), from_chain: toHex(from.chain) };
}

function decodePromotion(line: z.output<typeof promotion>): Promotion {
  const at: Epoch = line.epoch;
  return { epoch: at, site: line.site, from: point(line.from, line.from_chain) };
}

function point(positionText: string, chainHex: string): Point {
  return { position: positionOf(positionText), chain: fromHex(chainHex) };
}

/** @param text checked by the schema already */
function positionOf(text: string): Position {
  const at = parsePosition(text);
  if (at === undefined) throw new Error("a position passed its schema and is none");
  return at;
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}
