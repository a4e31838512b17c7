import { join } from "node:path";
import { Child } from "./support/child.ts";
import type { Plan } from "./support/plan.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs, showRatio } from "./support/table.ts";

const writesPerTurn = 200;
const turns = 10;

/** What the proof costs a write: the store's own write with chain, history and digest, and with all three taken out. */
export async function digest({ folder, runs }: Plan): Promise<void> {
  await using proving = await Child.start("support/store-writes.ts", join(folder, "proving.db"));
  await using plain = await Child.startWith(
    ["--import", join(import.meta.dirname, "support/without-proof/hook.ts")],
    "support/store-writes.ts",
    join(folder, "plain.db"),
  );
  const timed = (child: Child): Promise<number[]> => child.call("timeWrites", writesPerTurn);
  for (const child of [proving, plain]) for (let i = 0; i < 5; i += 1) await timed(child);
  const ratios: number[] = [];
  const [withProof, without]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < turns * runs; turn += 1) {
    const [ours, bare] = [median(await timed(proving)), median(await timed(plain))];
    withProof.push(ours);
    without.push(bare);
    ratios.push(ours / bare);
  }
  printTable(
    `Chain, history and digest on a write of the store, medians of ${showCount(turns * runs * writesPerTurn)} writes in turns`,
    ["", "", "aim"],
    [
      ["with", showMs(median(withProof)), ""],
      ["without", showMs(median(without)), ""],
      ["ratio", showRatio(median(ratios)), "<= 1.05"],
    ],
  );
}
