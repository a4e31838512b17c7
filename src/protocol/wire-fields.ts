import { z } from "zod";
import type { Promotion } from "../core/epoch.ts";
import { isSiteName, isUuid, type RealmId } from "../core/ids.ts";
import { formatPosition, type Point, type Position, parsePosition } from "../core/position.ts";
import { protocolVersion } from "../core/push.ts";

/**
 * What all frames are made of. Frames travel as JSON; envelopes are read by schema, strict about what they need. Unknown
 * fields of an envelope are ignored: a peer one protocol newer may send them.
 */

export const siteNameField = z.string().refine(isSiteName, "a site's name");
export const hashField = z.string().refine(isHash, "64 hexadecimal digits");
export const positionField = z
  .string()
  .refine((text) => parsePosition(text) !== undefined, "a position such as 1:52");
export const realmField = z
  .string()
  .refine(isUuid, "a realm's id")
  .transform((text) => text as RealmId);
export const uuidField = z.string().refine(isUuid, "an id");
export const epochField = z.object({ number: z.int().min(0), id: z.string().max(64) });
export const protocolField = z.int().min(0);
/** RFC 3339 in UTC. */
export const timeField = z.iso.datetime();
export const timelineField = z
  .array(z.object({ epoch: epochField, site: siteNameField, from: positionField, from_chain: hashField }))
  .max(10_000);
/**
 * Points as pairs of position and chain. Read by hand: thousands of them may stand in one frame, and a push waits for them.
 */
export const pointsField = z
  .array(z.unknown())
  .max(4_000)
  .transform((pairs, context): readonly Point[] => {
    const points: Point[] = [];
    for (const [index, pair] of pairs.entries()) {
      const point = readPoint(pair);
      if (point) points.push(point);
      else context.addIssue({ code: "custom", message: "a position and its chain", path: [index] });
    }
    return points;
  });

function readPoint(pair: unknown): Point | undefined {
  if (!Array.isArray(pair) || pair.length !== 2) return undefined;
  const [text, chain]: unknown[] = pair;
  const position = typeof text === "string" ? parsePosition(text) : undefined;
  return position && isHash(chain) ? { position, chain: fromHex(chain) } : undefined;
}

/** What a frame turned out to be: readable, of a protocol that this program does not speak, or malformed. */
export type Decoded<T> =
  | { readonly kind: "decoded"; readonly value: T }
  | { readonly kind: "unsupported" }
  | { readonly kind: "malformed"; readonly paths: readonly string[] };

/** Reads an envelope. A frame of another protocol need not have this one's form, so that is looked at first. */
export function readEnvelope<T>(schema: z.ZodType<T>, body: unknown): Decoded<T> {
  const result = schema.safeParse(body);
  if (result.success) return { kind: "decoded", value: result.data };
  const protocol = isRecord(body) ? body["protocol"] : undefined;
  if (typeof protocol === "number" && protocol > protocolVersion) return { kind: "unsupported" };
  return { kind: "malformed", paths: result.error.issues.map((issue) => issue.path.join(".")) };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function encodeTimeline(timeline: readonly Promotion[]): z.input<typeof timelineField> {
  return timeline.map(({ epoch, site, from }) => ({
    epoch,
    site,
    from: formatPosition(from.position),
    from_chain: toHex(from.chain),
  }));
}

export function decodeTimeline(lines: z.output<typeof timelineField>): readonly Promotion[] {
  return lines.map(({ epoch, site, from, from_chain }) => ({
    epoch,
    site,
    from: decodePoint(from, from_chain),
  }));
}

export function encodePoints(points: readonly Point[]): readonly (readonly [string, string])[] {
  return points.map(({ position, chain }) => [formatPosition(position), toHex(chain)]);
}

/** Of texts that their schema has checked. */
export function decodePoint(position: string, chain: string): Point {
  return { position: decodePosition(position), chain: fromHex(chain) };
}

/** @param text checked by the schema already */
export function decodePosition(text: string): Position {
  const position = parsePosition(text);
  if (position === undefined) throw new Error("a position passed its schema and is none");
  return position;
}

export function encodeTime(ms: number): string {
  return new Date(ms).toISOString();
}

export function toHex(bytes: Uint8Array): string {
  return bufferOf(bytes).toString("hex");
}

/** @param text checked already: two digits a byte */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  bufferOf(bytes).write(text, "hex");
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  return bufferOf(bytes).toString("base64");
}

/**
 * The bytes of a base64 text with its padding; undefined where it is none. The decoder passes over what is no base64, so that
 * as many bytes as the length promises are the proof: a pattern would cost more than everything else about a row.
 */
export function readBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  return bufferOf(bytes).write(text, "base64") === bytes.length ? bytes : undefined;
}

const hashPattern = /^[0-9a-f]{64}$/;

/** The text of 32 bytes. */
export function isHash(value: unknown): value is string {
  return typeof value === "string" && hashPattern.test(value);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
