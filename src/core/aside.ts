import { bytesEqual, fromHex, fromUtf8, toHex, u64be, utf8 } from "./bytes.ts";
import { Refusal } from "./errors.ts";
import {
  type AccessId,
  type EntryId,
  isSiteName,
  isUuid,
  isVersionId,
  type SiteName,
  type StrandedId,
  uuidOfHash,
  type VaultId,
} from "./ids.ts";
import type { Hash } from "./ports.ts";
import { comparePositions, formatPosition, parsePosition, type Position } from "./position.ts";
import { formatKey, type Row, type RowKey } from "./row.ts";

/**
 * A row that repair or rejoin replaced on this site, kept until the primary has decided what becomes of it: it must not be
 * discarded silently (I11).
 */
export type AsideRow = Row & {
  /** Of the row's identity: the same on every site. */
  readonly id: StrandedId;
  /** The position up to which this site's history was known to be the winner's. */
  readonly fork: Position;
  /** The site that put it aside, and when by its clock. */
  readonly site: SiteName;
  readonly at: number;
};

/** What names a row that was put aside, wherever copies of it lie: (key, position, hash). */
export function strandedIdOf(hash: Hash, row: Pick<Row, "key" | "position" | "hash">): StrandedId {
  if (row.key.kind === "stranded") return row.key.strandedId;
  const key = utf8(formatKey(row.key));
  const { epoch, seq } = row.position;
  return uuidOfHash(hash.sha256(u64be(key.length), key, u64be(epoch), u64be(seq), row.hash)) as StrandedId;
}

/** The key under which a row that was put aside is stranded. One that is a stranded row already keeps its own. */
export function strandedKeyOf({ key, id }: Pick<AsideRow, "key" | "id">): RowKey & { kind: "stranded" } {
  return key.kind === "stranded" ? key : { kind: "stranded", vaultId: key.vaultId, strandedId: id };
}

/** What becomes of a row that was put aside. */
export type AsideVerdict =
  /** The primary has it, had it, or has decided on it before. */
  | "struck"
  /** A purge or revocation of a row that has not changed since: it is made again. */
  | "applied"
  /** Nobody else has it: it is listed for the operator. */
  | "stranded";

/** What the primary knows of a row that was put aside elsewhere. */
export type AsideEvidence = {
  /** Its own row of that key, tombstones too. */
  readonly own: Pick<Row, "position" | "hash" | "body"> | undefined;
  /** Whether its history went through exactly this change of this row. */
  readonly isInHistory: boolean;
  /**
   * Whether there is a row of kind `stranded` for it, or the tombstone of one; where it is of that kind itself, whether the row
   * that it keeps has been received after all.
   */
  readonly isKnown: boolean;
  /** Of a version: whether this very body is here for its entry, as the entry's row or as any version of it. */
  readonly isHeld: boolean;
  /** Of a version: whether its entry was purged here. */
  readonly isEntryPurged: boolean;
};

/**
 * The rule of section 8. A row of the primary's own history counts as received only where a later state of it is there: a
 * site that was promoted before it was complete must not strike what it never got.
 */
export function judgeAside(row: AsideRow, evidence: AsideEvidence): AsideVerdict {
  const { own, isInHistory, isKnown } = evidence;
  if (isKnown) return "struck";
  const order = own === undefined ? -1 : comparePositions(own.position, row.position);
  if (own && isSameState(own, row)) return "struck";
  if (isInHistory && order >= 0) return "struck";
  if (row.key.kind === "version") return judgeVersion(row, evidence);
  // Stranded rows of one key are of one identity, wherever and whenever they were written.
  if (row.body !== null && row.key.kind === "stranded" && own) return "struck";
  if (row.body !== null) return "stranded";
  if (own?.body === null) return "struck";
  // Nobody changes a stranded row but to settle it: whenever it came here, it was settled where this tombstone was made.
  if (row.key.kind === "stranded") return "applied";
  const hasChanged = own !== undefined && comparePositions(own.position, row.fork) > 0;
  return hasChanged ? "stranded" : "applied";
}

/**
 * An earlier version is what an entry was, under a number that other histories may have given to something else: where the same
 * body is here under any number, nothing is missing. What is purged has no history, and what was only one more than are kept on
 * one site may be kept on another.
 */
