import { bytesEqual, fromUtf8, setU64be, u64be, utf8 } from "./bytes.ts";
import { type ChainId, formatUuid, type SiteName, uuidBytes } from "./ids.ts";
import type { Hash } from "./ports.ts";

/**
 * The audit: who did what, to which entry, when, from where, and what came of it; never contents. Each site keeps one chain of
 * records at a time, and a copy of every chain that it has met. A record's hash covers the record before it, so that nothing can
 * be changed, dropped, swapped or added within a chain; that its end was not cut off shows on whoever holds a copy.
 */

export const actorKinds = ["operator", "access", "session", "peer", "machine", "anyone"] as const;

/** `machine`: the owner of the site's machine, through its admin socket, or the site itself. `anyone`: nobody that a token named. */
export type ActorKind = (typeof actorKinds)[number];

/** `id`: of an operator's token, of an access; null where there is none. */
export type AuditActor = { readonly kind: ActorKind; readonly id: string | null };

/** Something that was done, or refused. */
export type AuditEvent = {
  readonly actor: AuditActor;
  /** A call's name, such as `getEntry`, or an admin command's, such as `admin promote`. */
  readonly action: string;
  readonly vaultId: string | null;
  /** The entry or access that it was about; null where it was about none, or about many. */
  readonly itemId: string | null;
  /** The IP address that it came from. */
  readonly address: string | null;
  /** `ok`, or the code of the refusal. */
  readonly result: string;
};

export type AuditRecord = AuditEvent & {
  readonly chain: ChainId;
  /** From 1, without gaps. */
  readonly seq: number;
  /** Wall clock of the site whose chain it is, milliseconds since 1970. */
  readonly at: number;
  /** Of the first record of a chain: what `encodeBeginning` makes. */
  readonly details: Uint8Array | null;
  readonly hash: Uint8Array;
};

/** A place in a chain: the record there, by its hash. */
export type AuditMark = { readonly seq: number; readonly hash: Uint8Array };

/** Before every record of a chain. */
export const chainStart: AuditMark = { seq: 0, hash: new Uint8Array(32) };

/** What a site holds of a chain: the records above `anchor`, up to `head`. Those at or below the anchor are older than is kept. */
export type AuditHead = {
  readonly chain: ChainId;
  /** Whose chain it is. */
  readonly site: SiteName;
  readonly anchor: AuditMark;
  readonly head: AuditMark;
};

/** What two sites tell each other of their audits, in a push and in its ACK. */
export type AuditPart = {
  /** Of every chain that the sender holds. */
  readonly heads: readonly AuditHead[];
  /** Records that the receiver lacks; of each chain in order, and without gaps. */
  readonly records: readonly AuditRecord[];
  /** Whether one more push is wanted: there are more records, or the sender waits to see that its new chain was taken over. */
  readonly more: boolean;
};

/** The first record of every chain. */
export const beginAction = "chain_begun";

/** More chains are not kept: each stands for a disk that was put back, or replaced. */
export const auditChainsMax = 128;

export const auditFieldMax = 64;
export const auditDetailsMax = 16 * 1024;

/** How much one push, or its ACK, may carry. */
export const auditPartMax = { records: 200, bytes: 64 * 1024 } as const;

/** An event cut to what a record may hold: printable, and of bounded length. */
export function boundedEvent(event: AuditEvent): AuditEvent {
  const { actor, action, vaultId, itemId, address, result } = event;
  return {
    actor: { kind: actor.kind, id: bounded(actor.id) },
    action: boundedText(action),
    vaultId: bounded(vaultId),
    itemId: bounded(itemId),
    address: bounded(address),
    result: boundedText(result),
  };
}

function bounded(text: string | null): string | null {
  return text === null ? null : boundedText(text);
}

const unprintable = /[^\x20-\x7e]/g;

function boundedText(text: string): string {
  return text.slice(0, auditFieldMax).replaceAll(unprintable, "?");
}

/** The record that follows `before`. */
export function nextRecord(
  hash: Hash,
  before: AuditMark & { readonly chain: ChainId },
  event: AuditEvent & { readonly at: number; readonly details: Uint8Array | null },
): AuditRecord {
  const record = { ...event, chain: before.chain, seq: before.seq + 1 };
  return { ...record, hash: hashRecord(hash, before.hash, record) };
}

