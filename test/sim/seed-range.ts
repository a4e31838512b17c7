import { expect, test } from "vitest";
import { runSeed } from "./scenario.ts";

/**
 * Every run of the tests meets the same seeds, in files of their own so that they run beside each other;
 * `npm run test:sim -- --from N --minutes M` looks for others.
 */
export function testSeeds(from: number, to: number): void {
  const seedsPerTest = 125;
  for (let first = from; first <= to; first += seedsPerTest) {
    const last = first + seedsPerTest - 1;
    test(`whatever fails and whenever, sites end equal and nothing acknowledged is lost: seeds ${first} to ${last}`, async () => {
      let writes = 0;
      for (let seed = first; seed <= last; seed += 1) writes += (await runSeed(seed))["writes"] ?? 0;
      expect(writes).toBeGreaterThan(seedsPerTest);
    }, 300_000);
  }
}
