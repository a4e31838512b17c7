import { describe, expect, it } from "vitest";
import { type Activity, activityBetween, readActivity } from "../support/proc.ts";
import { call, initPair, type Pair, Sites, type SiteProcess } from "../support/processes.ts";
import { createVault, drained } from "../support/replicated-vault.ts";

const settleMs = 20_000;
const watchMs = 30_000;

// Real time is what is measured here: nothing else can show that nothing happens.
const pass = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function writeEntries(primary: SiteProcess, count: number): Promise<void> {
  const { path, token } = await createVault(primary);
  for (let n = 0; n < count; n += 1) {
    const body = { type: "note", title: `Note ${n}`, notes: "The key lies under the mat." };
    expect((await call(primary, { method: "POST", path, token, body })).status).toBe(201);
  }
}

function readBoth(pair: Pair): readonly [Activity, Activity] {
  return [readActivity(pair.calgary.pid), readActivity(pair.zurich.pid)];
}

describe("asleep", () => {
  it("20 s after the last write no thread of either site wakes and no byte moves for 30 s", {
    timeout: settleMs + watchMs + 60_000,
  }, async () => {
    await using sites = await Sites.inTemporaryFolder();
    const pair = await initPair(sites);
    await pair.zurich.start();
    await pair.calgary.start();
    await writeEntries(pair.calgary, 20);
    await drained(pair.calgary);

    await pass(settleMs);
    const before = readBoth(pair);
    await pass(watchMs);
    const after = readBoth(pair);

    const nothing = { switches: {}, switchesTotal: 0, readBytes: 0, writtenBytes: 0 };
    expect({
      calgary: activityBetween(before[0], after[0]),
      zurich: activityBetween(before[1], after[1]),
    }).toEqual({ calgary: nothing, zurich: nothing });
  });
});
