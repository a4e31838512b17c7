import { AdminClient } from "../src/cli/admin-client.ts";
import { drained, makePair } from "./support/bench-pair.ts";
import { Client } from "./support/client.ts";
import { instantMs } from "./support/instant.ts";
import type { Plan } from "./support/plan.ts";
import { importText } from "./support/sample-entry.ts";
import { median } from "./support/statistics.ts";
import { printTable, showCount, showMs } from "./support/table.ts";

const sizes = [10_000, 100_000] as const;
const importedEntries = 10_000;

/** `dormouse verify` while the site works: every row counted anew on both sides and both database files looked at. */
export async function verify({ folder, runs }: Plan): Promise<void> {
  const pair = await makePair(folder, "verify");
  await using zurich = pair.zurich;
  await using calgary = pair.calgary;
  await zurich.start();
  await calgary.start();
  const vault = await calgary.createVault();
  await using client = new Client(calgary.files.url, vault.token);
  const admin = await AdminClient.of({ config: calgary.files.configPath });
  const lines: (readonly (string | number)[])[] = [];
  let stored = 0;
  for (const entries of sizes) {
    for (; stored < entries; stored += importedEntries) {
      await client.call("POST", `${vault.path}/import`, importText(importedEntries));
    }
    await drained(calgary);
    const took: number[] = [];
    await calgary.child.call("watchDelay");
    for (let run = 0; run < runs; run += 1) {
      const beganMs = instantMs();
      const { equal } = await admin.call({ command: "verify", body: {} });
      if (equal !== true) throw new Error("the pair is not equal");
      took.push(instantMs() - beganMs);
    }
    const delayMs = await calgary.child.call<number>("longestDelayMs");
    const rowsPerSecond = (entries / median(took)) * 1000;
    lines.push([showCount(entries), showMs(median(took)), showCount(rowsPerSecond), showMs(delayMs)]);
  }
  printTable(
    `dormouse verify of a pair, medians of ${runs} runs`,
    ["entries", "until told", "rows a second", "longest delay of the primary's event loop"],
    lines,
  );
}
