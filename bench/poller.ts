import type { SiteName } from "../src/core/ids.ts";
import type { Clock, Transport } from "../src/core/ports.ts";
import { protocolVersion } from "../src/core/push.ts";
import type { Store } from "../src/core/store/store.ts";

export type PollerOptions = {
  readonly store: Store;
  readonly peer: SiteName;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly onWake: () => void;
};

/**
 * What the customer's document wants to get away from: every `intervalMs` it wakes, looks for what is dirty and asks the other
 * side, whether anything has changed or not. The same store, frames and checks as the worker; only the waiting differs.
 */
export async function poll(options: PollerOptions, stop: AbortSignal): Promise<void> {
  const { store, peer: site, transport, clock, intervalMs, onWake } = options;
  while (!stop.aborted) {
    await clock.sleep(intervalMs, stop);
    onWake();
    const { site: from, head } = await store.read((r) => r.site.record());
    const known = (await store.read((r) => r.replication.peers())).find(
      (candidate) => candidate.site === site,
    )?.acked;
    const listing = await store.read((r) =>
      r.replication.listAbove((known ?? head).position, { rows: 100, bytes: 1024 * 1024 }),
    );
    const { epoch, realm, through, rows } = listing;
    const pushed = (known ? rows : []).map((row) => ({ kind: "row" as const, row }));
    const { answer } = await transport.push(
      {
        protocol: protocolVersion,
        realm,
        site: from,
        publicUrl: `https://${from}.example`,
        epoch,
        timeline: await store.read((r) => r.site.timeline()),
        after: known ?? through,
        through,
        points: [],
        digest: null,
        except: [],
        rows: pushed,
      },
      stop,
    );
    if (answer.kind === "applied")
      await store.acknowledgements.take(site, { through, rows, rejected: [], verified: null });
    else if (answer.kind === "refused")
      await store.transact((tx) => tx.replication.resumeFrom(site, answer.identity.applied, []));
  }
}
