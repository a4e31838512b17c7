import { versionKey } from "../../src/core/entry-writes.ts";
import { Refusal } from "../../src/core/errors.ts";
import { parseVersionId } from "../../src/core/ids.ts";
import { comparePositions, type Position } from "../../src/core/position.ts";
import type { RowKey, StoredRow } from "../../src/core/row.ts";
import type { RowChange } from "../../src/core/store/rows.ts";
import type { Transacts } from "../../src/core/store/store.ts";
import { versionOf } from "./bodies.ts";

/** Few, so that a course of some dozen writes comes to it. */
export const keepVersions = 2;

/** What a client finds of an entry before it writes: where it stands, and which earlier versions there are. */
export type EntryHistory = { readonly position: Position | null; readonly versions: readonly number[] };

const versionsMax = 1_000;

export async function readHistory(store: Transacts<"rows">, key: RowKey): Promise<EntryHistory | undefined> {
  if (key.kind !== "entry") return undefined;
  const row = await store.read((r) => r.rows.row(key));
  const versions = await store.read((r) => r.rows.versions(key.vaultId, key.entryId, undefined, versionsMax));
  return { position: row?.position ?? null, versions: versions.map((version) => numberOf(version.key)) };
}

/** @throws Refusal `write_raced` where the entry has moved on since */
export function requireUnchanged(history: EntryHistory | undefined, current: StoredRow | undefined): void {
  if (!history) return;
  const { position } = history;
  const isSame =
    current && position ? comparePositions(current.position, position) === 0 : !current && !position;
  if (!isSame) throw new Refusal("write_raced");
}

/** A change of an entry with what it does to the entry's history, in the order of the real one. */
export function withHistory(
  change: RowChange,
  current: StoredRow | undefined,
  history: EntryHistory | undefined,
): readonly RowChange[] {
  const { key, body } = change;
  if (key.kind !== "entry" || !history || !current?.body) return [change];
  const bury = (versions: readonly number[]): readonly RowChange[] =>
    versions.map((version) => ({ key: versionKey(key, version), body: null }));
  if (body === null) return [...bury(history.versions), change];
  const version = versionOf(key, current.body);
  const expired = history.versions.filter((earlier) => earlier <= version - keepVersions);
  return [{ key: versionKey(key, version), body: current.body }, change, ...bury(expired)];
}

/** The number of a version by its key. */
export function numberOf(key: RowKey): number {
  if (key.kind !== "version") throw new Error(`a ${key.kind} is no version`);
  return parseVersionId(key.versionId).version;
}
