import type { AdminCommand, AdminRequest, Alerts } from "../core/edition.ts";
import type { SiteName } from "../core/ids.ts";
import { formatPosition, origin } from "../core/position.ts";
import { formatKey } from "../core/row.ts";
import type { Site } from "../core/store/site.ts";
import type { Store, Transacts } from "../core/store/store.ts";
import type { Recount } from "../core/store/survey.ts";
import { verifyFields, type VerifiedPeer, type VerifyResult } from "../protocol/admin-requests.ts";
import { check } from "../protocol/check.ts";
import type { PeerLink } from "./peer-link.ts";
import { compareWithPeer, rowsOfBucket } from "./verify-peer.ts";

export type VerifyPorts = {
  readonly store: Transacts<"site" | "replication" | "repair"> & Pick<Store, "acknowledgements" | "survey">;
  readonly peers: () => readonly PeerLink[];
  readonly workers: { readonly hello: (peer: SiteName) => void };
  readonly alerts: Alerts;
  /** Reads every page of the database, and says what is wrong; null where nothing is. */
  readonly checkDatabase: () => Promise<string | null>;
};

type Call = Pick<AdminRequest, "progress" | "signal">;

/** Rows of the quarantine read at a time. */
const quarantinedRowsMax = 500;

export function verifyCommand(ports: VerifyPorts): AdminCommand {
  return {
    name: "verify",
    handle: async ({ body, ...call }) => verify(ports, check(verifyFields, body).repair, call),
  };
}

/**
 * Counts this site's rows anew and, on a primary, every backup's, while all of them work, and names each row that is damaged
 * here or differs there, never what is in it. Costs what is stored. Rows that a backup has not acknowledged yet, and those in
 * its quarantine, are left out.
 */
async function verify(ports: VerifyPorts, isRepairWanted: boolean, call: Call): Promise<VerifyResult> {
  const { store, checkDatabase } = ports;
  call.progress({ stage: "database", done: 0, total: 1 });
  const database = (await checkDatabase()) ?? "ok";
  const counted = await store.survey.recount((done, total) => call.progress({ stage: "rows", done, total }));
  const damaged = await damagedKeys(store, counted);
  if (damaged.length === 0) await tellHealed(ports.alerts);
  const site = await store.read((r) => r.site.record());
  const compare = (link: PeerLink) => verifyPeer(ports, { site, link, counted, call });
  const peers = await Promise.all(ports.peers().map(compare));
  const isWhole = database === "ok" && damaged.length === 0;
  if (isRepairWanted) await demandRepairs(ports, site, peers, damaged.length > 0);
  return {
    equal: isWhole && peers.every((peer) => peer.equal),
    position: formatPosition(counted.head.position),
    local: { rows: counted.rows, damaged, database },
    peers,
  };
}

/** Written anew, or healed by another site since: only a count of all rows shows it. */
async function tellHealed(alerts: Alerts): Promise<void> {
  const open = await alerts.openIncidents();
  if (!open.some(({ event }) => event === "rows_damaged")) return;
  await alerts.raise("rows_healed", "", "Every row of this site fits its own hash again", {});
}

async function damagedKeys(
  store: Transacts<"repair"> & Pick<Store, "survey">,
  { damaged }: Recount,
): Promise<readonly string[]> {
  const keys: string[] = [];
  for (const bucket of damaged) {
    for await (const row of rowsOfBucket(store, bucket)) if (!row.isIntact) keys.push(formatKey(row.key));
  }
  return keys;
}

type Pair = {
  readonly site: Site;
  readonly link: PeerLink;
  readonly counted: Recount;
  readonly call: Call;
};

async function verifyPeer(ports: VerifyPorts, { site, link, counted, call }: Pair): Promise<VerifiedPeer> {
  const nothing = { site: link.site, equal: false, rows: 0, differing: [] };
  if (site.role === "backup") {
    return { ...nothing, error: "only a primary compares: run `dormouse verify` there" };
  }
  const quarantined = await quarantinedKeys(ports.store, link.site);
  const compared = await compareWithPeer({ ...ports, link, counted, quarantined }, call);
  if (typeof compared === "string") return { ...nothing, error: compared };
  const { rows, differing } = compared;
  return { site: link.site, equal: differing.length === 0, rows, differing, error: null };
}

async function quarantinedKeys(
  store: Transacts<"replication"> & Pick<Store, "acknowledgements">,
  peer: SiteName,
): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  let after = origin.position;
  for (;;) {
    const rows = await store.read((r) => r.replication.listQuarantined(peer, after, quarantinedRowsMax));
    for (const row of rows) keys.add(formatKey(row.key));
    const last = rows.at(-1);
    if (!last || rows.length < quarantinedRowsMax) return keys;
    after = last.position;
  }
}

/** A row that is damaged here may be whole on any backup, so that each of them is asked. */
async function demandRepairs(
  { store, workers }: VerifyPorts,
  { role, fenced }: Site,
  peers: readonly VerifiedPeer[],
  isDamaged: boolean,
): Promise<void> {
  if (role !== "primary" || (fenced !== null && fenced !== "promotion_granted")) return;
  for (const { site, differing } of peers) {
    if (differing.length === 0 && !isDamaged) continue;
    await store.transact((tx) => tx.replication.demandRepair(site as SiteName));
    workers.hello(site as SiteName);
  }
}
