import { bytesEqual } from "../../core/bytes.ts";
import type { VaultId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions } from "../../core/position.ts";
import { type PushRefusal, type Receiver, refusalsOfStrangers, wireKeyOf } from "../../core/push.ts";
import { judgeRepair, type RowSummary } from "../../core/repair.ts";
import {
  formatKey,
  isIntact,
  type Row,
  type RowKey,
  type RowKind,
  rowKinds,
  type StoredRow,
} from "../../core/row.ts";
import type { RepairGuard, RepairOutcome } from "../../core/store/repair.ts";
import { type AsideContext, forgetTaken, putAside } from "./aside-rows.ts";
import { faultOf, receiverOf } from "./backup.ts";
import type { Connection } from "./connection.ts";
import { pruneLeft } from "./history-pruning.ts";
import { dropRejection } from "./rejections.ts";
import { itemOf, keyOf, type RowColumns, readRow, rowColumns, rowOf } from "./row-table.ts";
import { recordEpoch, type Steps, type Transaction } from "./transaction.ts";
import { isFullSlice } from "./vault-rows.ts";

/** `next`: behind which key the bucket goes on, which need not be one of the rows; null at its end. */
export type BucketPage = { readonly rows: readonly RowSummary[]; readonly next: RowKey | null };

export type BucketQuery = { readonly bucket: number; readonly after: RowKey | null; readonly limit: number };

/** Entries of the index by key that one step looks at: one in 256 is of a given bucket. */
const lookedAtMax = 50_000;

/** See Survey.bucketRows: as many of them as one step may look at and hash. Kind after kind, and by key in each. */
export function readBucketPage(connection: Connection, hash: Hash, query: BucketQuery): BucketPage {
  const kind = query.after?.kind ?? rowKinds[0] ?? "vault";
  const end = endOfStep(connection, kind, query.after);
  const rows: RowSummary[] = [];
  let bytes = 0;
  for (const id of idsOf(connection, { ...query, kind, end })) {
    if (rows.length === query.limit || isFullSlice(rows.length, bytes)) {
      return { rows, next: rows.at(-1)?.key ?? null };
    }
    const columns = connection.get<RowColumns>(`SELECT ${rowColumns} FROM rows WHERE id = ?`, id);
    if (!columns) continue;
    const row = rowOf(columns);
    rows.push({ key: row.key, position: row.position, hash: row.hash, isIntact: isIntact(hash, row) });
    bytes += row.body?.length ?? 0;
  }
  return { rows, next: end ?? firstOfNext(kind) };
}

type KeyColumns = Pick<RowColumns, "kind" | "vault_id" | "item_id">;

/** The key that a step ends at: so many entries of the index behind `after`; null where the kind ends before that. */
function endOfStep(connection: Connection, kind: RowKind, after: RowKey | null): RowKey | null {
  const ends = [0, 1].map((deleted) =>
    connection.get<KeyColumns>(
      `SELECT kind, vault_id, item_id FROM rows WHERE kind = '${kind}' AND deleted = ${deleted} AND (vault_id, item_id) > (?, ?)
       ORDER BY vault_id, item_id LIMIT 1 OFFSET ? + 0`,
      after?.vaultId ?? "",
      after ? itemOf(after) : "",
      lookedAtMax,
    ),
  );
  const keys = ends.filter((end) => end !== undefined).map(keyOf);
  return keys.toSorted((a, b) => (formatKey(a) < formatKey(b) ? -1 : 1))[0] ?? null;
}

type IdQuery = BucketQuery & { readonly kind: RowKind; readonly end: RowKey | null };

/** All that is asked for stands in the index by key, bodies apart. One id more than asked for shows that there are more. */
function idsOf(connection: Connection, { kind, bucket, after, limit, end }: IdQuery): readonly number[] {
  const sql = `SELECT id FROM rows INDEXED BY rows_key WHERE kind = '${kind}' AND deleted IN (0, 1) AND bucket = ?
    AND (vault_id, item_id) > (?, ?) AND (vault_id, item_id) <= (?, ?) ORDER BY vault_id, item_id LIMIT ? + 1`;
  const from = [after?.vaultId ?? "", after ? itemOf(after) : ""];
  const through = end ? [end.vaultId, itemOf(end)] : [aboveAllIds, aboveAllIds];
  return connection.all<{ id: number }>(sql, bucket, ...from, ...through, limit).map(({ id }) => id);
}

