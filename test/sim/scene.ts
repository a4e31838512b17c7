import { onTestFailed } from "vitest";
import { decodeStranded } from "../../src/core/aside.ts";
import type { SiteName } from "../../src/core/ids.ts";
import { formatKey, type RowKey } from "../../src/core/row.ts";
import type { PeerStatus } from "../../src/protocol/replication-status.ts";
import { applyPath } from "../../src/replication/transport.ts";
import { checkAtRest } from "./checks.ts";
import { calgary, World, type WorldOptions, zurich } from "./world.ts";

export const secondMs = 1_000;
export const minuteMs = 60 * secondMs;
export const hourMs = 60 * minuteMs;

export type Scene = { readonly world: World; readonly vault: RowKey & { kind: "vault" } };

/** A pair that runs and is equal, with one vault. */
export async function pair(options: Partial<WorldOptions> = {}): Promise<Scene> {
  const world = await World.create({ seed: 1, backups: [zurich], ...options });
  onTestFailed(() => void process.stderr.write(`${world.trace.join("\n")}\n`));
  for (const site of world.sites.keys()) await world.start(site);
  const vault = world.newVaultKey();
  void world.write(vault);
  await world.scheduler.run(secondMs);
  return { world, vault };
}

/** Sends writes to new entries of the vault all at once and lets them commit, but nothing travel far. */
export async function writeEntries({ world, vault }: Scene, count: number): Promise<RowKey[]> {
  const keys = Array.from({ length: count }, () => world.newEntryKey(vault.vaultId));
  for (const key of keys) void world.write(key);
  await world.scheduler.run(0);
  return keys;
}

/** Sends writes to new entries of the vault at one site, and lets everything be. */
export async function writeAt({ world, vault }: Scene, site: SiteName, count: number): Promise<RowKey[]> {
  const keys = Array.from({ length: count }, () => world.newEntryKey(vault.vaultId));
  for (const key of keys) void world.write(key, false, site);
  await world.scheduler.run(minuteMs);
  return keys;
}

/** A client that writes to whoever is primary. */
export function writeToPrimary({ world, vault }: Scene): () => void {
  return () => {
    const key = world.newEntryKey(vault.vaultId);
    const [first] = world.primaries();
    if (first) void world.write(key, false, first.site);
  };
}

/** The identities of stranded rows that wait for an operator, as their sites list them. */
export async function strandedAt(world: World, site: SiteName): Promise<string[]> {
  const { rows } = await world.process(site).store.read((r) => r.aside.stranded(null, 1_000));
  return rows.flatMap(({ body }) => (body ? [formatKey(decodeStranded(body).row.key)] : []));
}

export async function atRest(world: World, exceptQuarantine = false): Promise<void> {
  await world.scheduler.run(24 * hourMs);
  await checkAtRest(world, { exceptQuarantine });
}

export async function statusOf(world: World): Promise<PeerStatus> {
  const { body } = await world.primary.receive("/api/replication", calgary, undefined);
  const [peer] = (body as { peers: PeerStatus[] }).peers;
  if (!peer) throw new Error("calgary names no peer");
  return peer;
}

export function pushes(
  world: World,
): { readonly through: string; readonly rows: readonly { kind: string }[] }[] {
  return world.network.sent.filter(({ path }) => path === applyPath).map(({ json }) => JSON.parse(json));
}

export async function alertsOf(world: World): Promise<string[]> {
  return (await world.primary.store.read((r) => r.alerts.newest(100))).map(({ event }) => event).toReversed();
}