/**
 * SHA-256 over the hash before it and the record's canonical bytes: chain, seq and time of fixed length, then each field with its
 * length in front, where null has a length of its own. No two records are the same bytes.
 */
function hashRecord(hash: Hash, before: Uint8Array, record: Omit<AuditRecord, "hash">): Uint8Array {
  const { actor, action, vaultId, itemId, address, result, details } = record;
  const texts = [actor.kind, actor.id, action, vaultId, itemId, address, result];
  const fields = [...texts.map((text) => (text === null ? null : utf8(text))), details];
  const length = fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), label.length + 64);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(label);
  bytes.set(before, label.length);
  bytes.set(uuidBytes(record.chain), label.length + 32);
  setU64be(view, label.length + 48, record.seq);
  setU64be(view, label.length + 56, record.at);
  let at = label.length + 64;
  for (const field of fields) {
    view.setUint32(at, field === null ? nullLength : field.length);
    if (field !== null) bytes.set(field, at + 4);
    at += 4 + (field?.length ?? 0);
  }
  return hash.sha256(bytes);
}

const label = utf8("dormouse/v1/audit");
const nullLength = 0xffff_ffff;

/** Whether a record follows `before` in its chain: the next number, and a hash that covers both. */
export function follows(hash: Hash, before: AuditMark, record: AuditRecord): boolean {
  if (record.seq !== before.seq + 1 || (record.seq === 1) !== (record.action === beginAction)) return false;
  return bytesEqual(record.hash, hashRecord(hash, before.hash, record));
}

/** Where a chain is broken: the number of the first record that is missing, or is not what it was. */
export type AuditWalk =
  | { readonly kind: "whole"; readonly end: AuditMark }
  | { readonly kind: "broken"; readonly seq: number };

/** Walks along a chain from a place in it. A long one may be walked in pieces, each from where the last one ended. */
export function walkChain(hash: Hash, from: AuditMark, records: Iterable<AuditRecord>): AuditWalk {
  let end = from;
  for (const record of records) {
    if (!follows(hash, end, record)) return { kind: "broken", seq: end.seq + 1 };
    end = record;
  }
  return { kind: "whole", end: { seq: end.seq, hash: end.hash } };
}

/** What the first record of a chain says: whose it is, and where all chains stood that the site knew of. */
export type ChainBeginning = { readonly site: SiteName; readonly known: readonly KnownHead[] };
export type KnownHead = Pick<AuditHead, "chain" | "site" | "head">;

export function encodeBeginning({ site, known }: ChainBeginning): Uint8Array {
  const parts: Uint8Array[] = [named(site), u32be(known.length)];
  for (const { chain, site: owner, head } of known) {
    parts.push(uuidBytes(chain), named(owner), u64be(head.seq), head.hash);
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Undefined for bytes that are no beginning. */
export function decodeBeginning(bytes: Uint8Array): ChainBeginning | undefined {
  try {
    const reader = new Reader(bytes);
    const site = reader.name();
    const known: KnownHead[] = [];
    for (let left = reader.u32(); left > 0; left -= 1) {
      const chain = formatUuid(reader.take(16)) as ChainId;
      known.push({ chain, site: reader.name(), head: { seq: reader.u64(), hash: reader.take(32) } });
    }
    return reader.isAtEnd ? { site, known } : undefined;
  } catch {
    return undefined;
  }
}

function u32be(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function named(site: SiteName): Uint8Array {
  const name = utf8(site);
  return Uint8Array.of(name.length, ...name);
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw new RangeError("the bytes end before their time");
    const taken = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  u32(): number {
    return new DataView(this.take(4).buffer).getUint32(0);
  }

  u64(): number {
    const view = new DataView(this.take(8).buffer);
    return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
  }

  name(): SiteName {
    const [length = 0] = this.take(1);
    return fromUtf8(this.take(length)) as SiteName;
  }
}

/** Where what is done at a site is recorded. */
export interface Audit {
  /**
   * Resolves when the event is recorded, or is in line to be behind a write that takes long. Never rejects: where it cannot be
   * recorded the operator is told, once, and the call goes on, for a full disk must not keep anybody from reading.
   */
  record(event: AuditEvent): Promise<void>;
}
