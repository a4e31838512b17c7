import { bytesEqual } from "../../core/bytes.ts";
import type { Hash } from "../../core/ports.ts";
import { comparePositions } from "../../core/position.ts";
import { type PushRefusal, type Receiver, refusalsOfStrangers, wireKeyOf } from "../../core/push.ts";
import { judgeRepair, type RowSummary } from "../../core/repair.ts";
import { isIntact, type Row, type RowKey, rowKinds, type StoredRow } from "../../core/row.ts";
import type { RepairGuard, RepairOutcome } from "../../core/store.ts";
import { type AsideContext, forgetTaken, putAside } from "./aside-rows.ts";
import { faultOf, receiverOf } from "./backup.ts";
import type { Connection } from "./connection.ts";
import { pruneLeft } from "./history-pruning.ts";
import { dropRejection } from "./rejections.ts";
import { itemOf, type RowColumns, readRow, rowOf, tableOf } from "./replicated-tables.ts";
import { recordEpoch, type Steps, type Transaction } from "./transaction.ts";
import { isFullSlice } from "./vault-rows.ts";

export type BucketPage = { readonly rows: readonly RowSummary[]; readonly isLast: boolean };

export type BucketQuery = { readonly bucket: number; readonly after: RowKey | null; readonly limit: number };

/** See RepairStore.bucketRows: as many of them as one step may hash. Kind after kind, and by key in each; one body at a time. */
export function readBucketPage(connection: Connection, hash: Hash, query: BucketQuery): BucketPage {
  const rows: RowSummary[] = [];
  let bytes = 0;
  for (const row of bucketRows(connection, query)) {
    if (rows.length === query.limit || isFullSlice(rows.length, bytes)) return { rows, isLast: false };
    const { key, position, body } = row;
    rows.push({ key, position, hash: row.hash, isIntact: isIntact(hash, row) });
    bytes += body?.length ?? 0;
  }
  return { rows, isLast: true };
}

function* bucketRows(connection: Connection, { bucket, after, limit }: BucketQuery): Generator<StoredRow> {
  for (const kind of rowKinds.slice(after ? rowKinds.indexOf(after.kind) : 0)) {
    const { name, itemColumn, select } = tableOf(kind);
    const keys = itemColumn === undefined ? "vault_id" : `vault_id, ${itemColumn}`;
    const from = after?.kind === kind ? after : null;
    const values = [from?.vaultId ?? "", from ? itemOf(from) : ""].slice(0, itemColumn === undefined ? 1 : 2);
    const sql = `${select} INDEXED BY ${name}_bucket WHERE bucket IN (?) AND (${keys}) > (${keys.replaceAll(/\w+/g, "?")})
      ORDER BY ${keys} LIMIT ? + 0`;
    for (const columns of connection.each<RowColumns>(sql, bucket, ...values, limit))
      yield rowOf(kind, columns);
  }
}

export function readRows(connection: Connection, keys: readonly RowKey[]): Row[] {
  return keys
    .map((key) => readRow(connection, key))
    .filter((row) => row !== undefined)
    .map(({ key, position, hash, body }) => ({ key, position, hash, body }));
}

/** See RepairStore.judgeRepair. A higher epoch that the guard names is recorded, as with a push. */
export function judge(
  tx: Transaction,
  guard: RepairGuard,
): { readonly code: PushRefusal | undefined; readonly receiver: Receiver } {
  const code = judgeRepair(receiverOf(tx), tx.site().epoch, guard);
  if (!refusalsOfStrangers.has(code)) recordEpoch(tx, guard.from.epoch);
  return { code, receiver: receiverOf(tx) };
}

type Tally = { replaced: number; removed: number; refused: number };

/** See RepairStore.applyRepair. */
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
    forgetTaken(tx.connection, row);
    tally.replaced += 1;
  }
  dropRejection(tx.connection, wireKeyOf(row.key), row.position);
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
  pruneLeft(tx.connection, stored.position);
}

/** See RepairStore.healRows. */
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
