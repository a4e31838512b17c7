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

/** What an operator reads of a site's replication. Costs what is dirty. */
export async function describeReplication(ports: StatusPorts): Promise<ReplicationStatus> {
  const { store, clock } = ports;
  const [site, { head, digest }] = await Promise.all([
    store.read((r) => r.site.record()),
    store.read((r) => r.site.digest()),
  ]);
  const nowMs = clock.now();
  const all = site.role === "primary" ? await store.read((r) => r.replication.backlogOfAll()) : nothingDirty;
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
  if (site.role === "backup") return { ...base, ...describeBackup({ ...site, head }) };
  const stored = await store.read((r) => r.replication.peers());
  const peers = ports.peers.map((peer) => describePeer(ports, peer, stored, nowMs));
  return { ...base, peers: await Promise.all(peers) };
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

async function describePeer(
  { store, workerOf }: StatusPorts,
  { site, url }: { readonly site: SiteName; readonly url: string },
  stored: readonly Peer[],
  nowMs: number,
): Promise<PeerStatus> {
  const peer = stored.find((candidate) => candidate.site === site);
  const backlog = await store.read((r) => r.replication.backlog(site));
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
