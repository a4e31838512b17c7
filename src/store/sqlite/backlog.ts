import type { SiteName } from "../../core/ids.ts";
import { comparePositions, origin, type Position } from "../../core/position.ts";
import type { Backlog, Peer } from "../../core/store/replication.ts";
import type { Connection } from "./connection.ts";
import { lowestAcked } from "./peers.ts";
import { standsIn } from "./quarantine.ts";
import type { View } from "./state.ts";

const nothing: Backlog = { dirty: 0, oldestDirtySince: null, quarantined: 0 };

/** What waits for one peer, or for any where `site` is null: a row that waits for two of them counts once. */
export function readBacklog({ connection, state }: View, site: SiteName | null): Backlog {
  const peers = site === null ? state.peers : state.peers.filter((peer) => peer.site === site);
  const above = lowestAcked(peers);
  if (above === undefined) return nothing;
  const quarantined = state.hasQuarantined ? quarantinedOf(connection, site) : [];
  const refused = quarantined.filter((row) => isOnlyRefused(row, peers));
  const { all, oldest } = countAbove(connection, above, refused);
  return { dirty: all, oldestDirtySince: oldest, quarantined: quarantined.length };
}

/** A row in quarantine, where it stands, and the peers that refuse it. */
type Quarantined = Position & { readonly id: number; readonly peers: string };

function quarantinedOf(connection: Connection, site: SiteName | null): readonly Quarantined[] {
  return connection.all<Quarantined>(
    `SELECT rows.id AS id, rows.epoch AS epoch, rows.seq AS seq, group_concat(q.peer, ' ') AS peers
     FROM quarantine AS q CROSS JOIN rows ON ${standsIn} WHERE q.peer = coalesce(?, q.peer) GROUP BY rows.id`,
    site,
  );
}

/** Whether every peer that has not acknowledged a row refuses it: it waits for nobody. */
function isOnlyRefused(row: Quarantined, peers: readonly Peer[]): boolean {
  const refusing = new Set(row.peers.split(" "));
  return peers.every(
    ({ site, acked }) => refusing.has(site) || comparePositions(row, (acked ?? origin).position) <= 0,
  );
}

type Counted = { readonly all: number; readonly oldest: number | null };

/**
 * How many rows stand above a position, without those that are refused, and the age of their oldest mark. Costs what is dirty: one
 * entry of the index for each row.
 */
function countAbove(connection: Connection, above: Position, refused: readonly Quarantined[]): Counted {
  const left = refused.filter((row) => comparePositions(row, above) > 0).map(({ id }) => id);
  const sql = 'SELECT count(*) AS "all", min(dirty_since) AS oldest FROM rows WHERE (epoch, seq) > (?, ?)';
  const except = "AND id NOT IN (SELECT value FROM json_each(?))";
  const values = [above.epoch, above.seq];
  const found =
    left.length === 0
      ? connection.get<Counted>(sql, ...values)
      : connection.get<Counted>(`${sql} ${except}`, ...values, JSON.stringify(left));
  return found ?? { all: 0, oldest: null };
}
