import { decodeStranded } from "../../src/core/aside.ts";
import { bytesEqual } from "../../src/core/bytes.ts";
import { comparePositions, formatPosition, type Position } from "../../src/core/position.ts";
import { formatKey, hashRow, isIntact, type Row, type RowKey } from "../../src/core/row.ts";
import { sha256Hash } from "../support/ports.ts";
import { type BodyPlace, encodeBody, textOf } from "./bodies.ts";

/**
 * A write that was tried, with the writes to the same row that it is built on. A row's body names them all, so that what a
 * disk holds can be told from the disk alone.
 */
export type TrackedWrite = {
  readonly id: number;
  readonly key: RowKey;
  readonly lineage: readonly number[];
  readonly isPurge: boolean;
  /** Set once the client has its answer. */
  position: Position | null;
  /** No disk holds it intact any more: every one that did was put back to an older copy, or damaged. */
  isLost: boolean;
  /** An operator has decided against it: its row was stranded and discarded, or another was reapplied over it. */
  isSettled: boolean;
};

/** What a body is made of beside its lineage: the version that an entry gets, and the vault's key. */
export type BodyForm = Pick<BodyPlace, "keyId"> & { readonly version: number; readonly paddingBytes: number };

type OpenWrite = { -readonly [Field in keyof TrackedWrite]: TrackedWrite[Field] };

/** What clients were told, and what a row proves of it: the truth that the sites are held to. */
export class Ledger {
  readonly #writes: OpenWrite[] = [];
  /** What purges of a key stand for, each: itself and what it is built on. */
  readonly #purged = new Map<string, Set<number>>();

  /** What each write that is no purge was stored as. */
  readonly #bodies = new Map<number, Uint8Array>();
  /** What rows proved before they were damaged. */
  readonly #noted = new Map<string, readonly number[]>();

  get writes(): readonly TrackedWrite[] {
    return this.#writes;
  }

  begin(key: RowKey, isPurge: boolean): TrackedWrite {
    const id = this.#writes.length + 1;
    const write = { id, key, lineage: [], isPurge, position: null, isLost: false, isSettled: false };
    this.#writes.push(write);
    return write;
  }

  /** The write is made of a row as it is now; returns the body that says so, null for a purge. */
  build(write: TrackedWrite, current: Row | undefined, form: BodyForm): Uint8Array | null {
    return this.#build(write, this.lineageOf(current), { ...form, current: current?.body ?? null });
  }

  /** The write takes the place of a damaged row, and so of everything that was built into that. */
  rebuild(write: TrackedWrite, damaged: Row, form: BodyForm): Uint8Array | null {
    const name = formatKey(damaged.key);
    const ancestors = this.#writes.filter(
      (other) => formatKey(other.key) === name && (isAt(other, damaged) || this.#isBodyOf(other, damaged)),
    );
    const noted = this.#noted.get(stateName(damaged)) ?? [];
    const lineage = new Set([
      ...noted,
      ...ancestors.flatMap((ancestor) => [...ancestor.lineage, ancestor.id]),
    ]);
    return this.#build(write, [...lineage], form);
  }

  /** Keeps what an intact row proves: it is about to be damaged, and a site may have sealed it anew since it was written. */
  note(row: Row): void {
    this.#noted.set(stateName(row), this.lineageOf(row));
  }

  /** Also of a write that was never answered: of body and hash, one is still what it was. */
  #isBodyOf({ id }: TrackedWrite, { body, hash }: Row): boolean {
    const built = this.#bodies.get(id);
    if (!built) return false;
    return (body !== null && bytesEqual(built, body)) || bytesEqual(hashRow(sha256Hash, built), hash);
  }

  #build(write: TrackedWrite, lineage: readonly number[], form: BodyForm & BodyPlace): Uint8Array | null {
    const open = write as OpenWrite;
    open.lineage = lineage;
    const all = [...open.lineage, write.id];
    if (!write.isPurge) {
      const text = JSON.stringify({ lineage: all, padding: "x".repeat(form.paddingBytes) });
      const body = encodeBody(write.key, text, form.version, form);
      this.#bodies.set(write.id, body);
      return body;
    }
    const name = formatKey(write.key);
    const purged = this.#purged.get(name) ?? new Set();
    for (const id of all) purged.add(id);
    this.#purged.set(name, purged);
    return null;
  }

  /**
   * The writes that a row proves. A tombstone has no body: it stands for every purge of its key, for whichever of them left
   * it, what the others purged is purged as well. A stranded row stands for the row that it keeps; a damaged one for none, nor
   * does an earlier version, for what is in it must be in what the entry is now.
   */
  lineageOf(row: Row | undefined): readonly number[] {
    if (!row || row.key.kind === "version" || !isIntact(sha256Hash, row)) return [];
    if (row.key.kind === "stranded") {
      return row.body === null ? [] : this.lineageOf(decodeStranded(row.body).row);
    }
    if (row.body === null) return [...(this.#purged.get(formatKey(row.key)) ?? [])];
    return (JSON.parse(textOf(row.key, row.body)) as { lineage: number[] }).lineage;
  }

  /** The writes that rows prove, together. */
  provenBy(rows: Iterable<Row>): Set<number> {
    const proven = new Set<number>();
    for (const row of rows) for (const id of this.lineageOf(row)) proven.add(id);
    return proven;
  }

  /** Whether somebody tried to purge a row, and may have. */
  isPurged(key: RowKey): boolean {
    return this.#purged.has(formatKey(key));
  }

  /** Answered writes that must still be found. */
  owed(): readonly TrackedWrite[] {
    return this.#writes.filter((write) => write.position && !write.isLost && !write.isSettled);
  }

  /**
   * An operator decides for one row against another: what only the latter stands for is given up. The returned function takes that
   * back, where it came to nothing.
   */
  settle(against: Row | undefined, inFavourOf: Row | undefined): () => void {
    const kept = new Set(this.lineageOf(inFavourOf));
    const given = new Set(this.lineageOf(against).filter((id) => !kept.has(id)));
    const settled = this.#writes.filter((write) => given.has(write.id) && !write.isSettled);
    for (const write of settled) write.isSettled = true;
    return () => {
      for (const write of settled) write.isSettled = false;
    };
  }

  /** Nothing is asked of it any more. */
  end(): void {
    this.#writes.length = 0;
    this.#purged.clear();
    this.#bodies.clear();
    this.#noted.clear();
  }

  /** What was held before and is held no more is lost. */
  lose(before: ReadonlySet<number>, after: ReadonlySet<number>): void {
    for (const write of this.#writes) if (before.has(write.id) && !after.has(write.id)) write.isLost = true;
  }
}

function stateName({ key, position }: Row): string {
  return `${formatKey(key)} at ${formatPosition(position)}`;
}

function isAt({ position }: TrackedWrite, row: Row): boolean {
  return position !== null && comparePositions(position, row.position) === 0;
}

/** Whether two rows are one: key, position and hash. */
export function isSameRow(a: Row, b: Row): boolean {
  return (
    formatKey(a.key) === formatKey(b.key) &&
    comparePositions(a.position, b.position) === 0 &&
    Buffer.compare(a.hash, b.hash) === 0
  );
}