/** Sorts behind every id, which are all of ASCII characters. */
const aboveAllIds = "\uffff";

/** A place in front of the first row of the next kind; null behind the last. */
function firstOfNext(kind: RowKind): RowKey | null {
  const next = rowKinds[rowKinds.indexOf(kind) + 1];
  return next ? keyOf({ kind: next, vault_id: "" as VaultId, item_id: "" }) : null;
}

export function readRows(connection: Connection, keys: readonly RowKey[]): Row[] {
  return keys
    .map((key) => readRow(connection, key))
    .filter((row) => row !== undefined)
    .map(({ key, position, hash, body }) => ({ key, position, hash, body }));
}

/** See RepairWriter.judge. A higher epoch that the guard names is recorded, as with a push. */
export function judge(
  tx: Transaction,
  guard: RepairGuard,
): { readonly code: PushRefusal | undefined; readonly receiver: Receiver } {
  const code = judgeRepair(receiverOf(tx), tx.site().epoch, guard);
  if (!refusalsOfStrangers.has(code)) recordEpoch(tx, guard.from.epoch);
  return { code, receiver: receiverOf(tx) };
}

type Tally = { replaced: number; removed: number; refused: number };

/** See RepairWriter.apply. */
export function* applyRepair(
  tx: Transaction,
  {
    guard,
    rows,
    remove,
  }: { readonly guard: RepairGuard; readonly rows: readonly Row[]; readonly remove: readonly RowKey[] },
  { hash, now }: Pick<AsideContext, "hash" | "now">,
): Steps<RepairOutcome> {
  const { code, receiver } = judge(tx, guard);
  if (code !== undefined) return { kind: "refused", code, receiver };
  const context = { hash, now, fork: receiver.applied.position };
  const tally: Tally = { replaced: 0, removed: 0, refused: 0 };
  yield* inSlices(rows, (row) => {
    putInPlace(tx, row, context, tally);
    return row.body?.length ?? 0;
  });
  yield* inSlices(remove, (key) => {
    const stored = readRow(tx.connection, key);
    if (stored) removeRow(tx, stored, context, tally);
    return stored?.body?.length ?? 0;
  });
  return { kind: "applied", receiver, ...tally };
}

/** @param step returns the bytes it went through */
function* inSlices<T>(items: readonly T[], step: (item: T) => number): Steps<void> {
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    if (isFullSlice(index, bytes)) {
      yield;
      bytes = 0;
    }
    bytes += step(item);
  }
}

function putInPlace(tx: Transaction, row: Row, context: AsideContext, tally: Tally): void {
  if (faultOf(row, context.hash)) {
    tally.refused += 1;
    return;
  }
  const stored = readRow(tx.connection, row.key);
  if (!stored || !isSame(stored, row, context.hash)) {
    if (stored) leave(tx, stored, context);
    tx.replaceRow(stored, { ...row, dirty: false, dirtySince: null, replicatedAt: null });
    forgetTaken(tx, row);
    tally.replaced += 1;
  }
  dropRejection(tx, wireKeyOf(row.key), row.position);
}

function isSame(stored: StoredRow, row: Row, hash: Hash): boolean {
  return (
    comparePositions(stored.position, row.position) === 0 &&
    bytesEqual(stored.hash, row.hash) &&
    isIntact(hash, stored)
  );
}

function removeRow(tx: Transaction, stored: StoredRow, context: AsideContext, tally: Tally): void {
  leave(tx, stored, context);
  tx.replaceRow(stored, undefined);
  tally.removed += 1;
}

function leave(tx: Transaction, stored: StoredRow, context: AsideContext): void {
  putAside(tx, stored, context);
  pruneLeft(tx, stored.position);
}

/** See RepairWriter.heal. */
export function* healRows(tx: Transaction, rows: readonly Row[], hash: Hash): Steps<number> {
  if (tx.site().role !== "primary") return 0;
  let healed = 0;
  yield* inSlices(rows, (row) => {
    const stored = readRow(tx.connection, row.key);
    const isHere = stored !== undefined && comparePositions(stored.position, row.position) === 0;
    if (isHere && !isIntact(hash, stored) && isIntact(hash, row)) {
      const { dirty, dirtySince, replicatedAt } = stored;
      tx.replaceRow(stored, { ...row, dirty, dirtySince, replicatedAt });
      healed += 1;
    }
    return row.body?.length ?? 0;
  });
  return healed;
}
