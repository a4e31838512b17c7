import { decodeStranded } from "../../src/core/aside.ts";
import { compareEpochs } from "../../src/core/epoch.ts";
import { Refusal } from "../../src/core/errors.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { comparePositions } from "../../src/core/position.ts";
import { formatKey } from "../../src/core/row.ts";
import type { Site } from "../../src/core/store/site.ts";
import type { PeerStatus } from "../../src/protocol/replication-status.ts";
import type { World } from "./world.ts";

const hourMs = 3_600_000;
/** More rounds than any course of events needs: each brings the sites one step nearer, or something goes round in circles. */
const roundsMax = 12;

/**
 * An operator who looks at each site's status and does what it asks for, until nothing is left to do: every site must run, and
 * every link be whole. `write` is a client's write to whichever site takes it.
 */
export async function settleSites(world: World, write: () => void): Promise<void> {
  for (let round = 0; round < roundsMax; round += 1) {
    const before = world.trace.length;
    write();
    await world.scheduler.run(hourMs);
    const step = await nextStep(world);
    if (!step) return;
    await step();
    await world.scheduler.run(hourMs);
    world.note(`the operator's round ${round + 1} took ${world.trace.length - before} events`);
  }
  throw new Error(`after ${roundsMax} rounds an operator still has something to do`);
}

type Step = () => Promise<void>;

/** What the sites' states ask for; undefined where every site but one primary is its backup. */
async function nextStep(world: World): Promise<Step | undefined> {
  const sites = world.running();
  const granter = sites.find(({ role, grant }) => role === "primary" && grant !== null);
  if (granter) return () => endGrant(world, granter);
  const [winner, second] = world.primaries();
  if (!winner) return () => makePrimary(world, sites);
  if (second) throw new Error(`${winner.site} and ${second.site} are in contact, and both take writes`);
  const fenced = sites.find(({ role, fenced }) => role === "primary" && fenced !== null);
  if (fenced) return () => command(world, fenced.site, "rejoin");
  const forked = await forkedBackup(world, winner.site);
  return forked && (() => command(world, forked, "rejoin"));
}

/** A promise to hand over is kept by the other site, or taken back. */
async function endGrant(world: World, { site, grant, fenced }: Site): Promise<void> {
  // Its grant is a step of a recovery, which goes on from there.
  if (fenced === "primary_behind") return command(world, site, "recover");
  const at = grant && world.random.fraction() < 0.5 ? grant.to : site;
  await command(world, at, "promote");
  if (world.record(site).grant) await command(world, site, "promote", { force: true });
}

/** No site takes writes. One that went back is led through its recovery; else the one that is furthest is promoted. */
async function makePrimary(world: World, sites: readonly Site[]): Promise<void> {
  const furthest = sites.toSorted(
    (a, b) => compareEpochs(b.epoch, a.epoch) || comparePositions(b.head.position, a.head.position),
  );
  const behind = furthest.find(({ fenced }) => fenced === "primary_behind");
  if (behind) {
    await command(world, behind.site, "recover");
    if (world.primaries().length > 0) return;
    // Its backup has gone back as well by now, or another site's epoch is the higher.
  }
  const [first] = furthest;
  if (!first) return;
  const name = first.fenced === "primary_behind" ? "recover" : "promote";
  await command(world, first.site, name, { force: true });
}

async function forkedBackup(world: World, winner: SiteName): Promise<SiteName | undefined> {
  const { body } = await world.process(winner).receive("/api/replication", winner, undefined);
  const { peers } = body as { peers: readonly PeerStatus[] };
  return peers.find(({ last_error }) => last_error === "forked")?.site;
}

/** Has a site do something, and waits for as long as an operator would. */
export async function command(world: World, site: SiteName, name: string, body: object = {}): Promise<void> {
  let isDone = false;
  void world.command(site, name, body).then(() => {
    isDone = true;
  });
  await world.scheduler.run(hourMs);
  if (!isDone) throw new Error(`${name} on ${site} does not come to an end`);
}

/** Settles one stranded row, this way or that, where there is one. */
export async function settleStranded(world: World): Promise<void> {
  const [winner] = world.primaries();
  // It may crash while one looks for it.
  if (!winner || !world.isUp(winner.site)) return;
  const { rows } = await world.reading(winner.site, (store) =>
    store.read((r) => r.aside.stranded(null, 100)),
  );
  if (rows.length === 0) return;
  const { key, body } = world.pick(rows);
  if (key.kind !== "stranded" || body === null) return;
  const { row } = decodeStranded(body);
  const current = (await world.rows(winner.site)).get(formatKey(row.key));
  const action = world.pick(["reapply", "discard"] as const);
  // It may be committed and never be answered.
  const undo = action === "discard" ? world.ledger.settle(row, current) : world.ledger.settle(current, row);
  void world.command(winner.site, "stranded", { action, id: key.strandedId }).then((result) => {
    if (result instanceof Refusal) undo();
    else world.count(`${action} of ${row.key.kind}${row.body ? "" : " (purge)"}`);
  });
  if (action === "reapply") world.hasReapplied = true;
}
