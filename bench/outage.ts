import { type BenchPair, drained, makePair, seqOf } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs, pause } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showMs } from "./support/table.ts";

const outageMs = 10_000;
const writesMeanwhile = 100;

/** The backup is killed, writes go on, and it is started again: from the start of its process until both are equal. */
export async function outage({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "outage");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  await zurich.start();
  await calgary.start();
  const vault = await calgary.createVault();
  await using client = new Client(calgary.files.url, vault.token);
  const returns: Return[] = [];
  for (let run = 0; run < runs; run += 1) {
    returns.push(await killAndReturn({ calgary, zurich }, client, vault.path));
  }
  printTable(
    `A backup is back ${outageMs / 1000} s after it was killed, with ${writesMeanwhile} writes meanwhile, medians of ${runs} runs`,
    ["", "", "aim"],
    [
      ["until it is equal", showMs(median(returns.map(({ equalMs }) => equalMs))), "<= 1 s"],
      ["of that, until it listens", showMs(median(returns.map(({ startMs }) => startMs))), ""],
    ],
  );
}

type Return = { readonly startMs: number; readonly equalMs: number };

async function killAndReturn(
  { calgary, zurich }: BenchPair,
  client: Client,
  entriesPath: string,
): Promise<Return> {
  await drained(calgary);
  process.kill(zurich.child.pid, "SIGKILL");
  const killedMs = instantMs();
  await zurich.stop();
  let seq = 0;
  for (let i = 0; i < writesMeanwhile; i += 1) {
    seq = seqOf((await client.call<{ etag: string }>("POST", entriesPath, entryText)).etag);
  }
  await pause(killedMs + outageMs - instantMs());
  const beganMs = instantMs();
  await zurich.start();
  const startMs = instantMs() - beganMs;
  return { startMs, equalMs: (await zurich.child.visible(seq)) - beganMs };
}
