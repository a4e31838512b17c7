import type { SiteName, VaultId } from "../../src/core/ids.ts";
import { newUuidV7 } from "../../src/core/ids.ts";
import { parsePosition } from "../../src/core/position.ts";
import { vaultKey } from "../../src/core/vault.ts";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { siteImage } from "../../src/store/sqlite/new-site.ts";
import { Disk } from "../../test/sim/disk.ts";
import { Network } from "../../test/sim/network.ts";
import { processClock, Scheduler } from "../../test/sim/scheduler.ts";
import { SiteProcess } from "../../test/sim/site-process.ts";
import { SeededRandom } from "../../test/support/ports.ts";

export const calgary = "calgary" as SiteName;
export const zurich = "zurich" as SiteName;

/** A pair in virtual time: real stores in memory, real workers and handlers, a network that only delays. */
export class VirtualPair {
  readonly random = new SeededRandom(10);
  readonly scheduler = new Scheduler(this.random);
  readonly network: Network;
  readonly primary: SiteProcess;
  readonly backup: SiteProcess;
  /** When each seq was applied on the backup, in ms of virtual time: the last entry at or above it counts. */
  readonly applied: { readonly seq: number; readonly atMs: number }[] = [];
  /** Bodies of requests and of answers. */
  bytes = 0;

  constructor(peers: readonly SiteName[] = [zurich]) {
    this.network = new Network(this.random, this.scheduler, async (to, path, from, body) => {
      const site = to === calgary ? this.primary : this.backup;
      const reply = await site.receive(path, from, body);
      this.bytes += JSON.stringify(body).length + JSON.stringify(reply.body).length;
      const { applied } = reply.body as { applied?: string };
      const seq = applied === undefined ? undefined : parsePosition(applied)?.seq;
      if (to === zurich && seq !== undefined) this.applied.push({ seq, atMs: this.scheduler.nowMs });
      return reply;
    });
    this.primary = this.#process(calgary, "primary", peers);
    this.backup = this.#process(zurich, "backup", [calgary]);
  }

  newId(): string {
    return newUuidV7(Date.UTC(2026, 0, 1) + this.scheduler.nowMs, this.random);
  }

  /** A vault's id, with its row written. */
  async createVault(body: Uint8Array): Promise<VaultId> {
    const vaultId = this.newId() as VaultId;
    const key = vaultKey(vaultId);
    const write = this.primary.write({ keys: [key], decide: () => [{ key, body }] });
    await this.scheduler.run(60_000);
    await write;
    return vaultId;
  }

  #process(site: SiteName, role: "primary" | "backup", peers: readonly SiteName[]): SiteProcess {
    const { scheduler, network, random } = this;
    const image = siteImage({ site, role, clock: processClock(scheduler, () => true), random });
    return new SiteProcess({
      site,
      peers,
      disk: new Disk(image),
      scheduler,
      network,
      random,
      limit: { rows: 100, bytes: 1024 * 1024 },
      lagAfterMs: 120_000,
      crashes: () => false,
      fails: () => false,
      lingers: () => false,
      onCrash: () => {},
      onFault: (where, error) => {
        throw new Error(`${where} met a fault`, { cause: error });
      },
    });
  }
}

/** Counts every SQL statement that any store of this process runs from now on. */
export function countStatements(): { readonly count: () => number } {
  let count = 0;
  for (const name of ["run", "get", "all"] as const) {
    const original = Connection.prototype[name] as (this: Connection, ...args: never[]) => unknown;
    Object.defineProperty(Connection.prototype, name, {
      value(this: Connection, ...args: never[]): unknown {
        count += 1;
        return original.apply(this, args);
      },
    });
  }
  return { count: () => count };
}
