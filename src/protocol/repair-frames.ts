import { z } from "zod";
import type { RepairCursor, RepairReply, RepairRequest, RepairStep } from "../core/ports.ts";
import { formatPosition } from "../core/position.ts";
import type { Identity } from "../core/push.ts";
import type { RowSummary } from "../core/repair.ts";
import { formatKey } from "../core/row.ts";
import { decodeIdentity, encodeIdentity, encodeRequest, requestFrame } from "./identity-frames.ts";
import {
  type Decoded,
  decodePoint,
  decodePosition,
  fromHex,
  hashField,
  positionField,
  readBase64,
  readEnvelope,
  toBase64,
  toHex,
} from "./wire-fields.ts";
import { encodeKeys, encodeRow, keyField, rowField } from "./wire-rows.ts";

/** The steps of a repair and their answers: the design, section 7. */

const bucketField = z.int().min(0).max(255);
const bucketsField = z.array(bucketField).max(256);
const cursorField = z.object({ bucket: bucketField, key: keyField });
const keysField = z.array(keyField).max(10_000);
const rowsField = z.array(rowField).max(10_000);
/** A row without its body, as a tuple: a bucket of a large site has thousands. */
const summaryField = z.tuple([keyField, positionField, hashField, z.boolean()]);

const stepFields = z.discriminatedUnion("step", [
  z.object({ step: z.literal("recount") }),
  z.object({ step: z.literal("list"), buckets: bucketsField, after: cursorField.nullable() }),
  z.object({ step: z.literal("fetch"), keys: keysField }),
  z.object({ step: z.literal("apply"), rows: rowsField, remove: keysField }),
]);

const repairFrame = z.intersection(
  requestFrame.extend({ at: positionField, at_chain: hashField }),
  stepFields,
);

export function encodeRepair(request: RepairRequest): string {
  const { from, at } = request;
  const point = { at: formatPosition(at.position), at_chain: toHex(at.chain) };
  return encodeRequest(from, { ...point, ...encodeStep(request) });
}

function encodeStep(step: RepairStep): object {
  switch (step.step) {
    case "recount":
      return { step: step.step };
    case "list":
      return { step: step.step, buckets: step.buckets, after: encodeCursor(step.after) };
    case "fetch":
      return { step: step.step, keys: encodeKeys(step.keys) };
    case "apply":
      return { step: step.step, rows: step.rows.map(encodeRow), remove: encodeKeys(step.remove) };
  }
}

export function decodeRepair(body: unknown): Decoded<RepairRequest> {
  const frame = readEnvelope(repairFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  const from = decodeIdentity(value);
  return { kind: "decoded", value: { ...stepOf(value), from, at: decodePoint(value.at, value.at_chain) } };
}

function stepOf(value: z.output<typeof stepFields>): RepairStep {
  switch (value.step) {
    case "recount":
      return { step: value.step };
    case "list":
      return { step: value.step, buckets: value.buckets, after: value.after };
    case "fetch":
      return { step: value.step, keys: value.keys };
    case "apply":
      return { step: value.step, rows: value.rows, remove: value.remove };
  }
}

const bucketsBytes = 8_192;
const bucketsText = z.string().transform((text, context): Uint8Array => {
  const buckets = readBase64(text);
  if (buckets?.length === bucketsBytes) return buckets;
  context.addIssue({ code: "custom", message: "the digests of 256 buckets" });
  return z.NEVER;
});

const replyFields = z.discriminatedUnion("step", [
  z.object({
    step: z.literal("recount"),
    buckets: bucketsText,
    damaged: bucketsField,
    rows: z.int().min(0),
  }),
  z.object({
    step: z.literal("list"),
    rows: z.array(summaryField).max(10_000),
    next: cursorField.nullable(),
  }),
  z.object({ step: z.literal("fetch"), rows: rowsField }),
  z.object({
    step: z.literal("apply"),
    replaced: z.int().min(0),
    removed: z.int().min(0),
    refused: z.int().min(0),
  }),
]);

export function encodeRepairReply(identity: Identity, reply: RepairReply): object {
  return { ...encodeIdentity(identity), ...encodeReply(reply) };
}

function encodeReply(reply: RepairReply): object {
  switch (reply.step) {
    case "recount":
      return { ...reply, buckets: toBase64(reply.buckets) };
    case "list":
      return { step: reply.step, rows: reply.rows.map(encodeSummary), next: encodeCursor(reply.next) };
    case "fetch":
      return { step: reply.step, rows: reply.rows.map(encodeRow) };
    case "apply":
      return reply;
  }
}

export function readRepairReply(body: unknown): RepairReply | undefined {
  const frame = replyFields.safeParse(body);
  if (!frame.success) return undefined;
  const reply = frame.data;
  switch (reply.step) {
    case "list":
      return { step: reply.step, rows: reply.rows.map(decodeSummary), next: reply.next };
    case "recount":
    case "fetch":
    case "apply":
      return reply;
  }
}

function encodeCursor(cursor: RepairCursor | null): object | null {
  return cursor && { bucket: cursor.bucket, key: formatKey(cursor.key) };
}

function encodeSummary({ key, position, hash, isIntact }: RowSummary): z.input<typeof summaryField> {
  return [formatKey(key), formatPosition(position), toHex(hash), isIntact];
}

function decodeSummary([key, position, hash, isIntact]: z.output<typeof summaryField>): RowSummary {
  return { key, position: decodePosition(position), hash: fromHex(hash), isIntact };
}
