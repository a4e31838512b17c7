import { bytesEqual, fromHex, fromUtf8, toHex, u64be, utf8 } from "./bytes.ts";
import { type SiteName, type StrandedId, uuidOfHash } from "./ids.ts";
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
};

/**
 * The rule of section 8. A row of the primary's own history counts as received only where a later state of it is there: a
 * site that was promoted before it was complete must not strike what it never got.
 */
export function judgeAside(row: AsideRow, { own, isInHistory, isKnown }: AsideEvidence): AsideVerdict {
  if (isKnown) return "struck";
  const order = own === undefined ? -1 : comparePositions(own.position, row.position);
  if (own && order === 0 && bytesEqual(own.hash, row.hash)) return "struck";
  if (isInHistory && order >= 0) return "struck";
  // Stranded rows of one key are of one identity, wherever and whenever they were written.
  if (row.body !== null && row.key.kind === "stranded" && own) return "struck";
  if (row.body !== null) return "stranded";
  if (own?.body === null) return "struck";
  // Nobody changes a stranded row but to settle it: whenever it came here, it was settled where this tombstone was made.
  if (row.key.kind === "stranded") return "applied";
  const hasChanged = own !== undefined && comparePositions(own.position, row.fork) > 0;
  return hasChanged ? "stranded" : "applied";
}

/** What the row of kind `stranded` holds: the row itself, and where it lay. */
export type Stranded = {
  readonly row: Row;
  readonly site: SiteName;
  /** When it was put aside, wall-clock milliseconds. */
  readonly at: number;
};

type StrandedWire = {
  readonly key: RowKey;
  readonly position: string;
  readonly hash: string;
  readonly body: string | null;
  readonly site: SiteName;
  readonly at: number;
};

export function encodeStranded({ row, site, at }: Stranded): Uint8Array {
  const wire: StrandedWire = {
    key: row.key,
    position: formatPosition(row.position),
    hash: toHex(row.hash),
    body: row.body && toHex(row.body),
    site,
    at,
  };
  return utf8(JSON.stringify(wire));
}

/** @param body of an intact row of kind `stranded`; anything else is a bug and throws */
export function decodeStranded(body: Uint8Array): Stranded {
  const wire = JSON.parse(fromUtf8(body)) as StrandedWire;
  const position = parsePosition(wire.position);
  if (!position) throw new Error("a stranded row without a position");
  const row = {
    key: wire.key,
    position,
    hash: fromHex(wire.hash),
    body: wire.body === null ? null : fromHex(wire.body),
  };
  return { row, site: wire.site, at: wire.at };
}