function judgeVersion({ body }: AsideRow, { own, isHeld, isEntryPurged }: AsideEvidence): AsideVerdict {
  if (body !== null) return isHeld || isEntryPurged ? "struck" : "stranded";
  return isEntryPurged && own !== undefined && own.body !== null ? "applied" : "struck";
}

/**
 * Whether two rows of one key are one state of it: at one position, with one hash, or, where a flipped bit has damaged the hash
 * that one of them is stored with, one body.
 */
export function isSameState(own: Pick<Row, "position" | "hash" | "body">, row: Row): boolean {
  if (comparePositions(own.position, row.position) !== 0) return false;
  if (bytesEqual(own.hash, row.hash)) return true;
  if (own.body === null || row.body === null) return own.body === row.body;
  return bytesEqual(own.body, row.body);
}

/** What the row of kind `stranded` holds: the row itself, and where it lay. */
export type Stranded = {
  readonly row: Row;
  readonly site: SiteName;
  /** When it was put aside, wall-clock milliseconds. */
  readonly at: number;
};

/** Written as a line of JSON, and behind it the row's body as it is: a denser form than JSON has for bytes. */
type StrandedLine = {
  readonly key: RowKey;
  readonly position: string;
  readonly hash: string;
  readonly deleted: boolean;
  readonly site: SiteName;
  readonly at: number;
};

const lineEnd = 0x0a;

export function encodeStranded({ row, site, at }: Stranded): Uint8Array {
  const line: StrandedLine = {
    key: row.key,
    position: formatPosition(row.position),
    hash: toHex(row.hash),
    deleted: row.body === null,
    site,
    at,
  };
  const head = utf8(`${JSON.stringify(line)}\n`);
  const bytes = new Uint8Array(head.length + (row.body?.length ?? 0));
  bytes.set(head);
  if (row.body) bytes.set(row.body, head.length);
  return bytes;
}

/** @throws Refusal `stranded_unreadable` */
export function decodeStranded(body: Uint8Array): Stranded {
  const stranded = parseStranded(body);
  if (!stranded) throw new Refusal("stranded_unreadable");
  return stranded;
}

/**
 * What a stranded row's body holds; undefined where it cannot be read. A body is opaque wherever rows travel, so that a site
 * must be ready for any that another has sent.
 */
export function parseStranded(body: Uint8Array): Stranded | undefined {
  const end = body.indexOf(lineEnd);
  const line = end < 0 ? undefined : parseLine(body.subarray(0, end));
  if (!line) return undefined;
  const { site, at, deleted, ...rest } = line;
  const kept = body.slice(end + 1);
  const position = parsePosition(rest.position);
  if (!position || (deleted && kept.length > 0)) return undefined;
  const row = { key: rest.key, position, hash: fromHex(rest.hash), body: deleted ? null : kept };
  return { row, site, at };
}

/** The last moment that a Date can name, in milliseconds. */
const latest = 8_640_000_000_000_000;
const hashPattern = /^[0-9a-f]{64}$/;

function parseLine(bytes: Uint8Array): StrandedLine | undefined {
  const { key: fields, position, hash, deleted, site, at } = fieldsOf(parseJson(bytes));
  const key = keyOf(fieldsOf(fields));
  if (!key || typeof position !== "string" || typeof hash !== "string" || !hashPattern.test(hash))
    return undefined;
  if (typeof deleted !== "boolean" || typeof site !== "string" || !isSiteName(site)) return undefined;
  if (typeof at !== "number" || !Number.isSafeInteger(at) || at < 0 || at > latest) return undefined;
  return { key, position, hash, deleted, site, at };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    return undefined;
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** The key of a row that may be stranded: one that is already keeps its own. */
function keyOf({
  kind,
  vaultId,
  accessId,
  entryId,
  versionId,
}: Readonly<Record<string, unknown>>): RowKey | undefined {
  const isId = (id: unknown): id is string => typeof id === "string" && isUuid(id);
  if (!isId(vaultId)) return undefined;
  const vault = { vaultId: vaultId as VaultId };
  if (kind === "vault") return { kind, ...vault };
  if (kind === "access" && isId(accessId)) return { kind, ...vault, accessId: accessId as AccessId };
  if (kind === "version" && typeof versionId === "string" && isVersionId(versionId))
    return { kind, ...vault, versionId };
  if (kind === "entry" && isId(entryId)) return { kind, ...vault, entryId: entryId as EntryId };
  return undefined;
}
