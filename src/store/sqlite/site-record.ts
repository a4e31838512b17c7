import type { Epoch, Promotion } from "../../core/epoch.ts";
import type { RealmId, SiteName } from "../../core/ids.ts";
import type { Point, Position } from "../../core/position.ts";
import type { Role } from "../../core/push.ts";
import type { OperatorToken } from "../../core/store/operators.ts";
import type { Grant } from "../../core/store/roles.ts";
import type { Fence, Site, Verified } from "../../core/store/site.ts";
import { bytesOf, type Connection } from "./connection.ts";

type SiteColumns = {
  site: SiteName;
  realm: RealmId | null;
  role: Role;
  fenced: Fence | null;
  epoch_number: number;
  epoch_id: string;
  seen_number: number;
  seen_id: string;
  head_epoch: number;
  head_seq: number;
  head_chain: Uint8Array;
  primary_site: SiteName | null;
  primary_url: string | null;
  last_push_at: number | null;
  complete: number;
  pruned_epoch: number;
  pruned_seq: number;
  remains: number;
} & VerifiedColumns;

export type VerifiedColumns = {
  verified_epoch: number | null;
  verified_seq: number | null;
  verified_at: number | null;
};

/** A site's own record, and what stands beside it. */
export type OwnRecord = {
  readonly site: Site;
  /** Up to where the history was looked through for points to forget. */
  readonly pruned: Position;
  /** How many transactions have left something readable in the log since it was last emptied. */
  readonly remains: number;
};

export function readOwnRecord(connection: Connection): OwnRecord {
  const columns = connection.get<SiteColumns>("SELECT * FROM site WHERE id = 1");
  if (!columns) throw new Error("the database holds no site record");
  const pruned = { epoch: columns.pruned_epoch, seq: columns.pruned_seq };
  return { site: siteOf(connection, columns), pruned, remains: columns.remains };
}

export function readSite(connection: Connection): Site {
  return readOwnRecord(connection).site;
}

function siteOf(connection: Connection, columns: SiteColumns): Site {
  return {
    site: columns.site,
    realm: columns.realm,
    role: columns.role,
    fenced: columns.fenced,
    epoch: { number: columns.epoch_number, id: columns.epoch_id },
    epochSeen: { number: columns.seen_number, id: columns.seen_id },
    head: {
      position: { epoch: columns.head_epoch, seq: columns.head_seq },
      chain: bytesOf(columns.head_chain),
    },
    primary: primaryOf(columns),
    verified: verifiedOf(columns),
    isComplete: columns.complete === 1,
    // A site with an open grant is fenced: the writes of all others need no look.
    grant: columns.fenced === null ? null : (readOpenGrant(connection) ?? null),
  };
}

export function verifiedOf(columns: VerifiedColumns): Verified | null {
  const { verified_epoch: epoch, verified_seq: seq, verified_at: at } = columns;
  return epoch === null || seq === null || at === null ? null : { position: { epoch, seq }, at };
}

function primaryOf(columns: SiteColumns): Site["primary"] {
  const { primary_site: site, primary_url: url, last_push_at: lastPushAt } = columns;
  return site === null || url === null || lastPushAt === null ? null : { site, url, lastPushAt };
}

/** Stores a head alone: all that an ordinary write changes of the record. */
export function writeHead(connection: Connection, { position, chain }: Point): void {
  connection.run(
    "UPDATE site SET head_epoch = ?, head_seq = ?, head_chain = ? WHERE id = 1",
    position.epoch,
    position.seq,
    chain,
  );
}

export function writePruned(connection: Connection, { epoch, seq }: Position): void {
  connection.run("UPDATE site SET pruned_epoch = ?, pruned_seq = ? WHERE id = 1", epoch, seq);
}

export function writeRemains(connection: Connection, remains: number): void {
  connection.run("UPDATE site SET remains = ? WHERE id = 1", remains);
}

export function writeSite(connection: Connection, site: Site): void {
  connection.run(
    `UPDATE site SET realm = ?, role = ?, fenced = ?, epoch_number = ?, epoch_id = ?, seen_number = ?, seen_id = ?,
       head_epoch = ?, head_seq = ?, head_chain = ?, primary_site = ?, primary_url = ?, last_push_at = ?,
       verified_epoch = ?, verified_seq = ?, verified_at = ?, complete = ? WHERE id = 1`,
    site.realm,
    site.role,
    site.fenced,
    site.epoch.number,
    site.epoch.id,
    site.epochSeen.number,
    site.epochSeen.id,
    site.head.position.epoch,
    site.head.position.seq,
    site.head.chain,
    site.primary?.site ?? null,
    site.primary?.url ?? null,
    site.primary?.lastPushAt ?? null,
    site.verified?.position.epoch ?? null,
    site.verified?.position.seq ?? null,
    site.verified?.at ?? null,
    site.isComplete ? 1 : 0,
  );
}

