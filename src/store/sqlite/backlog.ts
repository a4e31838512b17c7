import type { SiteName } from "../../core/ids.ts";
import { origin, type Position } from "../../core/position.ts";
import type { Backlog } from "../../core/store.ts";
import type { Connection } from "./connection.ts";
import { lowestAcked, readPeer } from "./peers.ts";
import { standsIn } from "./quarantine.ts";
import { type ReplicatedTable, replicatedTables } from "./replicated-tables.ts";

const nothing: Backlog = { dirty: 0, oldestDirtySince: null, quarantined: 0 };

/** What waits for one peer, or for any where `peer` is null: a row that waits for two of them counts once. */
export function readBacklog(connection: Connection, peer: SiteName | null): Backlog {
  const above = peer === null ? lowestAcked(connection) : ackedOf(connection, peer);
  if (above === undefined) return nothing;
  return replicatedTables
    .map((table) => backlogIn(connection, table, peer, above))
    .reduce((sum, part) => ({
      dirty: sum.dirty + part.dirty,
      oldestDirtySince: older(sum.oldestDirtySince, part.oldestDirtySince),
      quarantined: sum.quarantined + part.quarantined,
    }));
}

function ackedOf(connection: Connection, site: SiteName): Position | undefined {
  const peer = readPeer(connection, site);
  return peer && (peer.acked ?? origin).position;
}

function older(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

/** Everything above, less what is there only for quarantine: the few of those are looked up, the many are only counted. */
function backlogIn(
  connection: Connection,
  table: ReplicatedTable,
  peer: SiteName | null,
  { epoch, seq }: Position,
): Backlog {
  const count = (sql: string, ...values: (string | number | null)[]): number =>
    connection.get<{ count: number }>(sql, ...values)?.count ?? 0;
  const above = count(`SELECT count(*) AS count FROM ${table.name} WHERE (epoch, seq) > (?, ?)`, epoch, seq);
  const unwanted = count(unwantedSql(table), epoch, seq, peer);
  return {
    dirty: above - unwanted,
    oldestDirtySince: oldestOf(connection, table, peer, { epoch, seq }),
    quarantined: count(quarantinedSql(table), peer),
  };
}

/** SQL: whether a row waits for the peer who is the next parameter, or for any where that is null. */
function isWanted(table: ReplicatedTable): string {
  return `EXISTS (SELECT 1 FROM peers AS p WHERE p.site = coalesce(?, p.site)
    AND (${table.name}.epoch, ${table.name}.seq) > (coalesce(p.acked_epoch, 0), coalesce(p.acked_seq, 0))
    AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE ${standsIn(table)} AND q.peer = p.site))`;
}

function unwantedSql(table: ReplicatedTable): string {
  return `SELECT count(*) AS count FROM (SELECT DISTINCT q.vault_id, q.item_id
    FROM quarantine AS q CROSS JOIN ${table.name} ON ${standsIn(table)}
    WHERE (${table.name}.epoch, ${table.name}.seq) > (?, ?) AND NOT ${isWanted(table)})`;
}

function quarantinedSql(table: ReplicatedTable): string {
  return `SELECT count(*) AS count FROM (SELECT DISTINCT q.vault_id, q.item_id
    FROM quarantine AS q CROSS JOIN ${table.name} ON ${standsIn(table)} WHERE q.peer = coalesce(?, q.peer))`;
}

function oldestOf(
  connection: Connection,
  table: ReplicatedTable,
  peer: SiteName | null,
  above: Position,
): number | null {
  const sql = `SELECT dirty_since FROM ${table.name} INDEXED BY ${table.name}_dirty_since
    WHERE replication_dirty = 1 AND (epoch, seq) > (?, ?) AND ${isWanted(table)} ORDER BY dirty_since LIMIT 1`;
  return connection.get<{ dirty_since: number }>(sql, above.epoch, above.seq, peer)?.dirty_since ?? null;
}
