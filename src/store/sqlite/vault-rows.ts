import { Refusal } from "../../core/errors.ts";
import type { EntryId, VaultId } from "../../core/ids.ts";
import type { Hash } from "../../core/ports.ts";
import { extendChain, formatKey, hashRow, type RowKey, type StoredRow } from "../../core/row.ts";
import type { RowChange, Write } from "../../core/store/rows.ts";
import type { Site } from "../../core/store/site.ts";
import type { Connection } from "./connection.ts";
import { recordPoint } from "./history.ts";
import { changesKept, pruneHistory, pruneLeft } from "./history-pruning.ts";
import { keyOf, type RowColumns, rowColumns, rowOf } from "./row-table.ts";
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

/** See RowWriter.write. Must be run again from the start when its transaction was undone. */
export function* commitWrite(
  tx: Transaction,
  write: Write,
  options: WriteOptions,
): Steps<readonly StoredRow[]> {
  refuseByRole(tx.site());
  options.checkRoom();
  const { stored, current } = yield* lookUp(tx, write.keys);
  const changes = write.decide(stored);
  if (isLarge(changes)) yield;
  const changed: StoredRow[] = [];
  let bytes = 0;
  for (const change of changes) {
    if (isFullSlice(changed.length, bytes)) {
      yield;
      bytes = 0;
    }
    const name = formatKey(change.key);
    const row = commitChange(tx, change, current.has(name) ? current.get(name) : tx.row(change.key), options);
    current.set(name, row);
    bytes += change.body?.length ?? 0;
    changed.push(row);
  }
  if (write.erases && changed.length > 0) tx.leaveRemains();
  // With peers their acknowledgements do it, and a client's write need not pay for it.
  if (!tx.hasPeers()) pruneHistory(tx, { pointsMax: 2 * changed.length, changesKept });
  return changed;
}

/** Whether a write is so large that its decision and its COMMIT are steps of their own: together they would hold up other requests. */
export function isLarge(changes: readonly unknown[]): boolean {
  return changes.length > sliceRows;
}

/** Whether a step has looked at or changed as much as one may. */
export function isFullSlice(rows: number, bytes: number): boolean {
  return bytes >= sliceBytes || (rows > 0 && rows % sliceRows === 0);
}

export function refuseByRole(site: Site): void {
  if (site.role === "backup") throw new Refusal("read_only_backup");
  if (site.fenced !== null) throw new Refusal("site_fenced");
}

type LookedUp = {
  /** In the order of the keys. */
  readonly stored: readonly (StoredRow | undefined)[];
  /** By the names of the keys. */
  readonly current: Map<string, StoredRow | undefined>;
};

function* lookUp(tx: Transaction, keys: readonly RowKey[]): Steps<LookedUp> {
  const stored: (StoredRow | undefined)[] = [];
  const current = new Map<string, StoredRow | undefined>();
  let bytes = 0;
  for (const key of keys) {
    if (isFullSlice(stored.length, bytes)) {
      yield;
      bytes = 0;
    }
    const row = tx.row(key);
    bytes += row?.body?.length ?? 0;
    stored.push(row);
    current.set(formatKey(key), row);
  }
  return { stored, current };
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
  if (stored) pruneLeft(tx, stored.position);
  return row;
}

export function readVaults(connection: Connection): { row: StoredRow; entries: number }[] {
  const vaults = `SELECT ${rowColumns} FROM rows WHERE kind = 'vault' AND deleted = 0 ORDER BY vault_id`;
  const count = "SELECT count(*) AS entries FROM rows WHERE kind = 'entry' AND deleted = 0 AND vault_id = ?";
  return connection.all<RowColumns>(vaults).map((columns) => ({
    row: rowOf(columns),
    entries: connection.get<{ entries: number }>(count, columns.vault_id)?.entries ?? 0,
  }));
}

export function readEntries(
  connection: Connection,
  vaultId: VaultId,
  before: EntryId | undefined,
  limit: number,
): StoredRow[] {
  const live = `SELECT ${rowColumns} FROM rows WHERE kind = 'entry' AND deleted = 0 AND vault_id IN (?)`;
  const order = "ORDER BY item_id DESC LIMIT ? + 0";
  const columns =
    before === undefined
      ? connection.all<RowColumns>(`${live} ${order}`, vaultId, limit)
      : connection.all<RowColumns>(`${live} AND item_id < ? ${order}`, vaultId, before, limit);
  return columns.map(rowOf);
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
  return connection
    .all<Pick<RowColumns, "kind" | "vault_id" | "item_id">>(
      `SELECT rows.kind, rows.vault_id, rows.item_id FROM rows AS vaults CROSS JOIN rows ON rows.vault_id = vaults.vault_id
       WHERE vaults.kind = 'vault' AND vaults.deleted = 1 AND rows.kind = '${kind}' AND rows.deleted = 0 LIMIT ? + 0`,
      limit,
    )
    .map(keyOf);
}
