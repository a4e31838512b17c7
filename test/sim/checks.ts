import { alertEvents, type AlertEvent } from "../../src/core/alert-events.ts";
import { decodeStranded, strandedIdOf } from "../../src/core/aside.ts";
import { bytesEqual } from "../../src/core/bytes.ts";
import { Buckets } from "../../src/core/digest.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { comparePositions, formatPosition, origin } from "../../src/core/position.ts";
import { samePoint } from "../../src/core/push.ts";
import { formatKey, isIntact, type StoredRow } from "../../src/core/row.ts";
import type { PeerStatus } from "../../src/protocol/replication-status.ts";
import { sha256Hash } from "../support/ports.ts";
import { checkAudit } from "./audit-checks.ts";
import { checkHistories } from "./history-checks.ts";
import type { World } from "./world.ts";

export type RestOptions = {
  /** Rows that a backup refuses may be missing there. */
  readonly exceptQuarantine: boolean;
};

/**
 * What must hold once every link is whole, every site runs, each is what it should be, and everything has come to rest.
 * Throws what does not hold.
 */
export async function checkAtRest(world: World, { exceptQuarantine }: RestOptions): Promise<void> {
  expectThat(world.scheduler.pending === 0, `${world.scheduler.pending} timers are left`);
  await world.look();
  await checkAlerts(world);
  const [winner, second] = world.primaries();
  if (!winner) return checkFenced(world);
  expectThat(!second, `${winner.site} and ${second?.site} both take writes`);
  const refused = await checkPeers(world, winner.site, exceptQuarantine);
  const rows = await world.rows(winner.site);
  for (const [key, row] of rows) {
    expectThat(isIntact(sha256Hash, row), `${key} is damaged on ${winner.site}`);
    expectThat(!row.dirty || refused.has(key), `${key} is dirty`);
  }
  for (const site of world.sites.keys()) await checkDigest(world, site);
  const live = checkStranded(rows);
  for (const site of world.sites.keys()) await checkSettled(world, site, live, exceptQuarantine);
  if (!exceptQuarantine) await checkAudit(world, winner.site);
  checkOwed(world, winner.site, rows);
  const isWhole = world.flips === 0 && world.network.flippedRows === 0 && !world.hasReapplied;
  checkHistories(rows, isWhole);
}

/** Every other site is a backup and equal. Returns the keys of rows that one refuses. */
async function checkPeers(world: World, winner: SiteName, exceptQuarantine: boolean): Promise<Set<string>> {
  const { store } = world.process(winner);
  const { body } = await world.process(winner).receive("/api/replication", winner, undefined);
  const { peers } = body as { peers: readonly PeerStatus[] };
  const refused = new Set<string>();
  const incidents = await store.read((r) => r.alerts.openIncidents());
  for (const backup of world.sites.keys()) {
    if (backup === winner) continue;
    const quarantined = await store.read((r) =>
      r.replication.listQuarantined(backup, origin.position, 1_000),
    );
    const excepted = exceptQuarantine ? quarantined.map((row) => formatKey(row.key)) : [];
    await checkEqual(world, winner, backup, new Set(excepted));
    for (const key of excepted) refused.add(key);
    const isTold = incidents.some(
      ({ event, details }) => event === "replication_quarantined" && details["backup"] === backup,
    );
    expectThat(
      isTold === quarantined.length > 0,
      `${quarantined.length} rows in quarantine, told: ${isTold}`,
    );
    const status = peers.find((peer) => peer.site === backup);
    expectThat(status?.state === "asleep", `the worker of ${backup} is ${status?.state}`);
    expectThat(status.dirty === 0 && status.lag_ms === 0, `${backup} is behind by ${status.dirty}`);
  }
  return refused;
}

async function checkEqual(
  world: World,
  winner: SiteName,
  backup: SiteName,
  excepted: ReadonlySet<string>,
): Promise<void> {
  const [primary, copy] = [
    await world.process(winner).store.read((r) => r.site.record()),
    await world.process(backup).store.read((r) => r.site.record()),
  ];
  expectThat(copy.role === "backup", `${backup} is ${copy.role}, fenced: ${copy.fenced}`);
  const [primaryRows, backupRows] = [await world.rows(winner), await world.rows(backup)];
  for (const [key, row] of primaryRows) {
    if (!excepted.has(key)) checkRow(backup, row, backupRows.get(key));
  }
  for (const key of backupRows.keys()) {
    expectThat(primaryRows.has(key) || excepted.has(key), `only ${backup} has ${key}`);
  }
  expectThat(samePoint(primary.head, copy.head), `${backup} stands elsewhere than ${winner}`);
  const peer = (await world.process(winner).store.read((r) => r.replication.peers())).find(
    ({ site }) => site === backup,
  );
  expectThat(peer?.acked && samePoint(peer.acked, primary.head), `acked of ${backup} is not the head`);
  // I10: a finished drain has proved both digests equal.
  const [proved, believed] = [peer.verified?.position, copy.verified?.position];
  const head = formatPosition(primary.head.position);
  expectThat(
    proved && formatPosition(proved) === head,
    `${backup} was proved equal at ${proved && formatPosition(proved)}, not at ${head}`,
  );
  expectThat(
    believed && formatPosition(believed) === head,
    `${backup} believes itself equal at ${believed && formatPosition(believed)}, not at ${head}`,
  );
  expectThat(!peer.diverged, `${backup} counts as diverged`);
  expectThat(copy.isComplete, `${backup} counts as incomplete`);
}

