import { alertEvents, type AlertEvent } from "../../src/core/alert-events.ts";
import { bytesEqual } from "../../src/core/bytes.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { comparePositions, formatPosition, origin } from "../../src/core/position.ts";
import { samePoint } from "../../src/core/push.ts";
import type { PeerStatus } from "../../src/protocol/replication-status.ts";
import { formatKey } from "../../src/core/row.ts";
import { calgary, type World } from "./world.ts";

/**
 * What must hold once every link is whole, every site runs and everything has come to rest; rows in quarantine may be left out.
 * Throws what does not hold.
 */
export async function checkAtRest(
  world: World,
  { exceptQuarantine }: { readonly exceptQuarantine: boolean },
): Promise<void> {
  const { fenced } = await world.primary.store.site();
  expectThat(world.scheduler.pending === 0, `${world.scheduler.pending} timers are left`);
  await checkAlerts(world);
  if (fenced) return checkFenced(world);
  const { peers } = await describeReplicationOf(world);
  const refused = new Set<string>();
  const incidents = await world.primary.store.openIncidents();
  for (const backup of world.backups) {
    const quarantined = await world.primary.store.listQuarantined(backup, origin.position, 1_000);
    const excepted = exceptQuarantine ? quarantined.map((row) => formatKey(row.key)) : [];
    await checkEqual(world, backup, new Set(excepted));
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
  for (const [key, row] of await world.rows(calgary))
    expectThat(!row.dirty || refused.has(key), `${key} is dirty`);
  const open = incidents.filter(({ event }) => !(exceptQuarantine && event === "replication_quarantined"));
  expectThat(open.length === 0, `${open[0]?.event} is still open`);
}

async function describeReplicationOf(world: World): Promise<{ readonly peers: readonly PeerStatus[] }> {
  const { body } = await world.primary.receive("/api/replication", calgary, undefined);
  return body as { peers: readonly PeerStatus[] };
}

async function checkFenced(world: World): Promise<void> {
  const { fenced } = await world.primary.store.site();
  expectThat(fenced === "primary_behind", `calgary is fenced as ${fenced}`);
  expectThat((world.putBacks.get(calgary) ?? 0) > 0, "calgary is fenced though its disk was never put back");
  const alerts = await world.primary.store.alerts(1_000);
  const told = alerts.filter((alert) => alert.event === "primary_behind").length;
  expectThat(told === 1, `primary_behind was told ${told} times`);
  const held = new Set<number>();
  for (const site of world.sites.keys()) for (const id of await world.held(site)) held.add(id);
  for (const write of world.writes) {
    if (write.position && !write.isLost) expectThat(held.has(write.id), `no disk holds write ${write.id}`);
  }
}

async function checkEqual(world: World, backup: SiteName, excepted: ReadonlySet<string>): Promise<void> {
  const [primaryRows, backupRows] = [await world.rows(calgary), await world.rows(backup)];
  for (const [key, row] of primaryRows) {
    if (excepted.has(key) || world.isUndone(key, row)) continue;
    const other = backupRows.get(key);
    expectThat(other, `${backup} lacks ${key}`);
    const isSame = comparePositions(row.position, other.position) === 0 && bytesEqual(row.hash, other.hash);
    expectThat(
      isSame,
      `${backup} has ${key} at ${formatPosition(other.position)}, not ${formatPosition(row.position)}`,
    );
    expectThat(!other.dirty, `${key} is dirty on ${backup}`);
  }
  for (const key of backupRows.keys()) expectThat(primaryRows.has(key), `only ${backup} has ${key}`);
  const [primary, copy] = [await world.primary.store.site(), await world.process(backup).store.site()];
  expectThat(samePoint(primary.head, copy.head), `${backup} stands elsewhere than calgary`);
  const held = await world.held(backup);
  for (const write of world.writes) {
    const key = formatKey(write.key);
    const row = primaryRows.get(key);
    if (!write.position || write.isLost || excepted.has(key) || (row && world.isUndone(key, row))) continue;
    expectThat(held.has(write.id), `${backup} lacks write ${write.id} to ${formatKey(write.key)}`);
  }
  const peer = (await world.primary.store.peers()).find(({ site }) => site === backup);
  expectThat(peer?.acked && samePoint(peer.acked, primary.head), `acked of ${backup} is not the head`);
}

/** I15: openings and ends of one incident alternate, beginning with an opening. */
async function checkAlerts(world: World): Promise<void> {
  for (const site of world.sites.keys()) {
    if ((world.putBacks.get(site) ?? 0) > 0) continue;
    const alerts = (await world.process(site).store.alerts(10_000)).toReversed();
    const open = new Set<string>();
    for (const { event, details } of alerts) {
      const subject = String(details["backup"] ?? "");
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
