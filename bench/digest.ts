import { join } from "node:path";
import { makePair } from "./support/bench-pair.ts";
import { Child } from "./support/child.ts";
import { Client } from "./support/client.ts";
import { instantMs } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { entryText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./support/table.ts";

const writesPerTurn = 200;
const turns = 5;
const warmUpTurns = 3;
const withoutProof = ["--import", join(import.meta.dirname, "support/without-proof/hook.ts")];

/** Makes so many writes, and returns how long each took. */
type Write = (count: number) => Promise<readonly number[]>;
type Sides = { readonly with: Write; readonly without: Write };

/**
 * What the proof costs a write, with chain, history and digest and with all three taken out: to a client that waits for its
 * 2xx, with nobody to push to, and to the store alone.
 */
export async function digest({ folder, runs }: Plan): Promise<void> {
  const client = await ofClient(folder, runs);
  const store = await ofStore(folder, runs);
  printTable(
    `Chain, history and digest on a write, medians of ${showCount(turns * runs * writesPerTurn)} writes in turns`,
    ["", "with", "without", "ratio", "aim"],
    [
      ["a client's, until its 2xx", ...client, "<= 1.05"],
      ["the store's alone", ...store, ""],
    ],
  );
}

async function ofClient(folder: string, runs: number): Promise<string[]> {
  const { calgary: proving } = await makePair(folder, "proving");
  const { calgary: plain } = await makePair(folder, "plain");
  await using ours = proving;
  await using bare = plain;
  await ours.start();
  await bare.start(...withoutProof);
  const [ourVault, bareVault] = [await ours.createVault(), await bare.createVault()];
  await using ourClient = new Client(ours.files.url, ourVault.token);
  await using bareClient = new Client(bare.files.url, bareVault.token);
  const sides = { with: writeBy(ourClient, ourVault.path), without: writeBy(bareClient, bareVault.path) };
  return await compare(sides, runs);
}

function writeBy(client: Client, path: string): Write {
  return async (count) => {
    const times: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const beganMs = instantMs();
      await client.call("POST", path, entryText);
      times.push(instantMs() - beganMs);
    }
    return times;
  };
}

async function ofStore(folder: string, runs: number): Promise<string[]> {
  const script = "support/store-writes.ts";
  await using proving = await Child.start(script, join(folder, "proving.db"));
  await using plain = await Child.startWith(withoutProof, script, join(folder, "plain.db"));
  const writeIn =
    (child: Child): Write =>
    (count) =>
      child.call<number[]>("timeWrites", count);
  return await compare({ with: writeIn(proving), without: writeIn(plain) }, runs);
}

/** In turns, so that whatever else the machine does meets both. */
async function compare({ with: proving, without }: Sides, runs: number): Promise<string[]> {
  for (let turn = 0; turn < warmUpTurns; turn += 1) {
    for (const write of [proving, without]) await write(writesPerTurn);
  }
  const pairs: { readonly ours: number; readonly bare: number }[] = [];
  for (let turn = 0; turn < turns * runs; turn += 1) {
    pairs.push({ ours: median(await proving(writesPerTurn)), bare: median(await without(writesPerTurn)) });
  }
  return [
    showMs(median(pairs.map(({ ours }) => ours))),
    showMs(median(pairs.map(({ bare }) => bare))),
    showRatio(median(pairs.map(({ ours, bare }) => ours / bare))),
  ];
}
