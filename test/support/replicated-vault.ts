import { expect } from "vitest";
import type { ReplicationStatus } from "../../src/protocol/replication-status.ts";
import { call, type SiteProcess } from "./processes.ts";

/** `path` is that of its entries. */
export type Vault = { readonly path: string; readonly token: string };

export async function createVault(primary: SiteProcess): Promise<Vault> {
  const made = await call(primary, { method: "POST", path: "/api/vaults", body: { name: "Workshop" } });
  expect(made.status).toBe(201);
  const { vault_id: vaultId, token } = made.body as { vault_id: string; token: string };
  return { path: `/api/vaults/${vaultId}/entries`, token };
}

type PrimaryStatus = ReplicationStatus & { readonly peers: NonNullable<ReplicationStatus["peers"]> };

/** Resolves with the primary's status once all its workers sleep with everything acknowledged. */
export async function drained(primary: SiteProcess): Promise<PrimaryStatus> {
  for (let i = 0; i < 200; i += 1) {
    const status = (await call(primary, { path: "/api/replication" })).body as PrimaryStatus;
    const { head, dirty, peers } = status;
    if (dirty === 0 && peers.every((peer) => peer.state === "asleep" && peer.acked === head)) return status;
    // Nobody tells who asks over HTTP when a worker falls asleep.
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${primary.site} did not drain:\n${primary.output}`);
}
