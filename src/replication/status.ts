import type { SiteName } from "../core/ids.ts";
import type { Clock } from "../core/ports.ts";
import { formatPosition } from "../core/position.ts";
import type { Backlog, Peer } from "../core/store/replication.ts";
import type { Site, Verified } from "../core/store/site.ts";
import type { Store, Transacts } from "../core/store/store.ts";
import type {
  PeerStatus,
  ReplicationStatus,
  Verified as StatusProof,
} from "../protocol/replication-status.ts";
import type { WorkerStatus } from "./primary/worker.ts";

export type StatusPorts = {
  readonly store: Transacts<"site" | "replication"> & Pick<Store, "acknowledgements">;
  readonly clock: Clock;
  readonly peers: readonly { readonly site: SiteName; readonly url: string }[];
  /** What the worker of a peer says of itself; undefined where none runs. */
  readonly workerOf: (peer: SiteName) => WorkerStatus | undefined;
};

/** What one look at the store shows. `backlogs` holds the backlog of each peer, in the order of `peers`. */
type Look = {
  readonly site: Site;
  readonly digest: Uint8Array;
  readonly all: Backlog;
  readonly peers: readonly Peer[];
  readonly backlogs: readonly Backlog[];
};

/** What an operator reads of a site's replication. Costs what is dirty: one entry of an index for each row and peer. */
export async function describeReplication(ports: StatusPorts): Promise<ReplicationStatus> {
  const { site, digest, all, peers, backlogs } = await look(ports);
  const nowMs = ports.clock.now();
  const { head } = site;
  const base = {
    site: site.site,
    realm: site.realm,
    role: site.role,
    edition: "commercial",
    epoch: site.epoch.number,
    head: formatPosition(head.position),
    digest: Buffer.from(digest).toString("hex"),
    dirty: all.dirty,
    lag_ms: lagMs(all, nowMs),
    fenced: site.fenced,
    grant: site.grant && { to: site.grant.to, from: formatPosition(site.grant.head.position) },
  } as const;
  if (site.role === "backup") return { ...base, ...describeBackup(site) };
  const described = ports.peers.map((peer, at) => {
    const stored = peers.find((candidate) => candidate.site === peer.site);
    return describePeer({ ...peer, stored, backlog: backlogs[at] ?? nothingDirty }, ports, nowMs);
  });
  return { ...base, peers: described };
}

function look({ store, peers: configured }: StatusPorts): Promise<Look> {
  return store.read(async (r) => {
    const site = await r.site.record();
    const { digest } = await r.site.digest();
    if (site.role === "backup") return { site, digest, all: nothingDirty, peers: [], backlogs: [] };
    const all = await r.replication.backlogOfAll();
    const peers = await r.replication.peers();
    // With a single peer, its backlog is the backlog of all.
    const isOnly = (name: SiteName) => peers.length === 1 && peers[0]?.site === name;
    const backlogs: Backlog[] = [];
    for (const { site: name } of configured) {
      backlogs.push(isOnly(name) ? all : await r.replication.backlog(name));
    }
    return { site, digest, all, peers, backlogs };
  });
}

/** A backup owes nobody anything: whatever its rows' positions, it has acknowledged them itself. */
const nothingDirty: Backlog = { dirty: 0, oldestDirtySince: null, quarantined: 0 };

type BackupStatus = Pick<ReplicationStatus, "applied" | "primary" | "verified" | "complete">;

function describeBackup({ primary, head, verified, isComplete }: Site): BackupStatus {
  return {
    applied: formatPosition(head.position),
    primary: primary && {
      site: primary.site,
      url: primary.url,
      last_push_at: formatTime(primary.lastPushAt),
    },
    verified: describeProof(verified),
    complete: isComplete,
  };
}

type PeerLook = {
  readonly site: SiteName;
  readonly url: string;
  readonly stored: Peer | undefined;
  readonly backlog: Backlog;
};

function describePeer(
  { site, url, stored: peer, backlog }: PeerLook,
  { workerOf }: StatusPorts,
  nowMs: number,
): PeerStatus {
  const worker = workerOf(site);
  return {
    site,
    url,
    state: worker?.state ?? "fenced",
    acked: peer?.acked ? formatPosition(peer.acked.position) : null,
    dirty: backlog.dirty,
    lag_ms: lagMs(backlog, nowMs),
    quarantined: backlog.quarantined,
    last_contact_at: formatOptional(worker?.lastContactAt),
    last_ack_at: formatOptional(peer?.lastAckAt),
    last_error: worker?.lastError ?? null,
    attempt: worker?.attempt ?? 0,
    next_attempt_at: formatOptional(worker?.nextAttemptAt),
    verified: describeProof(peer?.verified ?? null),
    diverged: peer?.diverged ?? false,
    counters: worker?.counters ?? { signals: 0, wakeups: 0, pushes: 0, rows: 0, bytes: 0, failures: 0 },
  };
}

function describeProof(verified: Verified | null): StatusProof | null {
  return verified && { position: formatPosition(verified.position), at: formatTime(verified.at) };
}

/** Never guessed, never negative: a wall clock that was put back shows 0 rather than a time to come. */
function lagMs({ oldestDirtySince }: Backlog, nowMs: number): number {
  return oldestDirtySince === null ? 0 : Math.max(0, nowMs - oldestDirtySince);
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

function formatOptional(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : formatTime(ms);
}
