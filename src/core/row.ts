import { bytesEqual, setU64be, utf8 } from "./bytes.ts";
import type { AccessId, EntryId, StrandedId, VaultId, VersionId } from "./ids.ts";
import type { Hash } from "./ports.ts";
import type { Position } from "./position.ts";

/** What names a row, on every site alike. */
export type RowKey =
  | { readonly kind: "vault"; readonly vaultId: VaultId }
  | { readonly kind: "access"; readonly vaultId: VaultId; readonly accessId: AccessId }
  | { readonly kind: "entry"; readonly vaultId: VaultId; readonly entryId: EntryId }
  /** What an entry was at an earlier version. */
  | { readonly kind: "version"; readonly vaultId: VaultId; readonly versionId: VersionId }
  /** A row that the winner of a failover never received; `vaultId` is that row's. */
  | { readonly kind: "stranded"; readonly vaultId: VaultId; readonly strandedId: StrandedId };

export type RowKind = RowKey["kind"];
export const rowKinds: readonly RowKind[] = ["vault", "access", "entry", "version", "stranded"];

/**
 * One replicated record. The body is opaque to replication: whatever a kind keeps in it, another site needs only its hash.
 * A tombstone keeps key and position, and has no body.
 */
export type Row = {
  readonly key: RowKey;
  readonly position: Position;
  readonly hash: Uint8Array;
  readonly body: Uint8Array | null;
};

/** A row with the columns that are a site's own and never travel. Times are wall-clock milliseconds since 1970. */
export type StoredRow = Row & {
  readonly dirty: boolean;
  readonly dirtySince: number | null;
  readonly replicatedAt: number | null;
};

/** A stored row that is no tombstone. */
export type LiveRow = StoredRow & { readonly body: Uint8Array };

export function isLive(row: StoredRow): row is LiveRow {
  return row.body !== null;
}

/** The largest body that a backup takes, in bytes: room for an entry of 256 KiB with what sealing adds. */
export const rowBodyBytesMax = 1024 * 1024;

/** What a stranded row may hold beside the row that it keeps: whose key, position and hash, and where it lay. */
const strandedBytesMax = 1024;

/** The largest body of a row of this kind: any row that a backup takes may be stranded. */
export function rowBodyBytesMaxOf(kind: RowKind): number {
  return kind === "stranded" ? rowBodyBytesMax + strandedBytesMax : rowBodyBytesMax;
}

/** `entry/<vault>/<entry>`: a key as one text, for maps, messages and hashes. */
export function formatKey(key: RowKey): string {
  switch (key.kind) {
    case "vault":
      return `vault/${key.vaultId}`;
    case "access":
      return `access/${key.vaultId}/${key.accessId}`;
    case "entry":
      return `entry/${key.vaultId}/${key.entryId}`;
    case "version":
      return `version/${key.vaultId}/${key.versionId}`;
    case "stranded":
      return `stranded/${key.vaultId}/${key.strandedId}`;
  }
}

/**
 * SHA-256 over one byte (1 live, 0 tombstone) and the body. The byte keeps a purge and an empty body apart, so that no
 * flipped flag passes for the row it was.
 */
export function hashRow(hash: Hash, body: Uint8Array | null): Uint8Array {
  return body === null ? hash.sha256(Uint8Array.of(0)) : hash.sha256(Uint8Array.of(1), body);
}

const nothing = new Uint8Array(0);

/**
 * A change as bytes to be hashed, behind those of `before`: row key, position, row hash. The key is length-prefixed, so that no
 * two different changes are the same bytes. In one piece, because a hash of many is several times as slow.
 */
export function changeBytes(
  { key, position, hash }: Pick<Row, "key" | "position" | "hash">,
  before: Uint8Array = nothing,
  name: Uint8Array = utf8(formatKey(key)),
): Uint8Array {
  const bytes = new Uint8Array(before.length + name.length + hash.length + 24);
  const view = new DataView(bytes.buffer);
  bytes.set(before);
  setU64be(view, before.length, name.length);
  bytes.set(name, before.length + 8);
  const end = before.length + 8 + name.length;
  setU64be(view, end, position.epoch);
  setU64be(view, end + 8, position.seq);
  bytes.set(hash, end + 16);
  return bytes;
}

/** The chain after one more change: SHA-256(chain, row key, position, row hash). Constant cost. */
export function extendChain(
  hash: Hash,
  chain: Uint8Array,
  change: Pick<Row, "key" | "position" | "hash">,
): Uint8Array {
  return hash.sha256(changeBytes(change, chain));
}

/** Whether a row's body is the one its hash was taken of. */
export function isIntact(hash: Hash, row: Row): boolean {
  return bytesEqual(row.hash, hashRow(hash, row.body));
}
