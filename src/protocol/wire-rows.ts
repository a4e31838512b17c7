import { z } from "zod";
import {
  type AccessId,
  type EntryId,
  isUuid,
  isVersionId,
  type StrandedId,
  type VaultId,
} from "../core/ids.ts";
import { formatPosition, parsePosition } from "../core/position.ts";
import { type PushedRow, type Rejection, type WireKey, wireKeyOf } from "../core/push.ts";
import { formatKey, type Row, rowBodyBytesMaxOf, type RowKey } from "../core/row.ts";
import { fromHex, isHash, isRecord, readBase64, toBase64, toHex } from "./wire-fields.ts";

const idsMax = 4;
const nameLengthMax = 64;

/** A kind and at most four short ids, whatever they are called: a row may be of a kind that this program does not know. */
export const wireKeyFrame = z.object({
  kind: z.string().refine(isKind, "a row's kind"),
  key: z.custom<WireKey["key"]>(isIds, "at most four short ids"),
});

function isKind(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= nameLengthMax;
}

function isIds(value: unknown): value is WireKey["key"] {
  if (!isRecord(value)) return false;
  const ids = Object.entries(value);
  return ids.length <= idsMax && ids.every(([name, id]) => name.length <= nameLengthMax && isShort(id));
}

function isShort(value: unknown): value is string {
  return typeof value === "string" && value.length <= nameLengthMax;
}

/** The key that a wire form names; null where its ids are none, undefined where its kind is unknown. */
export function decodeKey({ kind, key }: WireKey): RowKey | null | undefined {
  const {
    vault_id: vault = "",
    access_id: access = "",
    entry_id: entry = "",
    version_id: version = "",
    stranded_id: stranded = "",
  } = key;
  const count = Object.keys(key).length;
  const vaultId = vault as VaultId;
  const isPair = (id: string): boolean => count === 2 && isUuid(vault) && isUuid(id);
  switch (kind) {
    case "vault":
      return count === 1 && isUuid(vault) ? { kind, vaultId } : null;
    case "access":
      return isPair(access) ? { kind, vaultId, accessId: access as AccessId } : null;
    case "entry":
      return isPair(entry) ? { kind, vaultId, entryId: entry as EntryId } : null;
    case "version":
      return count === 2 && isUuid(vault) && isVersionId(version)
        ? { kind, vaultId, versionId: version }
        : null;
    case "stranded":
      return isPair(stranded) ? { kind, vaultId, strandedId: stranded as StrandedId } : null;
    default:
      return undefined;
  }
}

const idNames: Readonly<Record<string, string>> = {
  access: "access_id",
  entry: "entry_id",
  version: "version_id",
  stranded: "stranded_id",
};

/** A key as one text, where a frame names rows without their content. Inverse of core's formatKey; see decodeKey. */
export function parseKey(text: string): RowKey | null | undefined {
  const [kind = "", vaultId = "", id, ...rest] = text.split("/");
  if (rest.length > 0) return null;
  const name = idNames[kind] ?? "id";
  return decodeKey({ kind, key: { vault_id: vaultId, ...(id !== undefined && { [name]: id }) } });
}

const keyLengthMax = 256;

/** The text of a key of a kind that this program knows. */
export const keyField = z
  .string()
  .max(keyLengthMax)
  .transform((text, context): RowKey => {
    const key = parseKey(text);
    if (key) return key;
    context.addIssue({ code: "custom", message: "a row's key" });
    return z.NEVER;
  });

/** The text of a key that may be of an unknown kind: null then. */
export const foreignKeyField = z
  .string()
  .max(keyLengthMax)
  .transform((text, context): RowKey | null => {
    const key = parseKey(text);
    if (key !== null) return key ?? null;
    context.addIssue({ code: "custom", message: "a row's key" });
    return z.NEVER;
  });

export function encodeKeys(keys: readonly RowKey[]): readonly string[] {
  return keys.map(formatKey);
}

export function encodeRow(row: Row): object {
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
export function readPushedRow(raw: unknown): PushedRow | undefined {
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
  const body = readBody(deleted, bodyText);
  if (body === undefined || !isHash(hashText)) return unreadable("row_malformed");
  if (body !== null && body.length > rowBodyBytesMaxOf(key.kind)) return unreadable("row_too_large");
  return { kind: "row", row: { key, position: at, hash: fromHex(hashText), body } };
}

/** null of a tombstone; undefined where the two do not fit. */
function readBody(deleted: unknown, text: unknown): Uint8Array | null | undefined {
  if (deleted === true) return text === null ? null : undefined;
  return deleted === false && typeof text === "string" ? readBase64(text) : undefined;
}

function readWireKey({ kind, key }: Record<string, unknown>): WireKey | undefined {
  return isKind(kind) && isIds(key) ? { kind, key } : undefined;
}

/** A whole row where none may be refused alone. */
export const rowField = z.unknown().transform((raw, context): Row => {
  const pushed = readPushedRow(raw);
  if (pushed?.kind === "row") return pushed.row;
  context.addIssue({ code: "custom", message: "a row" });
  return z.NEVER;
});
