import {
  type AsideEvidence,
  type AsideRow,
  type AsideVerdict,
  encodeStranded,
  isSameState,
  judgeAside,
  parseStranded,
  strandedIdOf,
  strandedKeyOf,
} from "../../core/aside.ts";
import { bytesEqual } from "../../core/bytes.ts";
import { parseVersionId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions } from "../../core/position.ts";
import { extendChain, type Row, type RowKey } from "../../core/row.ts";
import type { RowChange } from "../../core/store/rows.ts";
import { isStranded } from "./aside-rows.ts";
import type { Connection } from "./connection.ts";
import { chainAt } from "./history.ts";
import { changesKept, pruneHistory } from "./history-pruning.ts";
import { readRow } from "./row-table.ts";
import { readTimeline } from "./site-record.ts";
import type { Steps, Transaction } from "./transaction.ts";
import { hasVersion, readVersionKeys } from "./version-rows.ts";
import { commitChange, refuseByRole, type WriteOptions } from "./vault-rows.ts";

/** What one step decides on: a decision costs several times a write of its row. */
const sliceRows = 50;
const sliceBytes = 256 * 1024;

/** See AsideWriter.take. Each row is judged by what the decision on the one before has made of this site. */
export function* takeAside(
  tx: Transaction,
  rows: readonly AsideRow[],
  options: WriteOptions,
): Steps<readonly AsideVerdict[]> {
  refuseByRole(tx.site());
  options.checkRoom();
  const verdicts: AsideVerdict[] = [];
  let bytes = 0;
  for (const sent of rows) {
    if (bytes >= sliceBytes || (verdicts.length > 0 && verdicts.length % sliceRows === 0)) {
      yield;
      bytes = 0;
    }
    const row = { ...sent, id: strandedIdOf(options.hash, sent) };
    const verdict = judgeAside(row, evidenceOf(tx.connection, row, options.hash));
    for (const change of changesOf(tx.connection, row, verdict))
      commitChange(tx, change, tx.row(change.key), options);
    bytes += row.body?.length ?? 0;
    verdicts.push(verdict);
  }
  if (!tx.hasPeers()) pruneHistory(tx, { pointsMax: 2 * verdicts.length, changesKept });
  return verdicts;
}

function changesOf(connection: Connection, row: AsideRow, verdict: AsideVerdict): readonly RowChange[] {
  switch (verdict) {
    case "struck":
      return [];
    case "applied":
      return purgeOf(connection, row.key);
    case "stranded": {
      const { site, at, id, key, position, hash, body } = row;
      const stranded = encodeStranded({ row: { key, position, hash, body }, site, at });
      return [{ key: strandedKeyOf({ key, id }), body: key.kind === "stranded" ? body : stranded }];
    }
  }
}

/** The purge of an entry is one of its history too, whatever of that the other site had. */
function purgeOf(connection: Connection, key: RowKey): readonly RowChange[] {
  const history = key.kind === "entry" ? readVersionKeys(connection, key) : [];
  return [...history, key].map((purged) => ({ key: purged, body: null }));
}

function evidenceOf(connection: Connection, row: AsideRow, hash: Hash): AsideEvidence {
  return {
    own: readRow(connection, row.key),
    isInHistory: wentThrough(connection, row, hash),
    isKnown:
      row.key.kind === "stranded" ? isHereAfterAll(connection, row, hash) : isStranded(connection, row.id),
    isHeld: isHeld(connection, row),
    isEntryPurged: row.key.kind === "version" && entryOf(connection, row.key)?.body === null,
  };
}

/** Whether the body of a version is here for its entry, as its row or as any version of it. */
function isHeld(connection: Connection, { key, body, hash }: Row): boolean {
  if (key.kind !== "version" || body === null) return false;
  const entry = entryOf(connection, key);
  return (entry !== undefined && bytesEqual(entry.hash, hash)) || hasVersion(connection, key, hash);
}

function entryOf(
  connection: Connection,
  { vaultId, versionId }: RowKey & { kind: "version" },
): Row | undefined {
  return readRow(connection, { kind: "entry", vaultId, entryId: parseVersionId(versionId).entryId });
}

/**
 * Whether the row that a stranded row keeps is here: what the primary of one reign lacked, that of another may have. One that
 * cannot be read is judged by its own key alone: kept and counted like any other, and in nobody's way.
 */
function isHereAfterAll(connection: Connection, { key, body }: AsideRow, hash: Hash): boolean {
  if (key.kind !== "stranded" || body === null) return false;
  const row = parseStranded(body)?.row;
  if (!row) return false;
  if (isHeld(connection, row)) return true;
  const own = readRow(connection, row.key);
  if (!own) return false;
  if (isSameState(own, row)) return true;
  return comparePositions(own.position, row.position) >= 0 && wentThrough(connection, row, hash);
}

/** Whether this history went through exactly this change: by the chain, which nobody can make to fit another. */
function wentThrough(connection: Connection, row: Row, hash: Hash): boolean {
  const after = chainAt(connection, row.position);
  const before = after && chainBefore(connection, row);
  return after !== undefined && before !== undefined && bytesEqual(extendChain(hash, before, row), after);
}

/** The chain that a change was made on: of the point before it, which for a reign's first is where that continued from. */
function chainBefore(connection: Connection, { position }: Row): Uint8Array | undefined {
  const { epoch, seq } = position;
  const within = chainAt(connection, { epoch, seq: seq - 1 });
  if (within) return within;
  return readTimeline(connection).find(
    (line) => line.epoch.number === epoch && line.from.position.seq === seq - 1,
  )?.from.chain;
}
