import { createEntry } from "../src/core/entry-writes.ts";
import type { EntryId, VaultId } from "../src/core/ids.ts";
import { encodeVault } from "../src/core/vault.ts";
import type { ReplicationStatus } from "../src/protocol/replication-status.ts";
import { makeTransport } from "../src/replication/transport.ts";
import { poll } from "./poller.ts";
import { rowBody, sampleSealOf, sampleVault } from "./support/sample-entry.ts";
import { mean } from "./support/statistics.ts";
import { printTable, showBytes, showCount, showMs } from "./support/table.ts";
import { calgary, countStatements, VirtualPair, zurich } from "./support/virtual-pair.ts";

const dayMs = 24 * 60 * 60 * 1000;
const pollMs = 30_000;
const writesPerDay = 10;

/** What a day costs. */
type Day = {
  readonly wakeups: number;
  readonly requests: number;
  readonly bytes: number;
  readonly statements: number;
  readonly latenciesMs: readonly number[];
  /** Timers that still run at the end of the day. */
  readonly timers: number;
};

type Kind = "worker" | "poller" | "nobody";

/** The customer's table: a day in virtual time through the real worker, and through a poller. */
export async function efficiency(): Promise<void> {
  const statements = countStatements();
  for (const writes of [writesPerDay, 0]) {
    const alone = await replay("nobody", writes, statements.count);
    const ours = await replay("worker", writes, statements.count);
    const polled = await replay("poller", writes, statements.count);
    print(writes, ours, polled, alone.statements);
  }
}

async function replay(kind: Kind, writes: number, statements: () => number): Promise<Day> {
  const pair = new VirtualPair(kind === "nobody" ? [] : [zurich]);
  const { scheduler, network, primary, backup, random } = pair;
  const stop = new AbortController();
  const wakeups = await start(kind, pair, stop.signal);
  await scheduler.run(60_000);
  const vaultId = await pair.createVault(encodeVault(sampleVault));
  const before = {
    wakeups: await wakeups(),
    requests: network.sent.length,
    bytes: pair.bytes,
    statements: statements(),
  };
  const latenciesMs: number[] = [];
  const written: { seq: number; atMs: number }[] = [];
  for (let i = 0; i < writes; i += 1) {
    scheduler.schedule(random.fraction() * (dayMs - 2 * pollMs), () => {
      const atMs = scheduler.nowMs;
      void write(pair, vaultId).then((seq) => written.push({ seq, atMs }));
    });
  }
  await scheduler.run(dayMs);
  const after = { requests: network.sent.length, bytes: pair.bytes, statements: statements() };
  for (const { seq, atMs } of written) {
    const visible = pair.applied.find((point) => point.seq >= seq);
    if (visible) latenciesMs.push(visible.atMs - atMs);
  }
  const day = {
    wakeups: (await wakeups()) - before.wakeups,
    requests: after.requests - before.requests,
    bytes: after.bytes - before.bytes,
    statements: after.statements - before.statements,
    latenciesMs,
    timers: scheduler.pending,
  };
  stop.abort();
  const stopping = Promise.all([primary.stop(), backup.stop()]);
  await scheduler.run(10_000);
  await stopping;
  return day;
}

/** Returns how to learn how often the primary's side of replication woke. */
async function start(kind: Kind, pair: VirtualPair, stop: AbortSignal): Promise<() => Promise<number>> {
  const { primary, backup, network } = pair;
  if (kind === "nobody") return async () => 0;
  if (kind === "worker") {
    void backup.edition.start();
    void primary.edition.start();
    return async () => {
      const { body } = await primary.receive("/api/replication", zurich, undefined);
      return (body as ReplicationStatus).peers?.[0]?.counters.wakeups ?? Number.NaN;
    };
  }
  let wakeups = 0;
  const transport = makeTransport(network.exchange(calgary, zurich, () => true));
  const onWake = (): void => {
    wakeups += 1;
  };
  const configured = primary.store.transact((tx) => tx.replication.configurePeers([zurich]));
  await pair.scheduler.run(0);
  await configured;
  void poll(
    { store: primary.store, peer: zurich, transport, clock: primary.clock, intervalMs: pollMs, onWake },
    stop,
  );
  return async () => wakeups;
}

async function write(pair: VirtualPair, vaultId: VaultId): Promise<number> {
  const entryId = pair.newId() as EntryId;
  const [row] = await pair.primary.write(createEntry(sampleSealOf(vaultId), { entryId, body: rowBody }));
  return row?.position.seq ?? Number.NaN;
}

function print(writes: number, ours: Day, polled: Day, clientStatements: number): void {
  const less = (a: number, b: number): string => (a === 0 ? "none at all" : `${showCount(b / a)} times less`);
  const row = (name: string, of: (day: Day) => number, show: (value: number) => string): string[] => [
    name,
    show(of(polled)),
    show(of(ours)),
    less(of(ours), of(polled)),
  ];
  const latencies =
    (of: (samples: readonly number[]) => number): ((day: Day) => number) =>
    (day) =>
      of(day.latenciesMs);
  printTable(
    `A day with ${writes} writes, replayed in virtual time (aim: 288 times fewer wakeups; 0 without writes)`,
    ["", "poller, 30 s", "Dormouse", ""],
    [
      row("wakeups", (day) => day.wakeups, showCount),
      row("requests", (day) => day.requests, showCount),
      row("bytes of requests and answers", (day) => day.bytes, showBytes),
      row(
        "SQL statements on both sides beside the client's",
        (day) => day.statements - clientStatements,
        showCount,
      ),
      ...(writes === 0
        ? []
        : [
            row("latency, mean", latencies(mean), showMs),
            row(
              "latency, longest",
              latencies((all) => Math.max(...all)),
              showMs,
            ),
          ]),
      row("timers that run at the end", (day) => day.timers, showCount),
    ],
  );
}
