import { versionKey } from "../../src/core/entry-writes.ts";
import { formatKey, type StoredRow } from "../../src/core/row.ts";
import { readSealedHeader } from "../../src/core/sealed-header.ts";
import { entryKeyOf, versionOf } from "./bodies.ts";
import { keepVersions, numberOf } from "./entry-history.ts";

/**
 * What an entry was before is what it was, nothing of it is left of one that was purged, and below one that is there is no gap.
 * @param isWhole no row was ever damaged, on a disk or on its way, and none was made again by an operator: else a client may have
 *   written an entry anew who could not read what it was before, a backup may have lost the primary that had what it refused, and an
 *   entry may have come to a version that is not the next one
 */
export function checkHistories(rows: ReadonlyMap<string, StoredRow>, isWhole: boolean): void {
  for (const row of rows.values()) {
    if (row.key.kind === "version" && row.body) checkVersion(row, rows);
    if (isWhole && row.key.kind === "entry" && row.body) checkEntry(row, rows);
  }
}

function checkVersion({ key, body }: StoredRow, rows: ReadonlyMap<string, StoredRow>): void {
  if (key.kind !== "version" || !body) return;
  const name = formatKey(key);
  const header = readSealedHeader(body);
  const entry = entryKeyOf(key);
  const isItsOwn =
    header?.version === numberOf(key) && formatKey({ kind: "entry", ...header }) === formatKey(entry);
  if (!isItsOwn) throw new Error(`${name} holds something else`);
  // An entry that a backup refused, and that went with its primary's disk, never was anywhere else.
  if (rows.get(formatKey(entry))?.body === null) throw new Error(`${name} is there and its entry is purged`);
}

function checkEntry({ key, body }: StoredRow, rows: ReadonlyMap<string, StoredRow>): void {
  if (key.kind !== "entry" || !body) return;
  const version = versionOf(key, body);
  for (let earlier = version - 1; earlier > Math.max(0, version - 1 - keepVersions); earlier -= 1) {
    const name = formatKey(versionKey(key, earlier));
    if (!rows.get(name)?.body) throw new Error(`${name} is missing below version ${version}`);
  }
}
