import { expect, test } from "vitest";
import { runSeed } from "./scenario.ts";

/** Every run of the tests meets the same seeds; `npm run test:sim -- --from N --minutes M` looks for others. */
const seedsPerTest = 500;

for (const from of [1, 501, 1_001, 1_501]) {
  const to = from + seedsPerTest - 1;
  test(`whatever fails and whenever, sites end equal and nothing acknowledged is lost: seeds ${from} to ${to}`, async () => {
    let writes = 0;
    for (let seed = from; seed <= to; seed += 1) writes += (await runSeed(seed)).writes;
    expect(writes).toBeGreaterThan(seedsPerTest);
  }, 300_000);
}
