import { z } from "zod";
import type { AsideRow } from "../core/aside.ts";
import type { StrandedId } from "../core/ids.ts";
import type { AsideReply, AsideStep } from "../core/ports.ts";
import { formatPosition } from "../core/position.ts";
import type { Identity } from "../core/push.ts";
import { decodeIdentity, encodeIdentity, encodeRequest, requestFrame } from "./identity-frames.ts";
import {
  type Decoded,
  decodePosition,
  encodeTime,
  positionField,
  readEnvelope,
  siteNameField,
  timeField,
  uuidField,
} from "./wire-fields.ts";
import { encodeRow, rowField } from "./wire-rows.ts";

/** How a primary collects what a backup has put aside: the design, section 8. */

/** Rows that one list may ask for, and one settlement may name. */
export const asideRowsMax = 100;

const strandedIdField = uuidField.transform((text) => text as StrandedId);
const idsField = z.array(strandedIdField).max(asideRowsMax);

const stepFields = z.discriminatedUnion("step", [
  z.object({ step: z.literal("list"), limit: z.int().min(1).max(asideRowsMax) }),
  z.object({ step: z.literal("settle"), struck: idsField, taken: idsField }),
]);

const asideFrame = z.intersection(requestFrame, stepFields);

export type AsideRequest = { readonly identity: Identity; readonly step: AsideStep };

export function encodeAside({ identity, step }: AsideRequest): string {
  return encodeRequest(identity, step);
}

export function decodeAside(body: unknown): Decoded<AsideRequest> {
  const frame = readEnvelope(asideFrame, body);
  if (frame.kind !== "decoded") return frame;
  const { value } = frame;
  const step: AsideStep =
    value.step === "list"
      ? { step: value.step, limit: value.limit }
      : { step: value.step, struck: value.struck, taken: value.taken };
  return { kind: "decoded", value: { identity: decodeIdentity(value), step } };
}

const asideRow = z.object({
  row: rowField,
  id: strandedIdField,
  fork: positionField,
  site: siteNameField,
  at: timeField,
});

const replyFrame = z.object({ rows: z.array(asideRow).max(asideRowsMax), waiting: z.int().min(0) });

export function encodeAsideReply(identity: Identity, { rows, waiting }: AsideReply): object {
  return { ...encodeIdentity(identity), rows: rows.map(encodeAsideRow), waiting };
}

export function readAsideReply(body: unknown): AsideReply | undefined {
  const frame = replyFrame.safeParse(body);
  if (!frame.success) return undefined;
  return { rows: frame.data.rows.map(decodeAsideRow), waiting: frame.data.waiting };
}

function encodeAsideRow(aside: AsideRow): object {
  const { id, fork, site, at } = aside;
  return { row: encodeRow(aside), id, fork: formatPosition(fork), site, at: encodeTime(at) };
}

function decodeAsideRow({ row, id, fork, site, at }: z.output<typeof asideRow>): AsideRow {
  return { ...row, id, fork: decodePosition(fork), site, at: Date.parse(at) };
}
