import { fromHex, toHex } from "./bytes.ts";
import type { Random } from "./ports.ts";

declare const brand: unique symbol;
/** A string that the compiler keeps apart from other strings. */
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A site's name, such as `calgary`: 1 to 63 of a-z, 0-9 and `-`, starting with a letter. */
export type SiteName = Branded<"SiteName">;
/** The random id that the sites of one installation share. */
export type RealmId = Branded<"RealmId">;
export type VaultId = Branded<"VaultId">;
export type EntryId = Branded<"EntryId">;
export type AccessId = Branded<"AccessId">;
/** An earlier version of an entry: the entry's id, a dot, and the version in ten digits, so that text order is their order. */
export type VersionId = Branded<"VersionId">;
/** Made of the identity of the row that was stranded, so that every site gives it the same. */
export type StrandedId = Branded<"StrandedId">;
/** A chain of audit records. */
export type ChainId = Branded<"ChainId">;
/** What names a vault key: 16 bytes that follow from it, 32 lower-case hex digits. */
export type KeyId = Branded<"KeyId">;

const sitePattern = /^[a-z][a-z0-9-]{0,62}$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const uuidV7Pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export function isSiteName(text: string): text is SiteName {
  return sitePattern.test(text);
}

const versionDigits = 10;
const versionIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.\d{10}$/;

/** @param version from 1, of ten digits at most */
export function versionIdOf(entryId: EntryId, version: number): VersionId {
  return `${entryId}.${String(version).padStart(versionDigits, "0")}` as VersionId;
}

export function isVersionId(text: string): text is VersionId {
  return versionIdPattern.test(text);
}

export function parseVersionId(id: VersionId): { readonly entryId: EntryId; readonly version: number } {
  return {
    entryId: id.slice(0, -versionDigits - 1) as EntryId,
    version: Number(id.slice(-versionDigits)),
  };
}

/** Any UUID in lower case: what a row's key may hold. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** A UUIDv7 in lower case (RFC 9562, section 5.7): what a client may choose as an entry's id. */
export function isUuidV7(text: string): boolean {
  return uuidV7Pattern.test(text);
}

/**
 * A new UUIDv7 (RFC 9562, section 5.7): 48 bits of time in ms, then 74 random bits, so that ids made later sort later.
 * Entries are listed newest first by this order alone.
 */
export function newUuidV7(nowMs: number, random: Random): string {
  const bytes = random.bytes(16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  view.setUint16(0, Math.floor(nowMs / 2 ** 32));
  view.setUint32(2, nowMs % 2 ** 32);
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  return formatUuid(bytes);
}

/** 16 random bytes in the shape of a UUIDv4 (RFC 9562, section 5.4). */
export function newUuidV4(random: Random): string {
  const bytes = random.bytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return formatUuid(bytes);
}

/** The first 16 bytes of a hash in the shape of a UUIDv8 (RFC 9562, section 5.8): an id that follows from what it names. */
export function uuidOfHash(hash: Uint8Array): string {
  const bytes = hash.slice(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return formatUuid(bytes);
}

/** The 16 bytes that a UUID is written for. */
export function uuidBytes(uuid: string): Uint8Array {
  return fromHex(uuid.replaceAll("-", ""));
}

/** 16 bytes as a UUID in lower case. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = toHex(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