function checkRow(backup: SiteName, row: StoredRow, other: StoredRow | undefined): void {
  const key = formatKey(row.key);
  expectThat(other, `${backup} lacks ${key}`);
  const isSame = comparePositions(row.position, other.position) === 0 && bytesEqual(row.hash, other.hash);
  expectThat(
    isSame,
    `${backup} has ${key} at ${formatPosition(other.position)}, not ${formatPosition(row.position)}`,
  );
  expectThat(isIntact(sha256Hash, other), `${key} is damaged on ${backup}`);
  expectThat(!other.dirty, `${key} is dirty on ${backup}`);
}

/** A site's digest is that of its rows. */
async function checkDigest(world: World, site: SiteName): Promise<void> {
  const buckets = new Buckets();
  for (const row of (await world.rows(site)).values()) buckets.toggle(sha256Hash, row);
  const { digest } = await world.process(site).store.read((r) => r.site.digest());
  expectThat(bytesEqual(digest, buckets.digest(sha256Hash)), `the digest of ${site} is not that of its rows`);
}

/** Stranded rows are each listed once, and none of them is there as well. Returns how many wait for an operator. */
function checkStranded(rows: ReadonlyMap<string, StoredRow>): number {
  let live = 0;
  const identities = new Set<string>();
  for (const { key, body } of rows.values()) {
    if (key.kind !== "stranded" || body === null) continue;
    live += 1;
    const { row } = decodeStranded(body);
    const identity = strandedIdOf(sha256Hash, row);
    const name = `${formatKey(row.key)} at ${formatPosition(row.position)}`;
    expectThat(identity === key.strandedId, `${name} is stranded under an id that is not its own`);
    expectThat(!identities.has(identity), `${name} is stranded twice`);
    identities.add(identity);
    const own = rows.get(formatKey(row.key));
    const isThere =
      own && comparePositions(own.position, row.position) === 0 && bytesEqual(own.hash, row.hash);
    expectThat(!isThere, `${name} is stranded though the primary has it`);
  }
  return live;
}

/** Nothing waits for a decision, and no incident is open but that of rows that are stranded. */
async function checkSettled(
  world: World,
  site: SiteName,
  stranded: number,
  exceptAudit: boolean,
): Promise<void> {
  const { store } = world.process(site);
  const { waiting } = await store.read((r) => r.aside.waiting(1));
  expectThat(waiting === 0, `${waiting} rows put aside wait on ${site}`);
  const { role } = await store.read((r) => r.site.record());
  const open = (await store.read((r) => r.alerts.openIncidents())).map(({ event }) => event);
  // What became of an audit is told by pushes, and rest brings none.
  const mayBeOpen = new Set(["rows_stranded", "replication_quarantined", exceptAudit && "audit_truncated"]);
  const others = open.filter((event) => !mayBeOpen.has(event));
  expectThat(others.length === 0, `${others[0]} is still open on ${site}`);
  const isTold = open.includes("rows_stranded");
  const mustBeTold = role === "primary" && stranded > 0;
  expectThat(isTold === mustBeTold, `${stranded} rows are stranded, told on ${site}: ${isTold}`);
}

/** I11: what clients were told is kept is there, in what was built on it, or stranded. */
function checkOwed(world: World, winner: SiteName, rows: ReadonlyMap<string, StoredRow>): void {
  const proven = world.ledger.provenBy(rows.values());
  for (const write of world.ledger.owed()) {
    expectThat(proven.has(write.id), `${winner} lacks write ${write.id} to ${formatKey(write.key)}`);
    const row = rows.get(formatKey(write.key));
    // I7: a purge may be stranded where its row was changed elsewhere, but nothing takes it back without a word.
    if (!write.isPurge || row?.body === null) continue;
    const isStranded = [...rows.values()].some(
      ({ key, body }) => key.kind === "stranded" && body && isPurgeOf(write.key, body),
    );
    expectThat(isStranded, `${formatKey(write.key)} was purged and is there again`);
  }
}

function isPurgeOf(key: StoredRow["key"], strandedBody: Uint8Array): boolean {
  const { row } = decodeStranded(strandedBody);
  return row.body === null && formatKey(row.key) === formatKey(key);
}

/** A primary that was put back keeps everything until an operator recovers it. */
async function checkFenced(world: World): Promise<void> {
  const { fenced } = await world.primary.store.read((r) => r.site.record());
  expectThat(fenced === "primary_behind", `calgary is fenced as ${fenced}`);
  const alerts = await world.primary.store.read((r) => r.alerts.newest(1_000));
  const told = alerts.filter((alert) => alert.event === "primary_behind").length;
  expectThat(told === 1, `primary_behind was told ${told} times`);
  const held = new Set<number>();
  for (const site of world.sites.keys()) for (const id of await world.held(site)) held.add(id);
  for (const write of world.ledger.owed()) {
    expectThat(held.has(write.id), `no disk holds write ${write.id}`);
  }
}

/** I15: openings and ends of one incident alternate, beginning with an opening. */
async function checkAlerts(world: World): Promise<void> {
  for (const site of world.sites.keys()) {
    if ((world.putBacks.get(site) ?? 0) > 0) continue;
    const alerts = (await world.process(site).store.read((r) => r.alerts.newest(10_000))).toReversed();
    const open = new Set<string>();
    for (const { event, details } of alerts) {
      const subject = String(details["backup"] ?? details["site"] ?? "");
      const ended: AlertEvent | null = alertEvents[event].ends;
      const name = `${ended ?? event} of ${subject}`;
      expectThat(open.has(name) === (ended !== null), `${event} of ${subject} was told out of turn`);
      if (ended) open.delete(name);
      else open.add(name);
    }
  }
}

function expectThat(holds: unknown, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
