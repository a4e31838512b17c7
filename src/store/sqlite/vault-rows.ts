import { Refusal } from "../../core/errors.ts";
import type { EntryId, VaultId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import { extendChain, formatKey, hashRow, type RowKey, type StoredRow } from "../../core/row.ts";
import type { RowChange, Site, Write } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { recordPoint } from "./history.ts";
import { changesKept, pruneHistory, pruneLeft } from "./history-pruning.ts";
import { keyOf, type RowColumns, readRow, rowOf, tableOf } from "./replicated-tables.ts";
import type { Steps, Transaction } from "./transaction.ts";

export type WriteOptions = {
  readonly hash: Hash;
  readonly now: number;
  /** Throws where the disk has too little room for clients. */
  readonly checkRoom: () => void;
};

/** What one step of a large write may look at or change: more would hold up everybody else for over 20 ms. */
const sliceRows = 200;
const sliceBytes = 1024 * 1024;

/** See VaultStore.write. Must be run again from the start when its transaction was undone. */
export function* commitWrite(
  tx: Transaction,
  write: Write,
  options: WriteOptions,
): Steps<readonly StoredRow[]> {
  refuseByRole(tx.site());
  options.checkRoom();
  const stored = yield* lookUp(tx.connection, write.keys);
  const changes = write.decide(stored);
  const current = new Map(write.keys.map((key, index) => [formatKey(key), stored[index]]));
  const changed: StoredRow[] = [];
  let bytes = 0;
  for (const change of changes) {
    if (isFullSlice(changed.length, bytes)) {
      yield;
      bytes = 0;
    }
    const name = formatKey(change.key);
    const row = commitChange(
      tx,
      change,
      current.has(name) ? current.get(name) : readRow(tx.connection, change.key),
      options,
    );
    current.set(name, row);
    bytes += change.body?.length ?? 0;
    changed.push(row);
  }
  if (write.erases && changed.length > 0) tx.leaveRemains();
  // With peers their acknowledgements do it, and a client's write need not pay for it.
  if (!tx.hasPeers()) pruneHistory(tx, { pointsMax: 2 * changed.length, changesKept });
  return changed;
}

/** Whether a step has looked at or changed as much as one may. */
export function isFullSlice(rows: number, bytes: number): boolean {
  return bytes >= sliceBytes || (rows > 0 && rows % sliceRows === 0);
}

export function refuseByRole(site: Site): void {
  if (site.role === "backup") throw new Refusal("read_only_backup");
  if (site.fenced !== null) throw new Refusal("site_fenced");
}

function* lookUp(connection: Connection, keys: readonly RowKey[]): Steps<(StoredRow | undefined)[]> {
  const rows: (StoredRow | undefined)[] = [];
  let bytes = 0;
  for (const key of keys) {
    if (isFullSlice(rows.length, bytes)) {
      yield;
      bytes = 0;
    }
    const row = readRow(connection, key);
    bytes += row?.body?.length ?? 0;
    rows.push(row);
  }
  return rows;
}

/**
 * The row, its mark, the chain, the digest and the history point belong together: one without the others would break I2.
 * @param stored the row of that key as it stands
 */
export function commitChange(
  tx: Transaction,
  change: RowChange,
  stored: StoredRow | undefined,
  { hash, now }: Pick<WriteOptions, "hash" | "now">,
): StoredRow {
  const site = tx.site();
  const dirty = tx.hasPeers();
  const row: StoredRow = {
    key: change.key,
    position: { epoch: site.epoch.number, seq: site.head.position.seq + 1 },
    hash: hashRow(hash, change.body),
    body: change.body,
    dirty,
    dirtySince: dirty ? (stored?.dirtySince ?? now) : null,
    replicatedAt: stored?.replicatedAt ?? null,
  };
  const head = { position: row.position, chain: extendChain(hash, site.head.chain, row) };
  tx.replaceRow(stored, row);
  recordPoint(tx.connection, head, false);
  tx.saveSite({ ...site, head });
  if (stored) pruneLeft(tx.connection, stored.position);
  return row;
}

export function readVaults(connection: Connection): { row: StoredRow; entries: number }[] {
  const count = "SELECT count(*) FROM entries INDEXED BY entries_live WHERE deleted = 0 AND vault_id = ?";
  return connection
    .all<RowColumns>(`${tableOf("vault").select} INDEXED BY vaults_live WHERE deleted = 0 ORDER BY vault_id`)
    .map((columns) => ({
      row: rowOf("vault", columns),
      entries: connection.get<{ "count(*)": number }>(count, columns.vault_id)?.["count(*)"] ?? 0,
    }));
}

export function readEntries(
  connection: Connection,
  vaultId: VaultId,
  before: EntryId | undefined,
  limit: number,
): StoredRow[] {
  const live = `${tableOf("entry").select} INDEXED BY entries_live WHERE deleted = 0 AND vault_id IN (?)`;
  const order = "ORDER BY entry_id DESC LIMIT ? + 0";
  const columns =
    before === undefined
      ? connection.all<RowColumns>(`${live} ${order}`, vaultId, limit)
      : connection.all<RowColumns>(`${live} AND entry_id < ? ${order}`, vaultId, before, limit);
  return columns.map((record) => rowOf("entry", record));
}

export function readOrphans(connection: Connection, limit: number): RowKey[] {
  const keys: RowKey[] = [];
  for (const kind of ["entry", "version", "access"] as const) {
    keys.push(...orphansOf(connection, kind, limit - keys.length));
  }
  return keys;
}

/** The cross join fixes the order: from the few deleted vaults to their rows, never over all rows. */
function orphansOf(connection: Connection, kind: "entry" | "version" | "access", limit: number): RowKey[] {
  const { name, itemColumn } = tableOf(kind);
  return connection
    .all<RowColumns>(
      `SELECT ${name}.vault_id, ${name}.${itemColumn} AS item_id FROM vaults INDEXED BY vaults_deleted
       CROSS JOIN ${name} INDEXED BY ${name}_live ON ${name}.vault_id = vaults.vault_id
       WHERE vaults.deleted = 1 AND ${name}.deleted = 0 LIMIT ? + 0`,
      limit,
    )
    .map((columns) => keyOf(kind, columns));
}