export function insertSite(connection: Connection, site: Site): void {
  connection.run(
    `INSERT INTO site (id, site, role, epoch_number, epoch_id, seen_number, seen_id, head_epoch, head_seq, head_chain)
     VALUES (1, ?, ?, 0, '', 0, '', 0, 0, ?)`,
    site.site,
    site.role,
    site.head.chain,
  );
  writeSite(connection, site);
}

type GrantColumns = {
  id: string;
  to_site: SiteName;
  epoch_number: number;
  epoch_id: string;
  head_epoch: number;
  head_seq: number;
  head_chain: Uint8Array;
};

function readOpenGrant(connection: Connection): Grant | undefined {
  const columns = connection.get<GrantColumns>("SELECT * FROM grants");
  return columns && grantOf(columns);
}

function grantOf(columns: GrantColumns): Grant {
  return {
    id: columns.id,
    to: columns.to_site,
    epoch: { number: columns.epoch_number, id: columns.epoch_id },
    head: {
      position: { epoch: columns.head_epoch, seq: columns.head_seq },
      chain: bytesOf(columns.head_chain),
    },
  };
}

/** Removes the grant that was open and adds another; at most one is open. */
export function writeGrant(connection: Connection, open: Grant | null, next: Grant | null): void {
  if (open) connection.run("DELETE FROM grants WHERE id = ?", open.id);
  if (!next) return;
  connection.run(
    `INSERT INTO grants (id, to_site, epoch_number, epoch_id, head_epoch, head_seq, head_chain)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    next.id,
    next.to,
    next.epoch.number,
    next.epoch.id,
    next.head.position.epoch,
    next.head.position.seq,
    next.head.chain,
  );
}

type TimelineColumns = {
  epoch_number: number;
  epoch_id: string;
  site: SiteName;
  from_epoch: number;
  from_seq: number;
  from_chain: Uint8Array;
};

export function readTimeline(connection: Connection): readonly Promotion[] {
  return connection.all<TimelineColumns>("SELECT * FROM timeline ORDER BY line").map((columns) => ({
    epoch: { number: columns.epoch_number, id: columns.epoch_id },
    site: columns.site,
    from: {
      position: { epoch: columns.from_epoch, seq: columns.from_seq },
      chain: bytesOf(columns.from_chain),
    },
  }));
}

export function writeTimeline(connection: Connection, timeline: readonly Promotion[]): void {
  connection.run("DELETE FROM timeline");
  for (const [line, { epoch, site, from }] of timeline.entries()) {
    connection.run(
      `INSERT INTO timeline (line, epoch_number, epoch_id, site, from_epoch, from_seq, from_chain)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      line,
      epoch.number,
      epoch.id,
      site,
      from.position.epoch,
      from.position.seq,
      from.chain,
    );
  }
}

/** Whether two timelines name the same promotions; what else stands in a line never changes. */
export function sameTimeline(a: readonly Promotion[], b: readonly Promotion[]): boolean {
  return a.length === b.length && a.every((line, index) => sameEpoch(line.epoch, b[index]?.epoch));
}

function sameEpoch(a: Epoch, b: Epoch | undefined): boolean {
  return b !== undefined && a.number === b.number && a.id === b.id;
}

type OperatorColumns = {
  token_id: string;
  verifier: Uint8Array;
  label: string;
  created_at: number;
  expires_at: number | null;
};

export function readOperator(connection: Connection, tokenId: string): OperatorToken | undefined {
  const columns = connection.get<OperatorColumns>("SELECT * FROM operators WHERE token_id = ?", tokenId);
  return columns && operatorOf(columns);
}

export function readOperators(connection: Connection): OperatorToken[] {
  return connection
    .all<OperatorColumns>("SELECT * FROM operators ORDER BY created_at, token_id")
    .map(operatorOf);
}

export function deleteOperator(connection: Connection, tokenId: string): boolean {
  const isThere = readOperator(connection, tokenId) !== undefined;
  if (isThere) connection.run("DELETE FROM operators WHERE token_id = ?", tokenId);
  return isThere;
}

function operatorOf(columns: OperatorColumns): OperatorToken {
  return {
    tokenId: columns.token_id,
    verifier: bytesOf(columns.verifier),
    label: columns.label,
    createdAt: columns.created_at,
    expiresAt: columns.expires_at,
  };
}

export function insertOperator(connection: Connection, token: OperatorToken): void {
  connection.run(
    `INSERT INTO operators (token_id, verifier, label, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (token_id) DO UPDATE SET verifier = excluded.verifier, label = excluded.label,
       created_at = excluded.created_at, expires_at = excluded.expires_at`,
    token.tokenId,
    token.verifier,
    token.label,
    token.createdAt,
    token.expiresAt,
  );
}
