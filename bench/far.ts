import { type BenchPair, drained, makePair, seqOf, type Vault } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { FarLink } from "./support/far-link.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showBytes, showCount, showMs } from "./support/table.ts";

const roundTripMs = 130;
const dirtyEntries = 10_000;
/** The worker tries again after 1 s and then after 5 s: by now it may begin as soon as it is told. */
const quietMs = 2_500;

type Drain = {
  readonly visibleMs: number;
  readonly pushes: number;
  readonly bytes: number;
};

type FarPair = BenchPair & { readonly link: FarLink; readonly vault: Vault };

/** A backlog that an outage left, to a backup on the other side of an ocean: what round trips do to it. */
export async function far({ folder, runs }: Plan): Promise<void> {
  let opened: FarLink | undefined;
  const pair = await makePair(folder, "far", async (port) => {
    opened = await FarLink.open(roundTripMs / 2, port);
    return opened.port;
  });
  if (!opened) throw new Error("nothing lies between the sites");
  await using link = opened;
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  await zurich.start();
  await calgary.start();
  const running = { calgary, zurich, link, vault: await calgary.createVault() };
  await drained(calgary);
  // The first drain is also the first that either process compiles.
  await drainBacklog(running);
  const drains: Drain[] = [];
  for (let run = 0; run < runs; run += 1) drains.push(await drainBacklog(running));
  const of = (name: keyof Drain): number => median(drains.map((one) => one[name]));
  printTable(
    `${showCount(dirtyEntries)} dirty rows to a backup ${roundTripMs} ms away, medians of ${runs} runs`,
    ["", "", "aim"],
    [
      ["until all are visible there", showMs(of("visibleMs")), "<= 2.0 s"],
      ["pushes", of("pushes"), ""],
      ["bytes both ways", showBytes(of("bytes")), ""],
    ],
  );
}

async function drainBacklog({ calgary, zurich, link, vault }: FarPair): Promise<Drain> {
  link.cut();
  await using client = new Client(calgary.files.url, vault.token);
  await client.call("POST", `${vault.path}/import`, importText(dirtyEntries));
  await pause(quietMs);
  const before = await calgary.status();
  const head = seqOf(`"${before.head}"`);
  const bytesBefore = link.bytes;
  link.heal();
  await using operator = calgary.operator();
  const beganMs = instantMs();
  await operator.call("POST", "/api/replication/signal", "{}");
  const visibleMs = (await zurich.child.visible(head)) - beganMs;
  const after = await drained(calgary);
  const pushesOf = (status: typeof before): number => status.peers?.[0]?.counters.pushes ?? Number.NaN;
  return { visibleMs, pushes: pushesOf(after) - pushesOf(before), bytes: link.bytes - bytesBefore };
}
