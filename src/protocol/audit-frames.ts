import { z } from "zod";
import {
  type ActorKind,
  type AuditHead,
  type AuditMark,
  type AuditPart,
  type AuditRecord,
  auditChainsMax,
  auditDetailsMax,
  auditFieldMax,
  auditPartMax,
} from "../core/audit.ts";
import type { ChainId, SiteName } from "../core/ids.ts";
import { fromHex, hashField, readBase64, siteNameField, toBase64, toHex, uuidField } from "./wire-fields.ts";

/**
 * What a push and its ACK tell of the audit. It is read apart from the frame that carries it: one that cannot be read is as if it
 * were not there, since nothing of replication depends on it.
 */

const markFrame = z.object({ seq: z.int().min(0), hash: hashField });
const headFrame = z.object({ chain: uuidField, site: siteNameField, anchor: markFrame, head: markFrame });
const text = z
  .string()
  .max(auditFieldMax)
  .regex(/^[\x20-\x7e]*$/);

const recordFrame = z.object({
  chain: uuidField,
  seq: z.int().min(1),
  at: z.int().min(0),
  // A newer program may know more kinds: the hash covers whatever it is called.
  actor: z.object({ kind: text, id: text.nullable() }),
  action: text,
  vault_id: text.nullable(),
  item_id: text.nullable(),
  address: text.nullable(),
  result: text,
  details: z
    .string()
    .max(2 * auditDetailsMax)
    .nullable(),
  hash: hashField,
});

const partFrame = z.object({
  heads: z.array(headFrame).max(auditChainsMax),
  records: z.array(recordFrame).max(auditPartMax.records),
  more: z.boolean(),
});

export function encodeAuditPart({ heads, records, more }: AuditPart): z.input<typeof partFrame> {
  return { heads: heads.map(encodeHead), records: records.map(encodeRecord), more };
}

/** Undefined where there is none that makes sense. */
export function readAuditPart(value: unknown): AuditPart | undefined {
  if (value === undefined) return undefined;
  const frame = partFrame.safeParse(value);
  if (!frame.success) return undefined;
  const { heads, records, more } = frame.data;
  return { heads: heads.map(decodeHead), records: records.map(decodeRecord), more };
}

function encodeHead({ chain, site, anchor, head }: AuditHead): z.input<typeof headFrame> {
  return { chain, site, anchor: encodeMark(anchor), head: encodeMark(head) };
}

function decodeHead({ chain, site, anchor, head }: z.output<typeof headFrame>): AuditHead {
  return {
    chain: chain as ChainId,
    site: site as SiteName,
    anchor: decodeMark(anchor),
    head: decodeMark(head),
  };
}

function encodeMark({ seq, hash }: AuditMark): z.input<typeof markFrame> {
  return { seq, hash: toHex(hash) };
}

function decodeMark({ seq, hash }: z.output<typeof markFrame>): AuditMark {
  return { seq, hash: fromHex(hash) };
}

function encodeRecord(record: AuditRecord): z.input<typeof recordFrame> {
  const { chain, seq, at, actor, action, address, result, details } = record;
  return {
    chain,
    seq,
    at,
    actor,
    action,
    vault_id: record.vaultId,
    item_id: record.itemId,
    address,
    result,
    details: details && toBase64(details),
    hash: toHex(record.hash),
  };
}

/** Details that are no base64 end as bytes that the record's hash does not cover, and the record is not taken. */
function decodeRecord(frame: z.output<typeof recordFrame>): AuditRecord {
  const { chain, seq, at, actor, action, address, result, details } = frame;
  return {
    chain: chain as ChainId,
    seq,
    at,
    actor: { kind: actor.kind as ActorKind, id: actor.id },
    action,
    vaultId: frame.vault_id,
    itemId: frame.item_id,
    address,
    result,
    details: details === null ? null : (readBase64(details) ?? new Uint8Array(0)),
    hash: fromHex(frame.hash),
  };
}
